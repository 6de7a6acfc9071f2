"""When routes that Traefik served before, and then would not, are tried again.

Such a route was hurt by something that is not its own: a password file that somebody removed, descriptors that ran
out. Nobody changes the workload for that, so it comes back by itself, with pauses that grow because each try costs
Traefik a reload. Used under the applier's lock.
"""

import time
from collections.abc import Callable, Collection

_FIRST_SECONDS = 2.0
_LONGEST_SECONDS = 300.0
_NEVER = float("inf")


class Retries:
    """Which workloads are tried again, and when. `clock` gives seconds that only rise."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses: dict[str, float] = {}
        self._due: dict[str, float] = {}

    def put_off(self, identity: str) -> None:
        """It was refused: try it again, after twice the pause of the last time."""
        pause = min(_LONGEST_SECONDS, self._pauses.get(identity, _FIRST_SECONDS / 2) * 2)
        self._pauses[identity] = pause
        self._due[identity] = self._clock() + pause

    def forget(self, identity: str) -> None:
        """It is served, or gone."""
        self._pauses.pop(identity, None)
        self._due.pop(identity, None)

    def pause(self) -> float:
        """Seconds until the next one is due; infinite when none is waiting."""
        return max(0.0, min(self._due.values(), default=_NEVER) - self._clock())

    def take(self, besides: Collection[str] = ()) -> set[str]:
        """Those that are due now; they are no longer, until they are put off again. `besides` are due a while later."""
        now = self._clock()
        due = {identity for identity, moment in self._due.items() if moment <= now}
        for identity in due:
            del self._due[identity]
        self._due.update(dict.fromkeys(due.intersection(besides), now + _FIRST_SECONDS))
        return due.difference(besides)
