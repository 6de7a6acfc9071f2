"""Asks Traefik whether it serves what was rendered, until it does.

A file in the watched directory is a wish: Traefik reads it some time later, may reject it, and says so only in its log.
So a route counts as applied when Traefik's API reports router, service and servers as rendered, the router enabled.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance import logs
from appliance.control.ports import Proxy
from appliance.model.errors import Unavailable
from appliance.model.standings import Standing, State
from appliance.model.steps import Steps, at_once
from appliance.render.expectations import Expectation, parent_name, rejection

log = logs.logger(__name__)

_FIRST_PAUSE_SECONDS = 0.02
_FIRST_PAUSE_SECONDS_PER_ROUTE = 0.0001
"""Traefik reads all routes anew for one that changed, and is not asked while it can have read but a part of them."""
_LONGEST_PAUSE_SECONDS = 0.5
_PAUSE_GROWTH = 1.5
_IDLE_SECONDS = 3600.0
_LONGEST_TO_TAKE_IN_SECONDS = 10.0
"""After so long a route that is not confirmed is a problem of its own, and no reason for others to wait."""
_PATIENCE_SECONDS = 5.0
_PATIENCE_SECONDS_PER_ROUTE = 0.001
"""How long Traefik may take, while it answers, until a route that it does not report is looked into: with ten thousand
routes it is busy for seconds at each change, and for ten at its start."""
_TOLD_ONE_BY_ONE = 1000
"""More workloads that are applied at once, as at the start of a large gateway, are one line in the log."""
_ASKED_ONE_BY_ONE = 8
"""Up to so many open questions are asked one by one; above, Traefik's whole lists are cheaper."""

NEXT = Standing(State.PENDING, "accepted; it is written next")
_WRITTEN = Standing(State.PENDING, "written; Traefik has not confirmed it yet")

_Found = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None, Mapping[str, Any] | None]
"""Router, service and the router above, as the API has them."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What an asking brought to light."""

    is_news: bool = False
    """Whether any standing changed."""
    news: frozenset[str] = frozenset()
    """Whose standing changed, of those that are wanted."""
    applied: frozenset[str] = frozenset()
    rejected: Mapping[str, str] = field(default_factory=dict)
    """Workload id -> Traefik's words."""


