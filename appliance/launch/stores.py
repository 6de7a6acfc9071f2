"""Before Traefik starts: its certificate stores are checked, repaired from snapshots, and rid of what nobody uses.

Traefik leaves a certificate resolver out, with a line in its log and no other sign, when its store is too open or no
JSON; and it reads a store at its start only, so this is the one moment to take anything out. Needs no control plane.
"""

import base64
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from appliance import atomic, directories, logs
from appliance.adapters import store_files
from appliance.adapters.store_files import MODE, Snapshots, StoreRecordFiles
from appliance.layout import Root
from appliance.model import certificate_stores, store_repairs
from appliance.model.certificate_ledger import CertificateLedger, InUse, hosts_in
from appliance.model.errors import InvalidInput, Unavailable
from appliance.model.store_repairs import Restored

log = logs.logger(__name__)

_ACCOUNT_KEY_BITS = 3072
_LARGEST_BYTES = 128 * 1024 * 1024

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Store:
    """A certificate store of Traefik's, as its static configuration names it."""

    resolver: str
    path: Path
    email: str


def check(root: Root, clock: Clock = time.time) -> None:
    """Make every store usable, and report what that took. What fails is logged; never raises."""
    records = StoreRecordFiles(root.certificates, root.restored)
    try:
        found = [_Check(root, store, records.load(), clock) for store in stores(root)]
        with ThreadPoolExecutor(max(1, len(found))) as pool:  # making a new account takes seconds
            repairs = [repair for repair in pool.map(_Check.carry_out, found) if repair is not None]
        if repairs:
            records.report(repairs)
    except Exception as error:  # noqa: BLE001  a damaged file can fail in any way, and none of them keeps Traefik down
        log.error("the certificate stores could not be checked; Traefik starts with what is there", error=str(error))


def stores(root: Root) -> list[Store]:
    """The certificate stores in the static configuration. Raises OSError, yaml.YAMLError."""
    static: Any = yaml.safe_load(root.static_configuration.read_text(encoding="utf-8"))
    return [
        Store(resolver, Path(content["acme"]["storage"]), content["acme"].get("email", ""))
        for resolver, content in (static.get("certificatesResolvers") or {}).items()
    ]


def account(email: str) -> dict[str, Any]:
    """A fresh, unregistered ACME account, as Traefik keeps it.

    Traefik would make the key itself, RSA with 4096 bits, which takes seconds and is what a first certificate waits
    for. It takes any RSA key that it finds (PKCS #1); 3072 bits are as strong as the 128 bits of everything around it.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415  60 ms that most starts need not spend
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = rsa.generate_private_key(public_exponent=65537, key_size=_ACCOUNT_KEY_BITS)
    encoded = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return {"Email": email, "Registration": None, "PrivateKey": base64.b64encode(encoded).decode("ascii")}


class _Check:
    """The check of one store."""

    def __init__(self, root: Root, store: Store, ledger: CertificateLedger, clock: Clock) -> None:
        self._root = root
        self._store = store
        self._ledger = ledger
        self._now = clock()
        self._wrong: list[str] = []
        self._restored_from: float | None = None
        self._lost: tuple[str, ...] = ()
        self._snapshots: Snapshots = store_files.snapshots_of(root, store.path)
        # An operator may have put a link there, to keep the store elsewhere.
        target = store.path.resolve()
        self._path = target if target.parent.is_dir() else store.path

    def carry_out(self) -> Restored | None:
        """Repair what must be repaired; how, if there is anything to report. Never raises."""
        try:
            self._set_mode_right()
            raw = self._read()
            if not (raw and self._snapshots.has(raw)):
                raw = self._repaired(raw)
            self._drop(raw)
        except Exception as error:  # noqa: BLE001  see `check`
            log.error("certificate store could not be checked", store=str(self._store.path), error=repr(error))
        if not self._wrong:
            return None
        report = Restored(self._store.path.name, self._now, "; ".join(self._wrong), self._restored_from, self._lost)
        log.error("certificate store repaired", what=report.sentence())
        return report

    def _set_mode_right(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            atomic.set_aside(self._path, self._root.quarantine)
            self._wrong.append("something else was in its place")
        elif mode != MODE:
            self._path.chmod(MODE)
            self._wrong.append(f"its mode was {mode:04o}, and Traefik takes 0600 only")

    def _read(self) -> bytes:
        """The content; nothing where there is no file."""
        try:
            return directories.read_limited(self._path, _LARGEST_BYTES)
        except FileNotFoundError:
            return b""

    def _repaired(self, raw: bytes) -> bytes:
        """The content, or that of a whole store, which is in its place now."""
        found = certificate_stores.read(raw, self._store.resolver)
        if not found.faults:
            return raw
        used, unused = self._known_names()
        result = store_repairs.repair(found, self._snapshots.whole(found.resolver), used)
        whole = result.store
        if whole.account is None:
            whole = replace(whole, account=account(self._store.email))
        if raw:
            self._set_aside(raw)
        content = whole.text().encode()
        atomic.write(self._path, content)
        self._restored_from = result.restored_from
        self._lost = tuple(name for name in result.lost if name not in unused)
        if raw or used or result.restored_from is not None:  # else it has never been there
            self._wrong += found.faults if raw else ("it was missing or empty",)
        return content

    def _known_names(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names that there were certificates for: those in use, and the others."""
        own = [one for one in self._ledger.holdings if one.resolver == self._store.resolver]
        used = frozenset(name for one in own if one.unused_since is None for name in one.asked)
        return used, frozenset(name for one in own for name in one.asked) - used

    def _set_aside(self, raw: bytes) -> None:
        """Keep the damaged content for a person to look at, if that can be done."""
        target = atomic.place_aside(self._store.path.name, self._root.quarantine)
        try:
            atomic.write(target, raw)
        except OSError as error:
            log.warning("the damaged certificate store could not be kept", error=str(error))

    def _drop(self, raw: bytes) -> None:
        """Take out what nobody has used for the grace time; nothing, if there is any doubt."""
        due = {one.asked for one in self._ledger.due(self._now) if one.resolver == self._store.resolver}
        if not due:
            return
        store = certificate_stores.read(raw, self._store.resolver)
        due &= {entry.asked for entry in store.entries}
        if not due or store.faults:
            return
        try:
            use = self._use()
        except (OSError, InvalidInput, Unavailable) as error:
            log.warning("no certificate is dropped: it cannot be told what is used", reason=str(error))
            return
        dropped = frozenset(asked for asked in due if not use.needs(asked))
        if dropped:
            atomic.write(self._path, store.without(dropped).text())
            log.info(
                "certificates dropped that no workload used for longer than `certificates.grace`",
                store=self._store.path.name,
                names=sorted(" ".join(asked) for asked in dropped),
            )

    def _use(self) -> InUse:
        """Whatever workloads and routes speak of now: the ledger may be older.

        Raises OSError, InvalidInput or Unavailable when that cannot be told.
        """
        workloads = list(_texts(self._root.workloads))
        if self._ledger.workloads and not workloads:
            raise Unavailable(
                "there are no workload files any more: no certificate is dropped, in case a mount is lost"
            )
        return InUse.of(host for text in (*workloads, *_texts(self._root.proxy)) for host in hosts_in(text))


def _texts(directory: Path) -> Iterator[str]:
    """Every file in a directory. Raises OSError, InvalidInput."""
    for path in directory.iterdir():
        if path.suffix == directories.SUFFIX:
            yield directories.read_limited(path, _LARGEST_BYTES).decode("utf-8", "replace")
