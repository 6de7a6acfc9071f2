"""Starts Traefik (`gateway start-traefik`): puts right what would make it start without routes or certificates, then
becomes it. Needs no control plane and no settings, only the rendered `traefik.yaml`; whatever cannot be put right is
reported and Traefik started anyway, for a gateway with some routes is better than none.
"""

import base64
import json
import os
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from appliance import atomic, logs
from appliance.adapters import files, fragment_files
from appliance.layout import Root

log = logs.logger(__name__)

_ACCOUNT_KEY_BITS = 3072
_STORE_MODE = 0o600
_PASSED_ON = frozenset(
    {"PATH", "GATEWAY_ROOT", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
)


@dataclass(frozen=True, slots=True)
class Store:
    """A certificate store of Traefik's, as its static configuration names it."""

    resolver: str
    path: Path
    email: str


def start(root: Root, binary: Path, environment: Mapping[str, str]) -> None:
    """Prepare and become Traefik. Returns only by raising OSError, when the binary cannot be run."""
    prepare(root)
    withdraw_untried(root, binary)
    arguments = [binary.name, f"--configFile={root.static_configuration.absolute()}"]
    program = binary.absolute()
    os.chdir(root.path)  # the files with password lines are named from here
    os.execve(program, arguments, minimal_environment(environment))


def prepare(root: Root) -> None:
    """Set foreign files in `proxy/` aside and make the certificate stores usable. Reports what fails; never raises."""
    try:
        files.sweep(root.proxy, root.staging, root.quarantine)
    except OSError as error:
        log.error("proxy/ could not be checked; Traefik starts with what is there", error=str(error))
    try:
        missing = [store for store in stores(root) if _is_missing(store, root.quarantine)]
        with ThreadPoolExecutor(max(1, len(missing))) as pool:
            for store, document in zip(missing, pool.map(account, missing), strict=True):
                atomic.write(store.path, json.dumps(document))
    except Exception as error:  # noqa: BLE001  a damaged file can fail in any way, and none of them keeps Traefik down
        log.error("the certificate stores could not be checked; Traefik starts with what is there", error=str(error))


def withdraw_untried(root: Root, binary: Path) -> None:
    """Take out fragments that no trial with this Traefik has passed. Reports what fails; never raises."""
    try:
        fragment_files.withdraw_untried(root.proxy, root.fragments, binary)
    except OSError as error:
        log.error("the fragments could not be checked; Traefik starts with what is there", error=str(error))


def minimal_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What Traefik may see: never the appliance's secrets, which may stand in `GATEWAY__*` variables."""
    return {key: value for key, value in environment.items() if key in _PASSED_ON or key.startswith("EXEC_")}


def stores(root: Root) -> list[Store]:
    """The certificate stores in the static configuration. Raises OSError, yaml.YAMLError."""
    static: Any = yaml.safe_load(root.static_configuration.read_text(encoding="utf-8"))
    return [
        Store(resolver, Path(content["acme"]["storage"]), content["acme"].get("email", ""))
        for resolver, content in (static.get("certificatesResolvers") or {}).items()
    ]


def _is_missing(store: Store, quarantine: Path) -> bool:
    """`needs_account`, where a store that cannot be looked at is left alone, and the others are not."""
    try:
        return needs_account(store, quarantine)
    except OSError as error:
        log.error("certificate store could not be checked", store=str(store.path), error=str(error))
        return False


def needs_account(store: Store, quarantine: Path) -> bool:
    """Repair what can be repaired of a store; whether it must be made anew, with a fresh account. Raises OSError.

    Traefik leaves a resolver out, with a line in its log and no other sign, when its store is too open or no JSON.
    """
    try:
        status = store.path.stat()  # an operator may have put a link there, to keep the store elsewhere
    except FileNotFoundError:
        return True
    if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) != _STORE_MODE:
        store.path.chmod(_STORE_MODE)
        log.warning("certificate store had a wrong mode; set to 0600", store=str(store.path))
    if stat.S_ISREG(status.st_mode) and _is_json_object(store.path):
        return False
    if status.st_size:
        target = atomic.set_aside(store.path, quarantine)
        log.error(
            "certificate store was damaged and set aside; its certificates are ordered anew",
            store=str(store.path),
            moved_to=str(target),
        )
    return True


def account(store: Store) -> dict[str, Any]:
    """A store holding a fresh, unregistered ACME account.

    Traefik would make the key itself, RSA with 4096 bits, which takes seconds and is what a first certificate waits
    for. It takes any RSA key that it finds (PKCS #1); 3072 bits are as strong as the 128 bits of everything around it.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=_ACCOUNT_KEY_BITS)
    encoded = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    private_key = base64.b64encode(encoded).decode("ascii")
    registered = {"Email": store.email, "Registration": None, "PrivateKey": private_key}
    return {store.resolver: {"Account": registered, "Certificates": None}}


def _is_json_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (ValueError, RecursionError):
        return False
