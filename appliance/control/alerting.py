"""Alerts: looks at what is wrong, and sees to it that the operator hears of each condition once, and of its end.

What is open and what is yet to be delivered outlives the process. Deliveries are tried again, later and later, for a
day; a receiver that is down delays nothing else.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from appliance import logs
from appliance.control.ports_alerts import AlertChannel, AlertStore
from appliance.model import alerts
from appliance.model.alerts import Alert, Condition, Kind
from appliance.model.errors import GatewayError, Unavailable
from appliance.model.measures import Family, by_label

log = logs.logger(__name__)

_LOOK_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 600.0
_GIVEN_UP_AFTER_SECONDS = 86_400.0
_MOST_PENDING = 1000
"""Beyond that the oldest are left out, with a line in the log."""

Source = Callable[[], Iterable[Condition]]


class Alerting:
    """`sources` say what is wrong now, or raise GatewayError when they cannot tell: nothing clears by that,
    and what the others find is told all the same.
    """

    def __init__(
        self,
        *,
        sources: Sequence[Source],
        channels: Callable[[], Sequence[AlertChannel]],
        store: AlertStore,
        clock: Callable[[], float] = time.time,
        look_seconds: float = _LOOK_SECONDS,
        first_pause_seconds: float = _FIRST_PAUSE_SECONDS,
    ) -> None:
        self._sources = sources
        self._channels = channels
        self._store = store
        self._clock = clock
        self._look_seconds = look_seconds
        self._first_pause_seconds = first_pause_seconds
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._open, pending = store.load()
        self._pending = deque(pending, maxlen=_MOST_PENDING)
        self._failures = 0
        self._next_delivery = 0.0
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin. `on_failure` is told when it ends unexpectedly."""
        self._thread = threading.Thread(target=self._guard, args=(on_failure,), name="alerts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; a delivery under way is waited for a moment. May be repeated."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def open(self) -> list[Condition]:
        """What is wrong now, longest first."""
        with self._lock:
            return [one.condition for one in sorted(self._open.values(), key=lambda one: one.since)]

    def families(self) -> Iterable[Family]:
        """How many conditions hold, of each kind."""
        counts = Counter(condition.kind.value for condition in self.open())
        yield by_label("gateway_alerts", "kind", {kind.value: counts[kind.value] for kind in Kind})

    def _guard(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while not self._ending.wait(self._look_seconds):
                self._look()
                self._deliver()
        except BaseException as error:  # noqa: BLE001  alerts that silently end are worse than none
            on_failure(error)

    def _look(self) -> None:
        wrong: list[Condition] = []
        for source in self._sources:
            try:
                wrong += source()
            except GatewayError as error:
                log.debug("part of the alerts not looked at", reason=str(error))
                wrong += [one.condition for one in self._open.values()]
        with self._lock:
            self._open, news = alerts.settle(self._open, wrong, self._clock())
        for alert in news:
            _report(alert)
        if news:
            lost = len(self._pending) + len(news) - _MOST_PENDING
            if lost > 0:
                log.warning("alerts left out: too many are waiting to be delivered", count=lost)
            self._pending.extend(news)
            self._next_delivery = 0.0 if self._failures == 0 else self._next_delivery
            self._save()

    def _deliver(self) -> None:
        """Deliver what is pending, oldest first, until one fails."""
        if not self._pending or time.monotonic() < self._next_delivery:
            return
        count = len(self._pending)
        while self._pending and not self._ending.is_set():
            alert = self._pending[0]
            if not self._is_delivered(alert) and self._clock() - alert.at < _GIVEN_UP_AFTER_SECONDS:
                self._failures += 1
                pause = min(_LONGEST_PAUSE_SECONDS, self._first_pause_seconds * 2.0 ** min(self._failures - 1, 20))
                self._next_delivery = time.monotonic() + pause
                break
            self._failures = 0
            self._pending.popleft()
        if len(self._pending) != count:
            self._save()

    def _is_delivered(self, alert: Alert) -> bool:
        """Whether every channel took it. One that did gets it again when another did not: see `Alert.id`."""
        is_delivered = True
        for channel in self._channels():
            try:
                channel.send(alert)
            except Unavailable as error:
                log.warning("alert not delivered, it is tried again", alert=alert.id, reason=str(error))
                is_delivered = False
        return is_delivered

    def _save(self) -> None:
        try:
            self._store.save(self._open, tuple(self._pending))
        except Unavailable as error:
            log.warning("open alerts not stored", reason=str(error))


def _report(alert: Alert) -> None:
    found = alert.condition
    if alert.is_cleared:
        log.info("alert cleared", kind=found.kind.value, subject=found.subject, summary=found.summary)
    else:
        log.warning("alert raised", kind=found.kind.value, subject=found.subject, summary=found.summary)
