"""The probe of what is really served, against a TLS server that means no good."""

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.adapters.tls_probe import TlsProbe
from appliance.model.inventory import Presented

ONCE, TWICE = bytes.fromhex("06032a0305"), bytes.fromhex("06032a0304")
"""The object identifiers 1.2.3.5 and 1.2.3.4 in DER."""
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.customer.test")])


def pem(*, is_damaged: bool) -> bytes:
    """A key and a certificate; the damaged one has an extension twice, which RFC 5280 §4.2 forbids."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), 5)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2036, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.customer.test")]), critical=False)
    )
    for last in (4, 5):
        oid = x509.ObjectIdentifier(f"1.2.3.{last}")
        made = made.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical=False)
    encoded = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    text = ssl.DER_cert_to_PEM_cert(encoded.replace(ONCE, TWICE) if is_damaged else encoded)
    own = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return own + text.encode()


def seen(path: Path) -> Presented | str:
    """What the probe makes of a server with the certificate in this file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            caller, _ = server.accept()
            with caller, context.wrap_socket(caller, server_side=True) as encrypted:
                encrypted.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = TlsProbe("127.0.0.1", server.getsockname()[1]).presented("shop.customer.test")
        thread.join(timeout=10)
        return found


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # a caller that hangs up
@pytest.mark.parametrize("is_damaged", [False, True])
def test_whatever_a_server_presents_is_told_and_never_raised(tmp_path: Path, is_damaged: bool) -> None:
    """A tenant's own backend is behind TLS passthrough, and may present anything."""
    path = tmp_path / "server.pem"
    path.write_bytes(pem(is_damaged=is_damaged))
    found = seen(path)
    if is_damaged:
        assert isinstance(found, str)
        assert "cannot be read" in found
    else:
        assert isinstance(found, Presented)
        assert found.covers("shop.customer.test")
