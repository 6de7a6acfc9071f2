"""What becomes of workloads, told to whoever follows: log lines, events, and how long each took to be applied.

Everything here is called under the applier's lock, by the applier alone.
"""

import time
from collections.abc import Callable, Iterable, Mapping

from appliance import logs
from appliance.control.events import Events
from appliance.model.errors import GatewayError
from appliance.model.measures import Family, Histogram
from appliance.model.standings import Standing, State

log = logs.logger(__name__)

_DURATIONS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Chronicle:
    """Knows what was told last. `clock` gives seconds that only rise."""

    def __init__(self, events: Events, clock: Callable[[], float] = time.monotonic) -> None:
        self._events = events
        self._clock = clock
        self._told: dict[str, Standing] = {}
        self._asked: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._durations = Histogram(_DURATIONS_SECONDS)

    def asked(self, identities: Iterable[str]) -> None:
        """Somebody wants these looked at: their time begins, unless it has."""
        now = self._clock()
        for identity in identities:
            self._asked.setdefault(identity, now)

    def taken_in(self, touched: Iterable[str]) -> None:
        """A cycle took everything in that was asked for; these it decides about."""
        now = self._clock()
        for identity in touched:
            self._begun[identity] = self._asked.get(identity, now)
        self._asked.clear()

    def judged(self, before: Mapping[str, GatewayError], after: Mapping[str, GatewayError]) -> None:
        """Log what changed at the door: each refusal once, with its reason, and its end."""
        for identity, error in after.items():
            known = before.get(identity)
            if known is None or str(known) != str(error):
                log.warning("workload quarantined", workload=identity, reason=str(error))
        for identity in before.keys() - after.keys():
            log.info("workload out of quarantine", workload=identity)

    def look(self, identities: Iterable[str], standing: Callable[[str], Standing | None]) -> None:
        """Tell what changed about these; `standing` gives None for a workload that is gone."""
        for identity in identities:
            now = standing(identity)
            if now is None or now.state is not State.PENDING:
                self._end(identity, now)
            if now != self._told.get(identity):
                self._tell(identity, now)

    def durations(self) -> Family:
        """How long it took until workloads were applied."""
        return self._durations.family("gateway_apply_duration_seconds")

    def _end(self, identity: str, now: Standing | None) -> None:
        begun, before = self._begun.pop(identity, None), self._told.get(identity)
        is_new = before is None or before.state is not State.APPLIED
        if begun is not None and now is not None and now.state is State.APPLIED and is_new:
            self._durations.observe(self._clock() - begun)

    def _tell(self, identity: str, now: Standing | None) -> None:
        if now is None:
            del self._told[identity]
            self._events.publish("workload", {"workload": identity, "state": "deleted", "reason": ""})
        else:
            self._told[identity] = now
            content = {"workload": identity, "state": now.state.value, "reason": now.reason}
            self._events.publish("workload", content)
