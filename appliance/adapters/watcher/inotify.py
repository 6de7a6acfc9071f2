"""The library's seam: an inotify instance, what it tells of, and what it complains of."""

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    EVENT_TYPE_DELETED,
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_CHANGES: list[type[FileSystemEvent]] = [
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]
"""Mere reading is no change: it would make the reader's own work an event."""
EXHAUSTED = {
    errno.ENOSPC: "this host has no inotify watches left: run `sysctl fs.inotify.max_user_watches=524288`",
    errno.EMFILE: "this host has no inotify instances left: run `sysctl fs.inotify.max_user_instances=1024`",
}
"""What to do about an error of the kernel's, by its number."""


class Inotify:
    """An inotify instance, from the first watch on: a host may have none left."""

    def __init__(self) -> None:
        self._observer: BaseObserver | None = None

    def schedule(self, relay: FileSystemEventHandler, directory: Path) -> ObservedWatch:
        """Watch a directory. Raises OSError."""
        if self._observer is None:
            observer = Observer()
            observer.start()
            self._observer = observer
        return self._observer.schedule(relay, str(directory), event_filter=_CHANGES)

    def unschedule(self, watch: ObservedWatch) -> None:
        """Watch it no longer."""
        if self._observer is not None:
            with contextlib.suppress(KeyError, OSError):
                self._observer.unschedule(watch)

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=5)


class Relay(FileSystemEventHandler):
    """Passes on the names of entries that changed (None: the directory itself did), and that it was removed."""

    def __init__(self, directory: str, tell: Callable[[str | None], None], tell_lost: Callable[[], None]) -> None:
        self._directory = directory
        self._tell = tell
        self._tell_lost = tell_lost

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Relay a change."""
        paths = [os.path.split(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        names: list[str | None] = [name for parent, name in paths if parent == self._directory]
        if not names and event.event_type == EVENT_TYPE_DELETED:
            self._tell_lost()
            return
        for name in names or [None]:
            self._tell(name)


class Complaints(logging.Handler):
    """Hears what the library complains of: that the kernel's queue was full, above all. Events may be lost then."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002  whatever it says
        """Tell it. The line goes to the log besides, by the usual way."""
        self._tell()
