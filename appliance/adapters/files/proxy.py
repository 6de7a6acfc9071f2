"""What Traefik reads: the directory of dynamic configuration that it watches, and its static configuration."""

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from appliance import atomic, directories, logs
from appliance.model.errors import InvalidInput, Unavailable
from appliance.model.plans import Change, Delete, Plan
from appliance.render import dynamic
from appliance.render.middlewares import USERS_SUFFIX

log = logs.logger(__name__)


class ProxyFiles:
    """`proxy/`: what Traefik watches. Keeps `control.ports.RouteFiles`."""

    def __init__(self, directory: Path, staging: Path, quarantine: Path) -> None:
        self._directory = directory
        self._staging = staging
        self._quarantine = quarantine
        self._read: dict[str, tuple[directories.Signature, str]] = {}

    def current(self) -> Mapping[str, str]:
        """The appliance's own, whole files. Anything else is moved to `quarantine/`: it could freeze all routes.

        Raises Unavailable when the directory cannot be read.
        """
        try:
            return self._current()
        except OSError as error:
            raise Unavailable(
                f"cannot read {self._directory}: {error.strerror}; it is tried again every few seconds"
            ) from error

    def _current(self) -> Mapping[str, str]:
        fresh: dict[str, tuple[directories.Signature, str]] = {}
        for entry in directories.entries(self._directory):
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
        entry, known = directories.entry(self._directory, name), self._read.get(name)
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

        A directory that is gone is made again. Raises Unavailable when the disk refuses.
        """
        try:
            if plan:
                self._directory.mkdir(mode=0o700, exist_ok=True)
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
        entry = directories.entry(self._directory, change.name)
        if entry is not None and entry.signature is not None and _is_untouched(entry.signature, staged):
            self._read[change.name] = (entry.signature, change.text)

    def _set_aside(self, entry: directories.Entry) -> None:
        try:
            target = atomic.set_aside(entry.path, self._quarantine)
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("foreign file cannot be set aside: remove it by hand", file=entry.name, reason=error.strerror)
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
    """Set aside what does not belong into `proxy/`: at Traefik's start one bad file there means no routes at all.

    Without the directory Traefik would never read routes, also later: it is made. Raises OSError, Unavailable.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    ProxyFiles(directory, staging, quarantine).current()


def _is_untouched(signature: directories.Signature, staged: os.stat_result) -> bool:
    """Whether a file is still as it was staged. Its renaming counts as a change of status, but not of content."""
    modified, _, size, inode = signature
    return (modified, size, inode) == (staged.st_mtime_ns, staged.st_size, staged.st_ino)


def _release_readers(path: Path) -> None:
    """Let go who waits for somebody to write into a pipe: Traefik would wait for ever, and read no change any more."""
    with contextlib.suppress(OSError):
        if stat.S_ISFIFO(path.lstat().st_mode):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))


def _own_text(entry: directories.Entry) -> str | None:
    """The text of a whole file of the appliance's own, else None."""
    if entry.signature is None or not entry.name.endswith((directories.SUFFIX, USERS_SUFFIX)):
        return None
    try:
        content = directories.read_limited(entry.path, dynamic.LARGEST_FILE_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError, InvalidInput):
        return None
    return content if dynamic.is_sealed(content) else None
