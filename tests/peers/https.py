"""A small HTTPS client that sends the name it is asked for to the address it is given, and shows the certificate."""

import contextlib
import dataclasses
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final

from cryptography import x509

from tests.peers import addresses

_TIMEOUT: Final = 10.0


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What a server showed."""

    issuer: str
    subject: str
    names: tuple[str, ...]
    serial: int

    @classmethod
    def from_der(cls, der: bytes) -> "Certificate":
        """Read it from the handshake's bytes."""
        parsed = x509.load_der_x509_certificate(der)
        try:
            alternative = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names = tuple(sorted(alternative.get_values_for_type(x509.DNSName)))
        except x509.ExtensionNotFound:
            names = ()
        issuer, subject = parsed.issuer.rfc4514_string(), parsed.subject.rfc4514_string()
        return cls(issuer, subject, names, parsed.serial_number)


@dataclasses.dataclass(frozen=True)
class Answer:
    """An HTTP answer; `certificate` is None over plain HTTP. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str
    certificate: Certificate | None


def trusting(ca_pem: str | None) -> ssl.SSLContext:
    """A client context that accepts this CA only, or (None) any certificate."""
    if ca_pem is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    return ssl.create_default_context(cadata=ca_pem)


def open_connection(target: tuple[str, int]) -> socket.socket:
    """A TCP connection with the harness's timeout. Without TCP_NODELAY a request waits 40 ms for an acknowledgement."""
    connection = socket.create_connection(target, timeout=_TIMEOUT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextlib.contextmanager
def connected(
    host: str, address: str = addresses.GATEWAY, port: int = 443, context: ssl.SSLContext | None = None
) -> Iterator[ssl.SSLSocket]:
    """A TLS connection to `address` that asks for `host`. Without a context any certificate will do."""
    chosen = context or trusting(None)
    with (
        open_connection((address, port)) as plain,
        chosen.wrap_socket(plain, server_hostname=host) as secure,
    ):
        yield secure


def fetch(
    host: str,
    path: str = "/",
    *,
    address: str = addresses.GATEWAY,
    port: int = 443,
    ca: str | None = None,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One HTTPS request; with `ca` (PEM text) the certificate must be valid for `host`."""
    with connected(host, address, port, trusting(ca)) as secure:
        der = secure.getpeercert(binary_form=True)
        if der is None:
            raise ssl.SSLError("the server showed no certificate")
        return _exchange(secure, host, path, method, body, Certificate.from_der(der), headers)


def fetch_plain(host: str, path: str = "/", *, address: str = addresses.GATEWAY, port: int = 80) -> Answer:
    """One plain HTTP request; redirects are shown, not followed."""
    with open_connection((address, port)) as plain:
        return _exchange(plain, host, path, "GET", None, None)


def certificate_served(host: str, address: str = addresses.GATEWAY, port: int = 443) -> Certificate:
    """The certificate shown for `host`, whoever signed it."""
    with connected(host, address, port) as secure:
        return Certificate.from_der(secure.getpeercert(binary_form=True) or b"")


def _exchange(
    connection: socket.socket,
    host: str,
    path: str,
    method: str,
    body: bytes | None,
    certificate: Certificate | None,
    own_headers: Mapping[str, str] | None = None,
) -> Answer:
    client = http.client.HTTPConnection(host)
    client.sock = connection
    client.request(method, path, body=body, headers={"Host": host, "Connection": "close", **(own_headers or {})})
    with client.getresponse() as answer:
        text = answer.read().decode("utf-8", errors="replace")
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, text, certificate)
