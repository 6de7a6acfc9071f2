"""What is really served: a TLS handshake with this host's own HTTPS port.

Keeps `control.ports_issuance.ServedProbe`.
"""

import socket
import ssl

from appliance.model.inventory import Presented

_PATIENCE_SECONDS = 3.0
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked on loopback instead


class TlsProbe:
    """Asks one address and port. Safe to use from any thread; keeps nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (_EVERYWHERE.get(host, host), port)

    def presented(self, host: str) -> Presented | str:
        """The certificate presented for `host` (SNI), trusted or not; or why none could be seen. Never raises."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is looked at, not relied on
        try:
            with (
                socket.create_connection(self._address, _PATIENCE_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=host) as encrypted,
            ):
                encoded = encrypted.getpeercert(binary_form=True)
        except (OSError, ValueError) as error:
            return f"no TLS connection to {self._address[0]}:{self._address[1]} for {host}: {error}"
        try:
            return _read(encoded) if encoded else f"no certificate is presented for {host}"
        except Exception as error:  # noqa: BLE001  a tenant's backend may present anything, and the library raise anything
            return f"the certificate presented for {host} cannot be read: {error}"

    def refused(self) -> str | None:
        """Why the port takes no connection; None: it does."""
        return refused(*self._address)


def refused(host: str, port: int) -> str | None:
    """Why `host` takes no TCP connection on `port` within three seconds; None: it does."""
    try:
        socket.create_connection((host, port), _PATIENCE_SECONDS).close()
    except OSError as error:
        return f"{host}:{port} takes no connection: {error}"
    return None


def _read(encoded: bytes) -> Presented:
    from cryptography import x509  # noqa: PLC0415  60 ms, which nobody waits for at the start

    try:
        found = x509.load_der_x509_certificate(encoded)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        alternatives = tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        alternatives = ()
    common = found.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return Presented(
        serial=f"{found.serial_number:x}",
        issuer=str(common[0].value) if common else found.issuer.rfc4514_string(),
        names=alternatives,
        not_before=found.not_valid_before_utc.timestamp(),
        not_after=found.not_valid_after_utc.timestamp(),
    )
