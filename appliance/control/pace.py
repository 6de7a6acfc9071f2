"""When routes may be written again: each write costs Traefik a reload of everything.

The first change after a quiet time is written at once, and what comes while Traefik works on it is written when it is
done. Whoever keeps changing after that is a burst, and pays with patience: writes then rest for as long again as
Traefik took, and once more, so that it spends a third of its time on reloads and ten thousand routes are not read anew
for every handful of changes.
"""

import time
from collections.abc import Callable

_RESTS = 2.0
"""How long writes rest after one that changes had gathered for, in times of what Traefik took for it."""
_LONGEST_SECONDS = 10.0
"""How long changes gather at most, whatever Traefik does."""


class Pace:
    """Of one writer, used under its lock. `clock` gives seconds that only rise."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written_at = float("-inf")
        self._settled_at: float | None = self._written_at
        self._rest_seconds = 0.0
        self._is_gathering = False
        self._was_gathered = False

    def settled(self) -> None:
        """Traefik is done with the last write, or is not working on it."""
        if self._settled_at is None:
            self._settled_at = self._clock()
            taken = self._settled_at - self._written_at
            self._rest_seconds = _RESTS * taken if self._was_gathered else 0.0

    def is_free(self) -> bool:
        """Whether what waits may be written now. It counts as gathered when it may not."""
        is_free = self.pause() <= 0.0
        self._is_gathering |= not is_free
        return is_free

    def pause(self) -> float:
        """Seconds until it may be written, as far as is known."""
        latest = self._written_at + _LONGEST_SECONDS
        earliest = latest if self._settled_at is None else self._settled_at + self._rest_seconds
        return max(0.0, min(earliest, latest) - self._clock())

    def looked(self, *, has_written: bool) -> None:
        """What waited was looked at, and it `has_written` something or there was nothing to write."""
        if has_written:
            self._written_at, self._settled_at = self._clock(), None
            self._was_gathered = self._is_gathering
        self._is_gathering = False
