"""Tells when something in a directory, or one file, changes (watchdog).

An event only says "look again"; what has changed is read from the files. Watching may not be possible (inotify limits,
network filesystems); a slow poll of the directory's own signature then stands in, and the log says so.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from appliance import logs

log = logs.logger(__name__)

_CHANGES = frozenset({"created", "deleted", "modified", "moved", "closed"})
_POLL_SECONDS = 2.0


class Watcher:
    """Watches directories; each has its own callback, called on the watcher's thread. Before `start`: `add`."""

    def __init__(self) -> None:
        self._watched: list[tuple[Path, _Relay]] = []
        self._observer: BaseObserver | None = None
        self._lock = threading.Lock()

    def add(self, directory: Path, on_change: Callable[[frozenset[str]], None]) -> None:
        """Call `on_change` with the names of entries of `directory` that changed; none: the directory itself did."""
        self._watched.append((directory, _Relay(directory, on_change)))

    def start(self) -> None:
        """Watch from now on."""
        with self._lock:
            try:
                self._observer = self._started(Observer())
            except OSError as error:
                log.warning(
                    "cannot watch directories, polling every 2 s instead; raise fs.inotify.max_user_watches "
                    "and fs.inotify.max_user_instances",
                    error=str(error),
                )
                self._observer = self._started(PollingObserver(timeout=_POLL_SECONDS))

    def stop(self) -> None:
        """Stop watching. May be called again."""
        with self._lock:
            if self._observer is not None:
                self._observer.stop()
                self._observer.join(timeout=5)
                self._observer = None

    def _started(self, observer: BaseObserver) -> BaseObserver:
        for directory, relay in self._watched:
            if directory.is_dir():
                observer.schedule(relay, str(directory), recursive=False)
            else:
                log.info("not watched, since it is not there", directory=str(directory))
        observer.start()
        return observer


class _Relay(FileSystemEventHandler):
    """Passes on that something changed. Mere reading is no change: it would make the reader's own work an event."""

    def __init__(self, directory: Path, on_change: Callable[[frozenset[str]], None]) -> None:
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
