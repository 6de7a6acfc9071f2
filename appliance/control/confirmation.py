"""Asks Traefik whether it serves what was rendered, until it does.

A file in the watched directory is a wish: Traefik reads it some time later, may reject it, and says so only in its log.
So a route counts as applied when Traefik's API reports router, service and servers as rendered, the router enabled.
"""

import threading
from collections.abc import Mapping
from typing import Any

from appliance import logs
from appliance.control.ports import Proxy
from appliance.model.errors import Unavailable
from appliance.model.standings import Standing, State
from appliance.render.dynamic import Expectation

log = logs.logger(__name__)

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
_PAUSE_GROWTH = 1.5
_IDLE_SECONDS = 3600.0
_ASKED_ONE_BY_ONE = 8
"""Up to so many open questions are asked one by one; above, Traefik's whole lists are cheaper."""

_WRITTEN = Standing(State.PENDING, "written; Traefik has not confirmed it yet")

_Found = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]


class Confirmation:
    """The open questions to Traefik and what follows. Its owner's lock guards everything but the asking."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._expected: dict[str, Expectation] = {}
        self._standings: dict[str, Standing] = {}
        self._open: set[str] = set()
        self._leaving: dict[str, Expectation] = {}
        self._pause = _FIRST_PAUSE_SECONDS

    def knows(self, identity: str) -> bool:
        """Whether a route of this id is expected."""
        return identity in self._expected

    def standing(self, identity: str) -> Standing:
        """How an admitted workload stands."""
        return self._standings.get(identity, _WRITTEN)

    def is_leaving(self, identity: str) -> bool:
        """Whether Traefik may still have the route of a workload that is gone."""
        return identity in self._leaving

    def expect(self, fresh: Mapping[str, Expectation], gone: Mapping[str, Expectation]) -> None:
        """Expect these routes anew, and those no longer."""
        for identity, expectation in fresh.items():
            self._expected[identity] = expectation
            self._standings[identity] = _WRITTEN
            self._leaving.pop(identity, None)
        for identity, expectation in gone.items():
            self._expected.pop(identity, None)
            self._standings.pop(identity, None)
            self._open.discard(identity)
            self._leaving[identity] = expectation
        self._open.update(fresh)
        if fresh or gone:
            self._pause = _FIRST_PAUSE_SECONDS

    def doubt_all(self) -> None:
        """Ask about everything once more; standings stay until an answer differs."""
        self._open.update(self._expected)

    def pause(self) -> float:
        """Seconds until the next asking makes sense."""
        return self._pause if self._open or self._leaving else _IDLE_SECONDS

    def ask(self, lock: threading.Condition) -> bool:
        """Ask Traefik what is open, and take `lock` to note the answers. Whether a standing changed."""
        with lock:
            questions = {identity: self._expected[identity] for identity in self._open}
            leaving = dict(self._leaving)
        if not questions and not leaving:
            return False
        try:
            found = self._find({**leaving, **questions})
        except Unavailable as error:
            with lock:
                return self._note_silence(str(error))
        with lock:
            changed = self._note_departures(leaving, found)
            changed = self._note_answers(questions, found) or changed
            self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * _PAUSE_GROWTH)
        return changed

    def _find(self, questions: Mapping[str, Expectation]) -> Mapping[str, _Found]:
        if len(questions) <= _ASKED_ONE_BY_ONE:
            return {
                identity: (
                    self._proxy.router(expected.protocol, expected.router_name),
                    self._proxy.service(expected.protocol, expected.service_name),
                )
                for identity, expected in questions.items()
            }
        protocols = {expected.protocol for expected in questions.values()}
        routers = {protocol: self._proxy.routers(protocol) for protocol in protocols}
        services = {protocol: self._proxy.services(protocol) for protocol in protocols}
        return {
            identity: (
                routers[expected.protocol].get(expected.router_name),
                services[expected.protocol].get(expected.service_name),
            )
            for identity, expected in questions.items()
        }

    def _note_silence(self, problem: str) -> bool:
        self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * _PAUSE_GROWTH)
        silent = Standing(State.PENDING, problem)
        waiting = [identity for identity in self._open if self.standing(identity).state is State.PENDING]
        changed = any(self.standing(identity) != silent for identity in waiting)
        self._standings.update(dict.fromkeys(waiting, silent))
        return changed

    def _note_departures(self, leaving: Mapping[str, Expectation], found: Mapping[str, _Found]) -> bool:
        gone = [identity for identity in leaving if found[identity][0] is None]
        for identity in gone:
            self._leaving.pop(identity, None)
        return bool(gone)

    def _note_answers(self, questions: Mapping[str, Expectation], found: Mapping[str, _Found]) -> bool:
        changed = False
        for identity, expected in questions.items():
            standing = _judge(expected, *found[identity])
            if standing.state is not State.PENDING:
                self._open.discard(identity)
            if standing != self._standings.get(identity):
                self._standings[identity] = standing
                changed = True
                _report(identity, standing)
        return changed


def _judge(expected: Expectation, router: Mapping[str, Any] | None, service: Mapping[str, Any] | None) -> Standing:
    missing = expected.unmet(router, service)
    if missing is not None:
        return Standing(State.PENDING, missing)
    rejection = expected.rejection(router) or expected.rejection(service)
    if rejection is not None:
        return Standing(State.QUARANTINED, f"Traefik rejected it: {rejection}")
    return Standing(State.APPLIED)


def _report(identity: str, standing: Standing) -> None:
    if standing.state is State.APPLIED:
        log.info("workload applied", workload=identity)
    elif standing.state is State.QUARANTINED:
        log.warning("workload quarantined", workload=identity, reason=standing.reason)
