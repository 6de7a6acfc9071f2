"""What happens in the gateway, as it happens: a ring of the last thousand events, for whoever follows.

Publishing never waits for a reader. There is one ring and no queue for each reader: a reader asks for what came after
the event it saw last, so a slow one costs nothing, and one that is overtaken by the ring is told so. It knows neither
HTTP nor event loops; `subscribe` is how an adapter learns that there is something to ask for.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

KEPT = 1000
KINDS = frozenset({"workload", "certificate", "challenge", "program", "settings"})
_SERIES_PER_SECOND = 1000
"""A new process begins above every number of the one before, unless that one had more events a second than this."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. Never holds a secret."""

    id: int
    """Rises with every event, also from one process to the next."""
    at: float
    """Unix time."""
    kind: str
    """One of `KINDS`."""
    content: Mapping[str, Any]
    """JSON values."""

    def document(self) -> dict[str, Any]:
        """The JSON form: `{id, at, kind}` and what the kind has of its own."""
        return {"id": self.id, "at": self.at, "kind": self.kind, **self.content}


class Events:
    """The ring. Safe to call from any thread. `clock` gives the Unix time in seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ring: deque[Event] = deque(maxlen=KEPT)
        self._last = int(clock() * _SERIES_PER_SECOND)
        self._wakers: set[Callable[[], None]] = set()
        self._counts = dict.fromkeys(sorted(KINDS), 0)

    def publish(self, kind: str, content: Mapping[str, Any]) -> None:
        """Something happened: told to all who follow. Raises ValueError for a kind that nobody documented."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of event: add it to KINDS, and to the table in docs/operations.md")
        with self._lock:
            self._last += 1
            self._counts[kind] += 1
            self._ring.append(Event(self._last, self._clock(), kind, dict(content)))
            wakers = tuple(self._wakers)
        for wake in wakers:
            wake()

    def last(self) -> int:
        """The number of the newest event; what comes after it is news."""
        with self._lock:
            return self._last

    def counts(self) -> dict[str, int]:
        """How many there were of each kind."""
        with self._lock:
            return dict(self._counts)

    def after(self, seen: int, most: int = KEPT) -> tuple[list[Event], bool]:
        """Up to `most` events after the one numbered `seen`, oldest first, and whether all since then are still here.

        A number that was never given (of an earlier process, or made up) counts as one whose successors are gone.
        """
        with self._lock:
            first = self._last - len(self._ring)
            is_whole = first <= seen <= self._last
            skipped = seen - first if is_whole else 0
            return list(islice(self._ring, skipped, skipped + most)), is_whole

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called (from any thread, and soon done) whenever there is news. Returns what ends that."""
        with self._lock:
            self._wakers.add(wake)
        return lambda: self._unsubscribe(wake)

    def _unsubscribe(self, wake: Callable[[], None]) -> None:
        with self._lock:
            self._wakers.discard(wake)
