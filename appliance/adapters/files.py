"""The files under the root: workloads, accepted versions, routes, Traefik's static configuration.

Directories are read by signature (size, time, inode), so a cycle over thousands of unchanged files costs a stat each.
What is found here comes from people, editors, other programs and accidents; nothing of it is trusted to be a file.
"""

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from appliance import atomic, logs
from appliance.model import documents, workloads
from appliance.model.admission import Desired
from appliance.model.errors import InvalidInput, Unavailable
from appliance.model.plans import Change, Delete, Plan
from appliance.model.workloads import Workload
from appliance.render import dynamic
from appliance.render.middlewares import USERS_SUFFIX

log = logs.logger(__name__)

_SUFFIX = ".yaml"
_LARGEST_ROUTE_FILE_BYTES = 16 * 1024 * 1024

Signature = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One directory entry as it was when it was listed; `signature` is None for what is not a plain file."""

    name: str
    path: Path
    signature: Signature | None
    modified: float


class WorkloadFiles:
    """`workloads/`: the desired state. Keeps `control.ports.WorkloadStore`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[str, tuple[Signature | None, Desired]] = {}

    def load(self) -> list[Desired]:
        """Every `.yaml` file as a workload, or as the reason why it is none. Editors' scratch files are passed over.

        Raises Unavailable when the directory itself is not there: that says nothing about the workloads.
        """
        self._check_directory()
        fresh: dict[str, tuple[Signature | None, Desired]] = {}
        for entry in _entries(self._directory):
            if entry.name.startswith(".") or not entry.name.endswith((_SUFFIX, ".yml")):
                continue
            known = self._read.get(entry.name)
            if known is not None and known[0] is not None and known[0] == entry.signature:
                fresh[entry.name] = known
            elif (desired := _desired(entry)) is not None:
                fresh[entry.name] = (entry.signature, desired)
        self._read = fresh
        return [desired for _, desired in fresh.values()]

    def read(self, identities: Iterable[str]) -> dict[str, Desired | None]:
        """These workloads' files as they are now; None: there is none. Raises Unavailable as `load`."""
        self._check_directory()
        return {identity: self._read_one(identity) for identity in identities}

    def _check_directory(self) -> None:
        if not self._directory.is_dir():
            raise Unavailable(f"the directory {self._directory} is gone: bring it back; the routes are kept meanwhile")

    def _read_one(self, identity: str) -> Desired | None:
        name = identity if identity.endswith(".yml") else f"{identity}{_SUFFIX}"
        entry = _entry(self._directory, name)
        desired = _desired(entry) if entry is not None else None
        if entry is None or desired is None:
            self._read.pop(name, None)
        else:
            self._read[name] = (entry.signature, desired)
        return desired

    def put(self, workload: Workload) -> None:
        """Write `<id>.yaml`. Raises Unavailable when the disk refuses."""
        content = yaml.safe_dump(workload.document(), sort_keys=False, allow_unicode=True)
        path = self._directory / f"{workload.id}{_SUFFIX}"
        try:
            atomic.write(path, content)
        except OSError as error:
            raise Unavailable(f"cannot write {path}: {error.strerror}; the workload is as it was") from error

    def remove(self, identity: str) -> bool:
        """Remove `<id>.yaml`, readable or not. Raises Unavailable when the disk refuses."""
        path = self._directory / f"{workloads.workload_id(identity)}{_SUFFIX}"
        try:
            return _removed(path)
        except OSError as error:
            raise Unavailable(f"cannot remove {path}: {error.strerror}; the workload is as it was") from error


