"""Tells when something in a directory changes (watchdog).

An event only says "look again"; what has changed is read from the files. Watching has its gaps: a directory is removed
and made anew, another is mounted over it, a link is pointed elsewhere, the kernel has no watches left, a network
filesystem tells of nobody else's changes. So `look` is called every few seconds: it notices a directory that is
another one now and watches that, and for one that cannot be watched it simply says "look again".
"""

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from appliance import logs

log = logs.logger(__name__)

OnChange = Callable[[frozenset[str]], None]
"""Told the names of the entries that changed; none: anything may have."""

_CHANGES = frozenset({"created", "deleted", "modified", "moved", "closed"})
_SILENT_FILESYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs", "fuse.sshfs", "fuse.glusterfs"}
)
"""Their other clients' changes raise no event here."""


@dataclass(slots=True)
class _Place:
    """A directory under watch: which one it was when it was looked at last, and whether events tell of it."""

    directory: Path
    on_change: OnChange
    identity: tuple[int, int] | None = None
    watch: ObservedWatch | None = None


class Watcher:
    """Watches directories. `start()` returns when it watches; `stop()` may be repeated."""

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._observer = Observer()
        self._lock = threading.Lock()

    def add(self, directory: Path, on_change: OnChange) -> None:
        """Call `on_change`, on the watcher's thread, when an entry of `directory` changes. Before `start`."""
        self._places.append(_Place(directory, on_change))

    def start(self) -> None:
        """Watch from now on."""
        self._observer.start()
        with self._lock:
            for place in self._places:
                self._schedule(place)

    def look(self) -> None:
        """Make up for what events cannot tell. To be called every few seconds."""
        with self._lock:
            for place in self._places:
                if _identity(place.directory) != place.identity:
                    self._schedule(place)
                    place.on_change(frozenset())
                elif place.watch is None and place.identity is not None:
                    place.on_change(frozenset())

    def stop(self) -> None:
        """Stop watching."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=5)

    def _schedule(self, place: _Place) -> None:
        """Watch the directory that is at this place now. Where that is impossible the log says why, once."""
        if place.watch is not None:
            with contextlib.suppress(KeyError, OSError):
                self._observer.unschedule(place.watch)
            place.watch = None
        before, place.identity = place.identity, _identity(place.directory)
        if place.identity is None:
            if before is not None:
                log.warning(
                    "a watched directory is gone; it is watched again when it is back", directory=place.directory
                )
            return
        silent = _silent_filesystem(place.directory)
        if silent is not None:
            log.warning(
                "changes are polled: this filesystem tells of none", directory=place.directory, filesystem=silent
            )
            return
        try:
            place.watch = self._observer.schedule(_Relay(place.directory, place.on_change), str(place.directory))
        except OSError as error:
            log.warning(
                "changes are polled: the directory cannot be watched; raise fs.inotify.max_user_watches and "
                "fs.inotify.max_user_instances with sysctl",
                directory=place.directory,
                error=error.strerror,
            )


class _Relay(FileSystemEventHandler):
    """Passes on that something changed. Mere reading is no change: it would make the reader's own work an event."""

    def __init__(self, directory: Path, on_change: OnChange) -> None:
        self._directory = str(directory)
        self._on_change = on_change

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Relay a change of a watched entry. (A directory counts as modified whenever an entry of it is.)"""
        if event.event_type not in _CHANGES:
            return
        paths = [os.path.split(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        names = frozenset(name for parent, name in paths if parent == self._directory)
        if names or event.event_type != "modified":
            self._on_change(names)


def _identity(directory: Path) -> tuple[int, int] | None:
    """Which directory is at this path now; None: none."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _silent_filesystem(directory: Path) -> str | None:
    """The type of the filesystem a directory lies on, if it is one that tells nothing."""
    path = str(directory.resolve())
    kinds = {item.mountpoint.rstrip("/"): item.fstype for item in psutil.disk_partitions(all=True)}
    mounts = [mount for mount in kinds if path == mount or path.startswith(f"{mount}/")]
    kind = kinds[max(mounts, key=len)] if mounts else ""
    return kind if kind in _SILENT_FILESYSTEMS else None
