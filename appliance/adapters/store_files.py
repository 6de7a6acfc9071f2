"""Traefik's certificate stores, their snapshots, and what is recorded about them. Keeps `control.ports_stores`.

A snapshot's name says when it was taken, its number, and the digest of its content: so a damaged one is known, and a
store that is the same as a snapshot needs no check, because that was checked when it was taken.
"""

import hashlib
import json
import os
import re
import stat
import time
from calendar import timegm
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from appliance import atomic, directories, logs
from appliance.control.ports_stores import StoreStatus
from appliance.layout import Root
from appliance.model import certificate_stores
from appliance.model.certificate_ledger import CertificateLedger, Holding
from appliance.model.errors import InvalidInput, Unavailable
from appliance.model.store_repairs import Restored, Snapshot

log = logs.logger(__name__)

MODE = 0o600
"""What Traefik takes; it passes over a store that anybody else may read."""
FORMAT = 1
"""Version of the ledger. One of another version is not guessed at."""
_LARGEST_BYTES = 128 * 1024 * 1024
_LARGEST_RECORD_BYTES = 16 * 1024 * 1024
_SNAPSHOTS_KEPT = 10
_REPORTS_KEPT = 20
_MOMENT = "%Y%m%dT%H%M%SZ"
_SNAPSHOT = re.compile(r"([0-9]{8}T[0-9]{6}Z)-([0-9]{1,9})-([0-9a-f]{32})\.json")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A snapshot by its name. They are ordered by number, since a clock may jump."""

    number: int
    taken: float
    digest: str
    path: Path


class Snapshots:
    """The snapshots of one store, in a directory of their own (0700); they are built in `staging`."""

    def __init__(self, directory: Path, staging: Path) -> None:
        self._directory = directory
        self._staging = staging

    def has(self, raw: bytes) -> bool:
        """Whether one holds exactly this. Raises OSError."""
        return _digest(raw) in {kept.digest for kept in self._kept()}

    def exist(self) -> bool:
        """Whether there is any. Raises OSError."""
        return bool(self._kept())

    def whole(self, resolver: str) -> Iterator[Snapshot]:
        """Those that can be read and are whole, newest first; each is read when it is asked for. Raises OSError."""
        for kept in self._kept():
            try:
                raw = directories.read_limited(kept.path, _LARGEST_BYTES)
            except (OSError, InvalidInput) as error:
                log.warning("snapshot cannot be read", snapshot=str(kept.path), error=str(error))
                continue
            store = certificate_stores.read(raw, resolver)
            if _digest(raw) == kept.digest and not store.faults:
                yield Snapshot(kept.taken, store)
            else:
                log.warning("snapshot is damaged", snapshot=str(kept.path))

    def take(self, raw: bytes, now: float) -> bool:
        """Keep this, unless the newest is the same (False). The oldest goes when there are too many. Raises OSError."""
        present = self._kept()
        digest = _digest(raw)
        if present and present[0].digest == digest:
            return False
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = present[0].number + 1 if present else 1
        name = f"{time.strftime(_MOMENT, time.gmtime(now))}-{number:06d}-{digest}.json"
        atomic.write(self._directory / name, raw, staging=self._staging)
        for old in present[_SNAPSHOTS_KEPT - 1 :]:
            old.path.unlink(missing_ok=True)
        atomic.sync_directory(self._directory)
        return True

    def _kept(self) -> list[_Kept]:
        """Newest first."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        found = [(self._directory / name, match) for name in names if (match := _SNAPSHOT.fullmatch(name))]
        kept = [_Kept(int(match[2]), _taken(match[1]), match[3], path) for path, match in found]
        return sorted(kept, key=lambda one: one.number, reverse=True)


def snapshots_of(root: Root, path: Path) -> Snapshots:
    """The snapshots of the store at `path`."""
    return Snapshots(root.snapshots / path.stem, root.staging)