class AcceptedFiles:
    """`state/accepted/`: the versions let in last. Keeps `control.ports.AcceptedStore`; nobody else writes there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, Workload] | None = None

    def load(self) -> Mapping[str, Workload]:
        """By id; read from disk once."""
        if self._known is None:
            found = (_desired(entry) for entry in _entries(self._directory) if entry.name.endswith(_SUFFIX))
            self._known = {item.id: item.content for item in found if item and isinstance(item.content, Workload)}
        return dict(self._known)

    def put(self, workload: Workload) -> None:
        """Remember this version. Not synced: losing it costs only who was first, after a power failure.

        Raises Unavailable when the disk refuses.
        """
        self.load()
        content = json.dumps(workload.document())  # YAML too, and a hundred times as fast to write
        try:
            atomic.write(self._directory / f"{workload.id}{_SUFFIX}", content, sync=False)
        except OSError as error:
            raise Unavailable(f"cannot write into {self._directory}: {error.strerror}") from error
        self._cache()[workload.id] = workload

    def remove(self, identity: str) -> bool:
        """Forget a workload."""
        self._cache().pop(identity, None)
        return _removed(self._directory / f"{identity}{_SUFFIX}")

    def _cache(self) -> dict[str, Workload]:
        self.load()
        return self._known if self._known is not None else {}


class ProxyFiles:
    """`proxy/`: what Traefik watches. Keeps `control.ports.RouteFiles`."""

    def __init__(self, directory: Path, staging: Path, quarantine: Path) -> None:
        self._directory = directory
        self._staging = staging
        self._quarantine = quarantine
        self._read: dict[str, tuple[Signature, str]] = {}

    def current(self) -> Mapping[str, str]:
        """The appliance's own, whole files. Anything else is moved to `quarantine/`: it could freeze all routes."""
        fresh: dict[str, tuple[Signature, str]] = {}
        for entry in _entries(self._directory):
            known = self._read.get(entry.name)
            if known is not None and known[0] == entry.signature:
                fresh[entry.name] = known
                continue
            content = _own_text(entry)
            if content is not None and entry.signature is not None:
                fresh[entry.name] = (entry.signature, content)
            else:
                self._set_aside(entry)
        self._read = fresh
        return {name: content for name, (_, content) in fresh.items()}

    def damaged(self, names: Iterable[str]) -> frozenset[str]:
        """Which of these entries are not as they were written; foreign ones among them go to `quarantine/`."""
        return frozenset(name for name in names if self._is_damaged(name))

    def _is_damaged(self, name: str) -> bool:
        entry, known = _entry(self._directory, name), self._read.get(name)
        if entry is not None and known is not None and known[0] == entry.signature:
            return False
        content = _own_text(entry) if entry is not None else None
        if entry is not None and entry.signature and known is not None and content == known[1]:
            self._read[name] = (entry.signature, known[1])
            return False
        self._read.pop(name, None)
        if entry is not None:
            self._set_aside(entry)
        return True

    def write(self, plan: Plan) -> None:
        """Carry out a plan: each file is staged elsewhere, synced and renamed into place.

        Raises Unavailable when the disk refuses.
        """
        try:
            for change in plan:
                self._carry_out(change)
            if plan:
                atomic.sync_directory(self._directory)
        except OSError as error:
            raise Unavailable(
                f"cannot write into {self._directory}: {error.strerror}; it is tried again every few seconds"
            ) from error

    def _carry_out(self, change: Change) -> None:
        path = self._directory / change.name
        self._read.pop(change.name, None)
        if isinstance(change, Delete):
            path.unlink(missing_ok=True)
            return
        staged = atomic.write(path, change.text, staging=self._staging)
        entry = _entry(self._directory, change.name)
        if entry is not None and entry.signature is not None and _is_untouched(entry.signature, staged):
            self._read[change.name] = (entry.signature, change.text)

    def _set_aside(self, entry: _Entry) -> None:
        try:
            target = atomic.set_aside(entry.path, self._quarantine)
        except FileNotFoundError:
            return
        _release_readers(target)
        log.warning(
            "foreign file set aside: only the appliance writes to proxy/; own fragments go to extra/",
            file=entry.name,
            moved_to=str(target),
        )


