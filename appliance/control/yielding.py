"""Yielding: whoever goes through thousands of workloads rests between them while the authority is asked a lot.

Python runs one thread at a time, and a kernel lets a thread that computes finish its slice of some milliseconds before
one that has just been woken. Both together made answers twenty times later at 20,000 questions a second. A thread that
works for some microseconds and sleeps for most of a millisecond is hardly in anybody's way (docs/decisions/0003).
"""

import time
from collections.abc import Callable, Iterable, Iterator

from appliance.model.steps import Item

_BUSY_PER_SECOND = 5000.0
"""Fewer questions a second leave gaps enough, and no gateway is asked so many but in an attack: what an attacker gains
by it, slower work, is to cost a flood."""
_WORK_SECONDS = 0.00005
_REST_SECONDS = 0.00075
"""Shorter work is no help, since a woken thread needs as long to get going; shorter rests wake it too often. So it goes
on at about a twentieth of its speed."""
_LONGEST_SECONDS = 10.0
"""For so long a loop rests now and then, at most; then it ends at full speed, however much is asked."""


class Yielding:
    """Goes through items as `model.steps.Steps` says. `per_second()` tells how many questions were answered lately.

    For any number of threads. `clock` gives seconds that only rise; `sleep` waits.
    """

    def __init__(
        self,
        per_second: Callable[[], float],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._sleep = sleep

    def __call__(self, items: Iterable[Item]) -> Iterator[Item]:
        """`items`, one by one; with rests between them while the authority is busy."""
        due = self._clock() + _WORK_SECONDS
        end: float | None = None
        for item in items:
            yield item
            now = self._clock()
            if now < due:
                continue
            if self._per_second() >= _BUSY_PER_SECOND:
                end = end or now + _LONGEST_SECONDS
                if now < end:
                    self._sleep(_REST_SECONDS)
                    now = self._clock()
            due = now + _WORK_SECONDS
