"""The library's seam: an inotify instance, what it tells of, and what it complains of."""

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

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
        self._turns: dict[Path, bool] = {}

    def schedule(self, relay: FileSystemEventHandler, directory: Path) -> ObservedWatch:
        """Watch a directory that is given without links. Raises OSError.

        The library takes two watches for one that are spelled alike, and would give what it still has to tell about a
        directory that is gone to whoever watches the one in its place. So they are spelled in turns, by an option that
        means nothing where there are no links.
        """
        if self._observer is None:
            observer = Observer()
            observer.start()
            self._observer = observer
        turn = self._turns[directory] = not self._turns.get(directory, False)
        return self._observer.schedule(relay, str(directory), event_filter=_CHANGES, follow_symlink=turn)

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


class Tell(Protocol):
    """Whoever is told of changes."""

    def __call__(self, name: str | None, *, is_removed: bool) -> None:
        """The entry `name` changed, or was removed; None: the directory itself."""


class Relay(FileSystemEventHandler):
    """Passes on which entries of a directory changed."""

    def __init__(self, directory: str, tell: Tell) -> None:
        self._directory = directory
        self._tell = tell

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Relay a change."""
        paths = [os.path.split(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        names: list[str | None] = [name for parent, name in paths if parent == self._directory]
        for name in names or [None]:
            self._tell(name, is_removed=event.event_type == EVENT_TYPE_DELETED)


class Complaints(logging.Handler):
    """Hears what the library complains of: that the kernel's queue was full, above all. Events may be lost then."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002  whatever it says
        """Tell it. The line goes to the log besides, by the usual way."""
        self._tell()
