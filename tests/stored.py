"""Certificate stores as Traefik writes them, with certificates of an authority made up for the tests."""

import base64
import datetime as dt
import functools
import json
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
ISSUED = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
DAYS = 90


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """The same key for the same number: making one takes its time."""
    return rsa.generate_private_key(65537, 1024)


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@functools.cache
def authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec_key()
    return key, _certificate("Test Authority", (), key, key, 1, 3650)


def certificate(*names: str, key: Key, serial: int = 0xABC, days: int = DAYS) -> bytes:
    """A certificate and its issuer's, PEM."""
    own = _certificate(names[0], names, key, authority()[0], serial, days)
    return own.public_bytes(Encoding.PEM) + authority()[1].public_bytes(Encoding.PEM)


def _certificate(
    common: str, names: tuple[str, ...], key: Key, signer: ec.EllipticCurvePrivateKey, serial: int, days: int
) -> x509.Certificate:
    building = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(name("Test Authority"))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(ISSUED)
        .not_valid_after(ISSUED + dt.timedelta(days=days))
    )
    if names:
        building = building.add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
    return building.sign(signer, hashes.SHA256())


def pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def entry(*names: str, serial: int = 0xABC, days: int = DAYS, key: Key | None = None) -> dict[str, Any]:
    """An element of `Certificates`."""
    own = key or ec_key()
    domain: dict[str, Any] = {"main": names[0]} | ({"sans": list(names[1:])} if names[1:] else {})
    chain = certificate(*names, key=own, serial=serial, days=days)
    return {"domain": domain, "certificate": encoded(chain), "key": encoded(pem(own)), "Store": "default"}


def account(number: int = 0) -> dict[str, Any]:
    der = rsa_key(number).private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    registration = {"body": {"status": "valid"}, "uri": "https://ca.test/my-account/1"}
    return {"Email": "ops@example.com", "Registration": registration, "PrivateKey": encoded(der), "KeyType": "4096"}


def document(*entries: dict[str, Any], resolver: str = "resolver", owner: Any = None) -> dict[str, Any]:
    return {resolver: {"Account": owner or account(), "Certificates": list(entries) or None}}


def text(*entries: dict[str, Any], resolver: str = "resolver") -> bytes:
    """A store as Traefik writes it."""
    return json.dumps(document(*entries, resolver=resolver), indent=2).encode()