class Confirmation:
    """The open questions to Traefik and what follows. Its owner's lock guards everything but the asking.

    `clock` gives seconds that only rise.
    """

    def __init__(self, proxy: Proxy, clock: Callable[[], float] = time.monotonic, *, steps: Steps = at_once) -> None:
        self._proxy = proxy
        self._clock = clock
        self._steps = steps
        self._expected: dict[str, Expectation] = {}
        self._standings: dict[str, Standing] = {}
        self._open: set[str] = set()
        self._fresh: dict[str, float] = {}
        self._pending_since: dict[str, float] = {}
        self._answering_since: float | None = None
        self._expectations = 0
        self._number: dict[str, int] = {}
        self._missing: dict[str, bool] = {}
        self._taken_in = (0, 0.0)
        self._is_silent = False
        self._leaving: dict[str, Expectation] = {}
        self._leaving_since: dict[str, float] = {}
        self._pause = _FIRST_PAUSE_SECONDS

    def standing(self, identity: str) -> Standing:
        """How an admitted workload stands."""
        return self._standings.get(identity, _WRITTEN)

    def is_leaving(self, identity: str) -> bool:
        """Whether Traefik may still have the route of a workload that is gone."""
        return identity in self._leaving

    def supersede(self, identities: Iterable[str]) -> None:
        """Other versions of these are about to be written: what was found of those before says nothing of them."""
        self._standings.update(dict.fromkeys(identities, NEXT))

    def expect(self, changes: Mapping[str, Expectation | None]) -> None:
        """Expect these routes anew, written together, and those that are None no longer."""
        self._expectations += 1
        now = self._clock()
        for identity, expectation in self._steps(changes.items()):
            before = self._expected.pop(identity, None)
            self._standings.pop(identity, None)
            self._close(identity)
            self._number.pop(identity, None)
            if expectation is not None:
                self._expected[identity] = expectation
                self._leaving.pop(identity, None)
                self._fresh[identity] = self._pending_since[identity] = now
                self._number[identity] = self._expectations
                self._open.add(identity)
            elif before is not None:
                self._leaving[identity] = before
                self._leaving_since[identity] = now
        self._pause = max(_FIRST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS_PER_ROUTE * len(self._expected))
        self._is_silent = False

    def is_working(self) -> bool:
        """Whether Traefik answers and has not yet taken in what was written last."""
        late = self._clock() - _LONGEST_TO_TAKE_IN_SECONDS
        return not self._is_silent and (bool(self._leaving) or any(written > late for written in self._fresh.values()))

    def overdue(self) -> frozenset[str]:
        """Whose route Traefik should have taken in long ago, and does not report, although it answers."""
        if self._answering_since is None:
            return frozenset()
        late = self._clock() - self._patience()
        if self._answering_since > late:
            return frozenset()
        return frozenset(identity for identity, since in self._pending_since.items() if since <= late)

    def disagreement(self, seconds: float) -> int:
        """On how many routes Traefik and the desired state have not agreed for so long, although Traefik answers."""
        late = self._clock() - seconds
        if self._answering_since is None or self._answering_since > late:
            return 0
        leaving = [self._leaving_since[identity] for identity in self._leaving]
        return sum(since <= late for since in (*self._pending_since.values(), *leaving))

    def passed_over(self) -> Mapping[str, str]:
        """Whose route Traefik does not have although it took in, long ago, what was written after it; and why."""
        number, moment = self._taken_in
        if moment > self._clock() - self._patience():
            return {}
        return {
            identity: f"{self._standings[identity].reason}, although it has read what was written after it"
            for identity in self.overdue()
            if self._number[identity] < number
            and self._missing.get(identity)
            and self._pending_since[identity] < moment
        }

    def _patience(self) -> float:
        return _PATIENCE_SECONDS + _PATIENCE_SECONDS_PER_ROUTE * len(self._expected)

    def doubt_all(self) -> None:
        """Ask about everything once more; standings stay until an answer differs."""
        self._open.update(self._expected)

    def pause(self) -> float:
        """Seconds until the next asking makes sense."""
        return self._pause if self._open or self._leaving else _IDLE_SECONDS

    def ask(self, lock: threading.Condition, heed: Callable[[Answers], None] = lambda _: None) -> Answers:
        """Ask Traefik what is open, and take `lock` to note the answers.

        `heed` is told of them before `lock` is let go, so that nobody sees a standing before what follows from it.
        """
        with lock:
            questions = {identity: self._expected[identity] for identity in self._open}
            leaving = dict(self._leaving)
        note = self._ask(questions, leaving) if questions or leaving else Answers
        with lock:
            answers = note()
            heed(answers)
            return answers

    def _ask(self, questions: Mapping[str, Expectation], leaving: Mapping[str, Expectation]) -> Callable[[], Answers]:
        """Ask Traefik; what is returned notes what it said."""
        try:
            found = self._find({**leaving, **questions})
        except Unavailable as error:
            return functools.partial(self._note_silence, str(error))
        return functools.partial(self._note, questions, leaving, found)

    def _note(
        self, questions: Mapping[str, Expectation], leaving: Mapping[str, Expectation], found: Mapping[str, _Found]
    ) -> Answers:
        self._is_silent = False
        self._answering_since = self._answering_since or self._clock()
        self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * _PAUSE_GROWTH)
        has_left = self._note_departures(_still(leaving, self._leaving), found)
        return self._note_answers(_still(questions, self._expected), found, has_left=has_left)

    def _find(self, questions: Mapping[str, Expectation]) -> Mapping[str, _Found]:
        """Services are asked for first. An update often changes nothing but its servers: when those are the new ones, a
        router reported later is as new, whereas one reported before could be the one that the update has broken.
        """
        if len(questions) <= _ASKED_ONE_BY_ONE:
            return {identity: self._find_one(expected) for identity, expected in questions.items()}
        protocols = {expected.protocol for expected in questions.values()}
        services = {protocol: self._proxy.services(protocol) for protocol in protocols}
        routers = {protocol: self._proxy.routers(protocol) for protocol in protocols}
        found: dict[str, _Found] = {}
        for identity, expected in self._steps(questions.items()):
            known = routers[expected.protocol]
            router = known.get(expected.router_name)
            above = parent_name(router) if router else None
            service = services[expected.protocol].get(expected.service_name)
            found[identity] = (router, service, known.get(above) if above else None)
        return found

    def _find_one(self, expected: Expectation) -> _Found:
        service = self._proxy.service(expected.protocol, expected.service_name)
        router = self._proxy.router(expected.protocol, expected.router_name)
        above = parent_name(router) if router else None
        parent = self._proxy.router(expected.protocol, above) if above else None
        return router, service, parent

    def _note_silence(self, problem: str) -> Answers:
        self._is_silent = True
        self._answering_since = None
        self._taken_in = (0, 0.0)
        self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * _PAUSE_GROWTH)
        silent = Standing(State.PENDING, problem)
        waiting = [identity for identity in self._open if self.standing(identity).state is State.PENDING]
        changed = frozenset(identity for identity in waiting if self.standing(identity) != silent)
        self._standings.update(dict.fromkeys(waiting, silent))
        return Answers(is_news=bool(changed), news=changed)

    def _note_departures(self, leaving: Mapping[str, Expectation], found: Mapping[str, _Found]) -> bool:
        gone = [identity for identity in leaving if found[identity][0] is None]
        for identity in gone:
            self._leaving.pop(identity, None)
        return bool(gone)

    def _note_answers(
        self, questions: Mapping[str, Expectation], found: Mapping[str, _Found], *, has_left: bool
    ) -> Answers:
        through = self._steps(questions.items())
        standings = {identity: _judge(expected, *found[identity]) for identity, expected in through}
        news = {identity: it for identity, it in standings.items() if it != self._standings.get(identity)}
        for identity, standing in news.items():
            self._standings[identity] = standing
        applied = frozenset(identity for identity, it in news.items() if it.state is State.APPLIED)
        _tell(applied)
        for identity, standing in standings.items():
            if standing.state is State.PENDING:
                self._note_unmet(identity, is_missing=None in found[identity][:2])
            else:
                self._note_taken_in(identity)
                self._close(identity)
        return Answers(
            is_news=bool(news) or has_left,
            news=frozenset(news),
            applied=applied,
            rejected={identity: it.reason for identity, it in news.items() if it.state is State.QUARANTINED},
        )

    def _note_unmet(self, identity: str, *, is_missing: bool) -> None:
        self._pending_since.setdefault(identity, self._clock())
        self._missing[identity] = is_missing

    def _note_taken_in(self, identity: str) -> None:
        """What was seen to be unmet and is met now was read after it was written, and so was all written before it."""
        number = self._number[identity]
        if identity in self._missing and number > self._taken_in[0]:
            self._taken_in = (number, self._clock())

    def _close(self, identity: str) -> None:
        """No question about this one is open any more."""
        self._open.discard(identity)
        self._fresh.pop(identity, None)
        self._pending_since.pop(identity, None)
        self._missing.pop(identity, None)


def _still(asked: Mapping[str, Expectation], now: Mapping[str, Expectation]) -> Mapping[str, Expectation]:
    """What was asked and is still the question. Another version may have been written while Traefik answered, and an
    answer about the one before says nothing of it.
    """
    return {identity: expected for identity, expected in asked.items() if now.get(identity) is expected}


def _tell(applied: frozenset[str]) -> None:
    if len(applied) > _TOLD_ONE_BY_ONE:
        log.info("workloads applied", count=len(applied))
        return
    for identity in applied:
        log.info("workload applied", workload=identity)


def _judge(
    expected: Expectation,
    router: Mapping[str, Any] | None,
    service: Mapping[str, Any] | None,
    parent: Mapping[str, Any] | None,
) -> Standing:
    missing = expected.unmet(router, service, parent)
    if missing is not None:
        return Standing(State.PENDING, missing)
    words = rejection(router) or rejection(service) or (rejection(parent) if parent else None)
    if words is not None:
        return Standing(State.QUARANTINED, words)
    return Standing(State.APPLIED)
