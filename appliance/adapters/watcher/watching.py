"""Tells when something in a directory changes (watchdog).

An event only says "look again"; what has changed is read from the files. Watching has its gaps: a directory is removed
and made anew, another is mounted over it, a link is pointed elsewhere, the kernel has no watches left or drops events,
a filesystem tells of nobody else's changes. So the directories above are watched too, whatever the library complains
of means "anything may have changed", and `look` is called every few seconds: it notices a directory that is another
one now, tries again to watch what could not be watched, and for what is not told by events it says "look again".
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from watchdog.observers.api import ObservedWatch

from appliance import logs
from appliance.adapters.watcher.inotify import EXHAUSTED, Complaints, Inotify, Relay
from appliance.model import mounts

log = logs.logger(__name__)

OnChange = Callable[[frozenset[str]], None]
"""Told the names of the entries that changed; none: anything may have."""

_MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(slots=True, eq=False)
class _Place:
    """A directory under watch: which one it was when it was looked at last, and what is known to have changed."""

    directory: Path
    on_change: OnChange
    on_replaced: Callable[[], object] | None = None
    identity: tuple[int, int] | None = None
    watch: ObservedWatch | None = None
    is_polled: bool = False
    problem: str | None = None
    aliases: frozenset[str] = frozenset()
    """Its names in the directories above it: its own, and that of what a link leads to."""
    names: set[str] = field(default_factory=set)
    is_all_changed: bool = False
    is_moved: bool = False
    """It may be another directory now."""
    is_lost: bool = False
    """It was removed, so it is another one even if it looks the same: the numbers of removed ones are given again."""
    is_replaced: bool = False


class Watcher:
    """Watches directories. `start()` returns when it watches; `stop()` may be repeated."""

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._above: dict[Path, tuple[tuple[int, int], ObservedWatch]] = {}
        self._observer = Inotify()
        self._observer_above = Inotify()
        """One of its own: of two watches on one directory the kernel keeps the later one's choice of events."""
        self._lock = threading.Lock()
        self._wake = threading.Condition()
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._complaints = Complaints(self._note_loss)

    def add(self, directory: Path, on_change: OnChange, on_replaced: Callable[[], object] | None = None) -> None:
        """Call `on_change`, on the watcher's thread, when an entry of `directory` changes. Before `start`.

        `on_replaced` is called after it when there is another directory at that place than there was.
        """
        self._places.append(_Place(directory, on_change, on_replaced))

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Watch from now on; `on_failure` is told when that ends unexpectedly.

        Each directory is told of once at the beginning: it may have changed between its first reading and this.
        """
        logging.getLogger("watchdog").addHandler(self._complaints)
        with self._lock:
            for place in self._places:
                self._attend(place, _identity(place.directory))
                self._note(place, None)
        self._thread = threading.Thread(target=self._run, args=(on_failure,), name="watcher", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Make up for what events cannot tell. To be called every few seconds."""
        self._look()
        for place in self._places:
            if place.is_polled and place.identity is not None:
                self._note(place, None)

    def stop(self) -> None:
        """Stop watching."""
        logging.getLogger("watchdog").removeHandler(self._complaints)
        with self._wake:
            self._is_stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._observer.stop()
        self._observer_above.stop()

    def _run(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while self._await_change():
                self._tell()
        except BaseException as error:  # noqa: BLE001  directories that nobody watches must not go unnoticed
            on_failure(error)

    def _await_change(self) -> bool:
        with self._wake:
            self._wake.wait_for(
                lambda: self._is_stopping or any(place.is_moved or _has_news(place) for place in self._places)
            )
        self._look()
        return not self._is_stopping

    def _tell(self) -> None:
        for place in self._places:
            with self._wake:
                if not _has_news(place):
                    continue
                names = frozenset() if place.is_all_changed else frozenset(place.names)
                place.names, place.is_all_changed = set(), False
                is_replaced, place.is_replaced = place.is_replaced, False
            place.on_change(names)
            if is_replaced and place.on_replaced is not None:
                place.on_replaced()

    def _note_entry(self, place: _Place, name: str | None) -> None:
        with self._wake:
            place.is_moved = place.is_moved or name is None
            self._note(place, name)

    def _note(self, place: _Place, name: str | None) -> None:
        """An entry changed, or (None) anything may have."""
        with self._wake:
            if name is None:
                place.is_all_changed = True
            else:
                place.names.add(name)
            self._wake.notify()

    def _note_above(self, name: str | None, *, is_removed: bool = False) -> None:
        """An entry of a directory above changed: if it is a watched one, that may be another one now."""
        for place in self._places:
            if name is None or name in place.aliases:
                with self._wake:
                    place.is_lost = place.is_lost or (is_removed and name is not None)
                    place.is_moved = True
                    self._note(place, None)

    def _note_loss(self) -> None:
        """Events were lost."""
        self._note_above(None)

    def _look(self) -> None:
        with self._lock:
            for place in self._places:
                self._look_at(place)

    def _look_at(self, place: _Place) -> None:
        with self._wake:  # what is noted from here on is about what is found here, or about what comes after it
            is_moved, is_lost = place.is_moved, place.is_lost
            place.is_moved = place.is_lost = False
        identity = _identity(place.directory)
        is_another = is_lost or identity != place.identity
        is_there = identity is not None
        if not (is_another or is_moved or (place.watch is None and is_there)):
            return
        self._attend(place, identity)
        with self._wake:
            place.is_lost = place.is_lost or (is_another and not is_there)
            place.is_replaced = place.is_replaced or (is_another and is_there)
            if is_another or place.watch is not None:
                self._note(place, None)

    def _attend(self, place: _Place, identity: tuple[int, int] | None) -> None:
        """Watch the directory that is at this place now. Where that is impossible the log says why, once."""
        if place.watch is not None:
            self._observer.unschedule(place.watch)
            place.watch = None
        before, place.identity = place.identity, identity
        problem = self._schedule(place)
        if problem is not None and problem != place.problem:
            log.warning(problem, directory=place.directory)
        if place.problem is not None and place.watch is not None and before is not None:
            log.info("directory is watched", directory=place.directory)
        place.problem = problem

    def _schedule(self, place: _Place) -> str | None:
        """Watch a place and what it lies in; what is wrong with that."""
        place.aliases = frozenset({place.directory.name, place.directory.resolve().name})
        if place.identity is None:
            self._watch_above(place.directory)
            return "a watched directory is gone; it is watched again when it is back"
        real = place.directory.resolve()
        kind = _silent_kind(real)
        relay = Relay(str(real), lambda name, **_: self._note_entry(place, name))
        try:
            place.watch = self._observer.schedule(relay, real)
        except OSError as error:
            place.is_polled = True
            why = EXHAUSTED.get(error.errno or 0, f"it cannot be watched ({error.strerror})")
            return f"changes are noticed within seconds only, by polling; {why}"
        self._watch_above(place.directory)
        self._watch_above(real)
        place.is_polled = kind is not None
        return f"changes by others are noticed by polling: {kind} tells of none" if kind else None

    def _watch_above(self, path: Path) -> None:
        """Notice when another directory takes this one's place. Without that, `look` does."""
        above = path.parent
        identity = _identity(above)
        known = self._above.get(above)
        if identity is None or (known is not None and known[0] == identity):
            return
        with contextlib.suppress(OSError):
            if known is not None:
                self._observer_above.unschedule(known[1])
            relay = Relay(str(above.resolve()), self._note_above)
            self._above[above] = identity, self._observer_above.schedule(relay, above.resolve())


def _has_news(place: _Place) -> bool:
    return place.is_all_changed or bool(place.names)


def _identity(directory: Path) -> tuple[int, int] | None:
    """Which directory is at this path now; None: none."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _silent_kind(real: Path) -> str | None:
    """The type of the filesystem a directory lies on, if it tells of nobody else's changes."""
    try:
        device = real.stat().st_dev
        table = mounts.parse(_MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return None
    return mounts.silent_kind(table, PurePosixPath(real), f"{os.major(device)}:{os.minor(device)}")
