"""When each host is looked up next, and how many at once: pure, told the time by whoever asks.

A host that is where it should be is asked for now and then. One that is not is asked for every few seconds, because
somebody may be mending it right now; but all of those together are given a number of questions a second that no
resolver minds. One that nobody answers for keeps a place in line for seconds each time, so such hosts, and new ones of
which it is not known yet, never get all the places, and are asked for less and less often.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

_SETTLED_SECONDS = 300.0
_WRONG_SECONDS = 5.0
"""Somebody may be mending it right now."""
_LONG_WRONG_SECONDS = 10.0
"""Whoever mends it at last sees a certificate ordered within seconds, too."""
_LONG_AFTER_SECONDS = 300.0
_WRONG_PER_SECOND = 20.0
"""So many look-ups a second, and no more, are spent on all hosts that are wrong."""
_LONGEST_UNANSWERED_SECONDS = 60.0

MOST_PROMPT = 8
"""Hosts asked for at once, of those that were answered for the last time."""
MOST_SLOW = 24
"""Hosts asked for at once, of those that are new or that nobody answered for."""


class Outcome(Enum):
    """What came of asking for a host."""

    SETTLED = "it is where it should be"
    WRONG = "it is not there, or elsewhere"
    UNANSWERED = "nobody could say"


@dataclass(slots=True)
class _Host:
    due: float = 0.0
    outcome: Outcome | None = None
    unanswered: int = 0
    """How often in a row nobody could say."""
    wrong_since: float | None = None

    @property
    def is_slow(self) -> bool:
        """Whether asking for it may take as long as a look-up can."""
        return self.outcome is None or self.outcome is Outcome.UNANSWERED


class Askings:
    """Which host is next. Times are seconds that only rise. Not safe for several threads at once."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._lines: dict[bool, list[tuple[float, str]]] = {False: [], True: []}
        """By `is_slow`: a heap of (due, host). What has changed since it was put there is passed over."""
        self._under_way: dict[str, bool] = {}
        self._outdated: set[str] = set()
        """Of those under way: asked before `begin_anew`."""
        self._wrong = 0

    def want(self, hosts: Iterable[str]) -> set[str]:
        """Ask for exactly these from now on, new ones at once. Those that are no longer wanted."""
        wanted = set(hosts)
        gone = self._hosts.keys() - wanted
        for host in gone:
            self._count(self._hosts.pop(host), -1)
        for host in wanted - self._hosts.keys():
            self._hosts[host] = _Host()
            if host not in self._under_way:
                heapq.heappush(self._lines[True], (0.0, host))
        return gone

    def begin_anew(self) -> None:
        """Ask for every host again at once, whatever came of it before; who is under way, as soon as that has ended."""
        self._outdated = set(self._under_way)
        for host, known in self._hosts.items():
            known.due, known.unanswered = 0.0, 0
            if host not in self._under_way:
                heapq.heappush(self._lines[known.is_slow], (0.0, host))

    def take(self, now: float) -> str | None:
        """A host to ask for now, which is under way until it is `answered`; None: nobody, see `pause`."""
        for is_slow in (False, True):
            line = self._lines[is_slow]
            if self._is_room(is_slow) and self._first_due(is_slow) <= now:
                host = heapq.heappop(line)[1]
                self._under_way[host] = is_slow
                return host
        return None

    def pause(self, now: float) -> float | None:
        """Seconds until `take` gives a host; None: not before something is wanted or answered."""
        dues = [
            due for is_slow in (False, True) if self._is_room(is_slow) and (due := self._first_due(is_slow)) < _NEVER
        ]
        return max(0.0, min(dues) - now) if dues else None

    def answered(self, host: str, outcome: Outcome, now: float) -> bool:
        """Note what came of asking. Whether the host is still wanted."""
        del self._under_way[host]
        is_outdated = host in self._outdated
        self._outdated.discard(host)
        known = self._hosts.get(host)
        if known is None:
            return False
        self._count(known, -1)
        known.outcome = outcome
        self._count(known, 1)
        known.unanswered = known.unanswered + 1 if outcome is Outcome.UNANSWERED else 0
        if outcome is Outcome.SETTLED:
            known.wrong_since = None
        elif outcome is Outcome.WRONG and known.wrong_since is None:
            known.wrong_since = now
        known.due = now if is_outdated else now + self._interval(known, now)
        heapq.heappush(self._lines[known.is_slow], (known.due, host))
        return True

    def _interval(self, host: _Host, now: float) -> float:
        if host.outcome is Outcome.SETTLED:
            return _SETTLED_SECONDS
        if host.outcome is Outcome.UNANSWERED:
            return min(_LONGEST_UNANSWERED_SECONDS, _WRONG_SECONDS * 2.0 ** min(host.unanswered - 1, 10))
        is_long = host.wrong_since is not None and now - host.wrong_since >= _LONG_AFTER_SECONDS
        return max(_LONG_WRONG_SECONDS if is_long else _WRONG_SECONDS, self._wrong / _WRONG_PER_SECOND)

    def _count(self, host: _Host, change: int) -> None:
        if host.outcome is Outcome.WRONG:
            self._wrong += change

    def _is_room(self, is_slow: bool) -> bool:
        most = MOST_SLOW if is_slow else MOST_PROMPT
        return sum(own is is_slow for own in self._under_way.values()) < most

    def _first_due(self, is_slow: bool) -> float:
        """When the first of a line is due, what is no longer true taken out; never, when nobody is in it."""
        line = self._lines[is_slow]
        while line:
            due, host = line[0]
            known = self._hosts.get(host)
            if known is not None and known.due == due and known.is_slow is is_slow and host not in self._under_way:
                return due
            heapq.heappop(line)
        return _NEVER


_NEVER = float("inf")