class StaticConfigurationFile:
    """`traefik.yaml`, and the mark that Traefik has yet to be restarted for it.

    Keeps `control.ports.StaticConfiguration`.
    """

    def __init__(self, path: Path, mark: Path) -> None:
        self._path = path
        self._mark = mark

    def replace(self, text: str) -> bool:
        """Write it when it differs. The mark comes first, so that dying between the two forgets no restart."""
        if not self._path.exists() or self._path.read_bytes() != text.encode():
            self._mark.touch(mode=0o600)
            atomic.write(self._path, text)
        return self._mark.exists()

    def restarted(self) -> None:
        """Take the mark away."""
        self._mark.unlink(missing_ok=True)


def sweep(directory: Path, staging: Path, quarantine: Path) -> None:
    """Set aside what does not belong into `proxy/`: at Traefik's start one bad file there means no routes at all."""
    ProxyFiles(directory, staging, quarantine).current()


def _entries(directory: Path) -> Iterator[_Entry]:
    try:
        listing = sorted(os.scandir(directory), key=lambda item: item.name)
    except FileNotFoundError:
        return
    for item in listing:
        try:
            status = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield _Entry(item.name, directory / item.name, _signature(status), status.st_mtime)


def _entry(directory: Path, name: str) -> _Entry | None:
    path = directory / name
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _Entry(name, path, _signature(status), status.st_mtime)


def _signature(status: os.stat_result) -> Signature | None:
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _is_untouched(signature: Signature, staged: os.stat_result) -> bool:
    """Whether a file is still as it was staged. Its renaming counts as a change of status, but not of content."""
    modified, _, size, inode = signature
    return (modified, size, inode) == (staged.st_mtime_ns, staged.st_size, staged.st_ino)


def _release_readers(path: Path) -> None:
    """Let go who waits for somebody to write into a pipe: Traefik would wait for ever, and read no change any more."""
    with contextlib.suppress(OSError):
        if stat.S_ISFIFO(path.lstat().st_mode):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))


def _desired(entry: _Entry) -> Desired | None:
    """A workload file's content or what is wrong with it; None when it has gone meanwhile."""
    shown = _printable(entry.name)
    identity = shown.removesuffix(_SUFFIX)
    try:
        raw = _read_limited(entry.path, documents.LARGEST_DOCUMENT_BYTES)
        return Desired(identity, _parsed(entry, identity, raw), entry.modified)
    except FileNotFoundError:
        return None
    except InvalidInput as error:
        return Desired(identity, error, entry.modified)
    except OSError as error:
        return Desired(identity, InvalidInput(f"{shown} cannot be read: {error.strerror}"), entry.modified)


def _parsed(entry: _Entry, identity: str, raw: bytes) -> Workload:
    if not entry.name.endswith(_SUFFIX):
        right = identity.rsplit(".", 1)[0] + _SUFFIX
        raise InvalidInput(f"rename {identity} to {right}: workload files end in {_SUFFIX}")
    return workloads.parse(identity, documents.parse(raw))


def _own_text(entry: _Entry) -> str | None:
    """The text of a whole file of the appliance's own, else None."""
    if entry.signature is None or not entry.name.endswith((_SUFFIX, USERS_SUFFIX)):
        return None
    try:
        content = _read_limited(entry.path, _LARGEST_ROUTE_FILE_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError, InvalidInput):
        return None
    return content if dynamic.is_sealed(content) else None


def _read_limited(path: Path, largest: int) -> bytes:
    """The file's bytes; a pipe or device in its place is refused, not waited for. Raises OSError, InvalidInput."""
    with open(path, "rb", opener=_open_without_waiting) as file:
        raw = file.read(largest + 1)
    if len(raw) > largest:
        raise InvalidInput(f"{_printable(path.name)} is larger than {largest} bytes")
    return raw


def _open_without_waiting(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInput(f"{_printable(Path(path).name)} is no plain file: put a YAML file in its place")
    return descriptor


def _printable(name: str) -> str:
    """A file name, which need not be UTF-8, as text that can be sent on."""
    return os.fsencode(name).decode("utf-8", "replace")


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
