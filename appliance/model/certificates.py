"""One certificate with its key, as Traefik keeps it: read, and checked as thoroughly as Traefik will rely on it.

Certificate and key must belong together and the certificate must be for the names it was asked for. A key is also
checked for damage: its numbers must fit each other. That is arithmetic on a few numbers (20 µs) and finds what a
damaged file does; whether primes are primes (0.3 s for RSA with 4096 bits) was the authority's business.
"""

import contextlib
from collections.abc import Container
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from appliance.model.errors import InvalidInput

_BEGIN = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A certificate in a store of Traefik's, whole and checked."""

    resolver: str
    """The certificate resolver that keeps it: `resolver` (HTTP-01) or `dnsresolver` (DNS-01)."""
    main: str
    """What was asked for first, and (`sans`) besides."""
    sans: tuple[str, ...]
    names: tuple[str, ...]
    """The names it really is for, wildcards like `*.gw.example.com`."""
    serial: str
    """Hexadecimal, in lower case, without leading zeros."""
    issuer: str
    """The issuer's common name, or all of its name where it has none."""
    not_before: float
    """Unix seconds."""
    not_after: float
    """Unix seconds."""
    chain: str = field(repr=False)
    """PEM text, the certificate itself first."""
    key: str = field(repr=False)
    """PEM text. Never to be logged."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The names it was asked for, by which Traefik tells certificates apart."""
        return (self.main, *self.sans)

    def covers(self, host: str) -> bool:
        """Whether it is for `host`; a wildcard stands for exactly one label (RFC 6125 §6.4.3)."""
        return is_covered(host, self.names)


def is_covered(host: str, names: Container[str]) -> bool:
    """Whether one of `names` is `host`, or a wildcard that stands for it."""
    return host in names or f"*.{host.partition('.')[2]}" in names  # `*.x` itself is covered by `*.x` only


def check(resolver: str, asked: tuple[str, ...], chain: bytes, key: bytes) -> StoredCertificate:
    """The certificate in this PEM text, with its key. Raises InvalidInput saying what is wrong with it."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  60 ms, which a start with whole stores saves

    try:
        found = _read(resolver, asked, chain, key)
    except InvalidInput:
        raise
    except InvalidSignature as error:
        raise InvalidInput("its certificate is damaged") from error
    except Exception as error:  # a damaged one makes the library raise whatever there is
        raise InvalidInput("its certificate cannot be read") from error
    missing = [name for name in map(str.lower, asked) if not is_covered(name, found.names)]
    if missing:
        raise InvalidInput(f"its certificate is not for {missing[0]}")
    return found


def _read(resolver: str, asked: tuple[str, ...], chain: bytes, key: bytes) -> StoredCertificate:
    from cryptography import x509  # noqa: PLC0415

    leaf, rest = _split(chain)
    certificate = x509.load_pem_x509_certificate(leaf)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    _check_signature(certificate, _issuers(rest))
    _check_key(key, certificate.public_key())
    return StoredCertificate(
        resolver=resolver,
        main=asked[0],
        sans=asked[1:],
        names=tuple(name.lower() for name in names.get_values_for_type(x509.DNSName)),
        serial=f"{certificate.serial_number:x}",
        issuer=_common_name(certificate.issuer),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        chain=chain.decode("ascii"),
        key=key.decode("ascii"),
    )


def check_account_key(der: bytes) -> None:
    """Raise InvalidInput unless this is an RSA key as Traefik keeps it for an account (PKCS #1, DER)."""
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_private_key  # noqa: PLC0415

    try:
        key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        raise InvalidInput("the key of its account cannot be read") from error
    if not isinstance(key, rsa.RSAPrivateKey) or not _fits(key.private_numbers()):
        raise InvalidInput("the key of its account is damaged")


def _split(chain: bytes) -> tuple[bytes, bytes]:
    """The certificate itself and those of its issuers."""
    second = chain.find(_BEGIN, chain.find(_BEGIN) + 1)
    if not chain.isascii():
        raise InvalidInput("its certificate is no PEM text")
    return (chain, b"") if second < 0 else (chain[:second], chain[second:])


@lru_cache(maxsize=64)
def _issuers(rest: bytes) -> tuple[Any, ...]:
    """The issuers' certificates, which many certificates share."""
    from cryptography import x509  # noqa: PLC0415

    return tuple(x509.load_pem_x509_certificates(rest)) if rest else ()


def _check_signature(certificate: Any, issuers: tuple[Any, ...]) -> None:
    """Raise InvalidSignature or ValueError for a damaged certificate, as far as it can be told."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

    for issuer in issuers:
        if issuer.subject == certificate.issuer:
            with contextlib.suppress(UnsupportedAlgorithm, TypeError):
                certificate.verify_directly_issued_by(issuer)
            return


def _check_key(pem: bytes, public: Any) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key: Any = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, ec.EllipticCurvePrivateKey):  # the file may hold a public key beside, and belie it
            key = ec.derive_private_key(key.private_numbers().private_value, key.curve)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput("its key cannot be read") from error
    if isinstance(key, rsa.RSAPrivateKey) and not _fits(key.private_numbers()):
        raise InvalidInput("its key is damaged")
    if key.public_key() != public:
        raise InvalidInput("its key is not the certificate's")


def _fits(numbers: Any) -> bool:
    """Whether the numbers of an RSA key are those of one key (RFC 8017 §3.2)."""
    p, q, e = numbers.p, numbers.q, numbers.public_numbers.e
    return bool(
        min(p, q) > 2
        and p * q == numbers.public_numbers.n
        and e * numbers.d % (p - 1) == 1
        and e * numbers.d % (q - 1) == 1
        and numbers.d % (p - 1) == numbers.dmp1
        and numbers.d % (q - 1) == numbers.dmq1
        and q * numbers.iqmp % p == 1
    )


def _common_name(issuer: Any) -> str:
    from cryptography.x509 import NameOID  # noqa: PLC0415

    found = issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value if found else issuer.rfc4514_string())
