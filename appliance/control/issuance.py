"""The issuance governor: decides for each certificate whether Traefik may order it now.

A subject is checked (`Preflights`); once nothing stands against it, and neither a rest after a failure nor the
account's budget does, its order is rehearsed if that is wanted, and then allowed: the applier writes the certificate
resolver into its route. What Traefik's log tells of the outcome comes back through `heed`. Checks wait for the network
on threads of their own.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from appliance import logs
from appliance.control.docket import Docket, IssuanceView, Limits
from appliance.control.events import Events
from appliance.control.ports import Proxy
from appliance.control.ports_issuance import IssuanceStore, Preflights, Rehearser
from appliance.model import issuance
from appliance.model.acme_log import Event, Obtained, OrderBegun, OrderFailed, ResolverSkipped
from appliance.model.errors import Unavailable
from appliance.model.issuance import Failure, Weight
from appliance.model.measures import Family, by_label

log = logs.logger(__name__)

_UNDER_WAY_SECONDS = 0.5
_SETTLED_SECONDS = 30.0
"""How often Traefik is asked for its certificates while orders are under way, and otherwise."""
_PATIENCE_SECONDS = 0.5
_CHECKS_AT_ONCE = 8


class Issuance:
    """Safe to call from any thread. `on_change` hears of subjects whose verdict changed, on the governor's thread."""

    def __init__(
        self,
        *,
        preflights: Preflights,
        proxy: Proxy,
        store: IssuanceStore,
        limits: Callable[[], Limits],
        on_change: Callable[[frozenset[str]], None],
        rehearsals: Rehearser | None = None,
        events: Events | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._preflights = preflights
        self._proxy = proxy
        self._store = store
        self._limits = limits
        self._on_change = on_change
        self._rehearsals = rehearsals
        self._clock = clock
        self.patience_seconds = _PATIENCE_SECONDS
        """How long `follow` waits for the verdict about a new gateway domain."""
        self._events = events or Events()
        self._wake = threading.Condition()
        records, spent = store.load()
        self.since = issuance.unheard_since(records.values(), clock())
        """From when on (Unix seconds) what is said of orders is news."""
        self._docket = Docket(records, spent, limits())
        self._asked_at = float("-inf")
        self._is_traefik_away = False
        self._skipped: dict[str, str] = {}
        self._is_roused = False
        """Whether anything came about since the governor last began to look at everything."""
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin. `on_failure` is told when it ends unexpectedly."""
        self._thread = threading.Thread(target=self._guard, args=(on_failure,), name="issuance", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; a check under way is not waited for. May be repeated."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def follow(self, subjects: Iterable[str]) -> None:
        """These, and no others, are the certificates that routes need.

        The verdict about a gateway domain that is new among them is waited for a moment: all its names depend on it,
        and would otherwise be written twice.
        """
        wanted = set(subjects)
        with self._wake:
            if not self._docket.follow(wanted):
                return
            self._ask_soon()
            domains = [subject for subject in wanted if subject.startswith(issuance.WILDCARD)]
            self._wake.wait_for(lambda: self._stopping or self._docket.is_judged(domains), self.patience_seconds)

    def verdict(self, subject: str) -> tuple[str | None, bool]:
        """Why no certificate is ordered for a subject (None: it may be), and whether anything is known about it yet."""
        with self._wake:
            return self._docket.verdict(subject)

    def look(self, subjects: Iterable[str] | None = None) -> None:
        """Check these soon (None: all that have no certificate): what they depend on may have changed."""
        with self._wake:
            self._docket.look(subjects)
            self._rouse()

    def views(self) -> dict[str, IssuanceView]:
        """How every followed subject stands."""
        with self._wake:
            return self._docket.views(self._clock())

    def view(self, subject: str) -> IssuanceView | None:
        """How one stands; None: no route needs it."""
        with self._wake:
            return self._docket.view(subject, self._clock())

    def skipped(self) -> dict[str, str]:
        """The certificate resolvers that Traefik left out, and its words: nothing is ordered there until it starts."""
        with self._wake:
            return dict(self._skipped)

    def families(self) -> Iterable[Family]:
        """What became of orders, and how many certificates there are."""
        with self._wake:
            outcomes, states = dict(self._docket.outcomes), self._docket.counts()
        yield by_label("gateway_orders_total", "outcome", outcomes)
        yield by_label("gateway_certificates", "state", states)

    def heed(self, event: Event) -> None:
        """Take in what Traefik's log tells of an order."""
        with self._wake:
            if isinstance(event, Obtained):
                self._docket.renewed(event.domains)
                self._ask_soon()
            elif isinstance(event, ResolverSkipped):
                self._skipped[event.resolver] = event.words
            elif isinstance(event, OrderBegun):
                self._skipped.clear()  # Traefik was started since, with its stores put right
            elif isinstance(event, OrderFailed):
                self._docket.fail(event.domains, issuance.failure_of(event), _jitter())
                self._rouse()
        if isinstance(event, OrderFailed) and issuance.weight(event) is Weight.PASSING:
            self._preflights.doubt_authority()

    def rehearsed(self, subject: str, directory: str, failure: Failure | None) -> None:
        """Take in how the rehearsal of an order at this staging directory ended; None: well."""
        with self._wake:
            self._docket.rehearsed(subject, directory, failure, _jitter())
            self._rouse()

    def _ask_soon(self) -> None:
        self._asked_at = float("-inf")
        self._rouse()

    def _rouse(self) -> None:
        """Under the lock. Whoever is busy just now looks once more."""
        self._is_roused = True
        self._wake.notify_all()

    def _guard(self, on_failure: Callable[[BaseException], None]) -> None:
        pool = ThreadPoolExecutor(_CHECKS_AT_ONCE, "preflight")
        try:
            while self._await_cause():
                self._ask_for_certificates()
                self._start_checks(pool, on_failure)
                self._publish()
        except BaseException as error:  # noqa: BLE001  certificates that are never ordered must not go unnoticed
            on_failure(error)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _await_cause(self) -> bool:
        """Wait until something is due. False: stop."""
        with self._wake:
            due = min(self._docket.next_due(), self._asked_at + self._asking_seconds())
            pause = max(0.0, due - time.monotonic())
            self._wake.wait_for(lambda: self._is_roused or self._stopping, pause)
            self._is_roused = False
            return not self._stopping

    def _asking_seconds(self) -> float:
        return _UNDER_WAY_SECONDS if self._docket.under_way() else _SETTLED_SECONDS

    def _ask_for_certificates(self) -> None:
        """Learn from Traefik which certificates are there."""
        with self._wake:
            if time.monotonic() < self._asked_at + self._asking_seconds():
                return
            self._asked_at = time.monotonic()
        try:
            names = self._proxy.certified_names()
        except Unavailable:
            self._is_traefik_away = True
            return  # nothing is known: what was allowed stays so
        with self._wake:
            if self._is_traefik_away:
                self._is_traefik_away = False
                self._docket.wait_anew(self._clock())
            self._docket.compare(names, self._clock(), time.monotonic())

    def _start_checks(self, pool: ThreadPoolExecutor, on_failure: Callable[[BaseException], None]) -> None:
        with self._wake:
            if not self._is_traefik_away:
                self._docket.give_up_silent(self._clock(), _jitter())
            for subject in self._docket.begin_checks(time.monotonic()):
                pool.submit(self._check, subject, on_failure)

    def _check(self, subject: str, on_failure: Callable[[BaseException], None]) -> None:
        try:
            found = self._preflights.check(subject)
            with self._wake:
                self._docket.judge(subject, found, self._clock(), time.monotonic())
                self._rouse()
        except BaseException as error:  # noqa: BLE001  a check that was never ended must not go unnoticed
            on_failure(error)

    def _publish(self) -> None:
        """Save and tell what changed, outside the lock."""
        with self._wake:
            self._docket.limit(self._limits(), self._clock())
            unsaved, news = self._docket.unsaved(self._clock()), self._docket.news()
            to_rehearse = self._docket.to_rehearse()
        if unsaved is not None:
            try:
                self._store.save(*unsaved)
            except Unavailable as error:
                log.warning("history of orders not stored, it is tried again", reason=str(error))
                with self._wake:
                    self._docket.keep_unsaved()
        if to_rehearse and self._rehearsals is not None:
            self._rehearsals.ask(to_rehearse)
        for subject in news:
            self._events.publish("certificate", self._told(subject))
        if news:
            self._on_change(news)

    def _told(self, subject: str) -> dict[str, object]:
        view = self.view(subject)
        if view is None:
            return {"name": subject, "state": "unneeded", "reason": ""}
        state = "issued" if view.is_issued else "ordered" if view.reason is None else "withheld"
        return {"name": subject, "state": state, "reason": view.reason or ""}


def _jitter() -> float:
    return random.random()  # noqa: S311  spreads retries, and keeps no secret