class TraefikStore:
    """One store. Keeps `control.ports_stores.StoreFile`."""

    def __init__(self, resolver: str, path: Path, snapshots: Snapshots) -> None:
        self.resolver = resolver
        self.name = path.name
        self._path = path
        self._snapshots = snapshots

    def status(self) -> StoreStatus | None:
        """How it is now; None: it is not there, or something else is in its place."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"cannot look at {self._path}: {error.strerror}") from error
        signature = directories.signature(found)
        mode = stat.S_IMODE(found.st_mode)
        return StoreStatus(signature, mode, mode == MODE) if signature else None

    def make_private(self) -> None:
        """Mode 0600."""
        try:
            self._path.chmod(MODE)
        except OSError as error:
            raise Unavailable(f"cannot set the mode of {self._path}: {error.strerror}") from error

    def read(self) -> bytes:
        """Its content, if nobody wrote meanwhile: Traefik writes in place."""
        before = self.status()
        try:
            raw = directories.read_limited(self._path, _LARGEST_BYTES)
        except InvalidInput as error:
            raise Unavailable(str(error)) from error
        except OSError as error:
            raise Unavailable(f"cannot read {self._path}: {error.strerror}") from error
        if self.status() != before:
            raise Unavailable(f"{self._path} is being written")
        return raw

    def keep(self, raw: bytes, now: float) -> bool:
        """Take a snapshot."""
        try:
            return self._snapshots.take(raw, now)
        except OSError as error:
            raise Unavailable(f"cannot write a snapshot of {self._path}: {error.strerror}") from error

    def has_snapshot(self) -> bool:
        """Whether there is any."""
        try:
            return self._snapshots.exist()
        except OSError as error:
            raise Unavailable(f"cannot look at the snapshots of {self._path}: {error.strerror}") from error


class StoreRecordFiles:
    """The ledger and the report. Keeps `control.ports_stores.StoreRecords`."""

    def __init__(self, ledger: Path, report: Path) -> None:
        self._ledger = ledger
        self._report = report
        self._seen: tuple[int, ...] | None = None
        self._known: Sequence[Restored] = ()

    def load(self) -> CertificateLedger:
        """The ledger; an empty one, which drops nothing, when there is none or none that can be read."""
        try:
            return _ledger(_json(self._ledger))
        except FileNotFoundError:
            return CertificateLedger()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidInput) as error:
            log.warning("the ledger of certificates cannot be read; it begins anew", error=repr(error))
            return CertificateLedger()

    def save(self, ledger: CertificateLedger) -> None:
        """Replace the ledger, atomically and synced. Raises Unavailable."""
        document = {"format": FORMAT, **asdict(ledger)}
        try:
            atomic.write(self._ledger, json.dumps(document, indent=1))
            atomic.sync_directory(self._ledger.parent)
        except OSError as error:
            raise Unavailable(f"cannot write {self._ledger}: {error.strerror}") from error

    def restored(self) -> Sequence[Restored]:
        """The last repairs, oldest first; none when that cannot be read. Costs little while nothing changes."""
        try:
            signature = directories.signature(self._report.stat())
            if signature != self._seen:
                self._seen, self._known = signature, ()
                self._known = [_restored(entry) for entry in _json(self._report)]
        except FileNotFoundError:
            self._seen, self._known = None, ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidInput) as error:
            log.warning("the report of repaired certificate stores cannot be read", error=repr(error))
        return self._known

    def report(self, repairs: Sequence[Restored]) -> None:
        """Add to the report. Raises OSError."""
        kept = [*self.restored(), *repairs][-_REPORTS_KEPT:]
        self._report.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic.write(self._report, json.dumps([asdict(repair) for repair in kept], indent=1))


def _json(path: Path) -> Any:
    return json.loads(directories.read_limited(path, _LARGEST_RECORD_BYTES))


def _ledger(document: Any) -> CertificateLedger:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}, this version reads {FORMAT}")
    holdings = [
        Holding(str(one["resolver"]), _names(one["asked"]), _optional(one["unused_since"]))
        for one in document["holdings"]
    ]
    grace, count = float(document["grace_seconds"]), int(document["workloads"])
    return CertificateLedger(tuple(holdings), grace, count, _optional(document["restarted"]))


def _restored(entry: Any) -> Restored:
    source = _optional(entry["restored_from"])
    return Restored(
        str(entry["store"]), float(entry["when"]), str(entry["wrong"]), source, _names(entry["ordered_anew"])
    )


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"{value!r} is no list of names")
    return tuple(value)


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:32]


def _taken(text: str) -> float:
    try:
        return float(timegm(time.strptime(text, _MOMENT)))
    except ValueError:
        return 0.0
