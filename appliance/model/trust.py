"""Certificates that somebody gives in order to be trusted: read as certificates, and written anew from what was read.

So what reaches Traefik is this project's own text, and not a file name, for which Traefik would take a text that is
no certificate (https://doc.traefik.io/traefik/routing/services/#rootcas).
"""

from typing import Any

from appliance.model import documents
from appliance.model.errors import InvalidInput

_LONGEST = 16 * 1024


def certificates(value: Any, key: str) -> str:
    """The certificates in PEM text `value`, as PEM text. Raises InvalidInput naming `key`; a key is never quoted."""
    # 40 ms that most starts of a program that reads workloads need not spend.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    if not isinstance(value, str):
        raise InvalidInput(f"`{key}` is {documents.kind(value)}: it must be the PEM text of certificates")
    if len(value) > _LONGEST:
        raise InvalidInput(f"`{key}` has {len(value)} characters: at most {_LONGEST} are taken")
    if "PRIVATE KEY" in value:
        raise InvalidInput(f"`{key}` holds a private key: give certificates only, and make a new key")
    try:
        found = x509.load_pem_x509_certificates(value.encode())
    except ValueError as error:
        raise InvalidInput(
            f"`{key}` holds no certificates that can be read: give PEM text, -----BEGIN CERTIFICATE----- and so on"
        ) from error
    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in found)
