"""Keeps the account of what every workload carries, for as long as the root exists.

One thread reads both sources every couple of seconds and saves what changed. Whoever changes routes says so before it
writes (`follow`), since a removed service's counters vanish from Traefik: they are read at that moment, and again and
again until they are seen to be gone. Reading never raises: what cannot be read is told with the numbers.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from ipaddress import IPv6Address
from typing import Any

from appliance import logs
from appliance.control.ports import Connections, ServiceCounters, TrafficStore
from appliance.model import flows, traffic
from appliance.model.admission import Route
from appliance.model.backends import Backend
from appliance.model.errors import Unavailable
from appliance.model.traffic import Claim, Ledger

log = logs.logger(__name__)

_PAUSE_SECONDS = 2.0
"""Between readings: what Traefik counted after the last one is lost when it is killed."""
_PAUSE_WITH_PASSTHROUGH_SECONDS = 1.0
"""The same where connections are followed: those that ended since are lost when this process is killed."""
_FAREWELL_PAUSE_SECONDS = 0.1
"""The first pause while a removed service's counters have yet to vanish; each is twice as long, up to the usual one."""
_MOST_OF_THE_TIME = 0.05
"""The share of the time that reading and saving may take; on a large gateway pauses become longer."""
_FRESH_SECONDS = 0.2
_FORGET_SECONDS = 3600.0
_PATIENCE_SECONDS = 5.0
_READINGS_UNTIL_GONE = 2
_HURRY_SECONDS = 1.0
"""How long a change of routes waits for a reading, at most for each answer."""


class Traffic:
    """The use case. Safe to call from any thread. `start()` restores and counts; `stop()` reads and saves once more."""

    def __init__(
        self,
        counters: ServiceCounters,
        connections: Connections,
        store: TrafficStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._counters = counters
        self._connections = connections
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._wake = threading.Condition()
        self._ledger = Ledger()
        self._saved = self._ledger
        self._claims: dict[str, Claim] = {}
        self._unrouted: set[str] = set()
        self._followed_at: float | None = None
        self._owners: dict[traffic.Endpoint, str] = {}
        self._no_counters = "Traefik's counters have not been read yet"
        self._no_connections = ""
        self._counted_at = 0.0
        self._read_at = 0.0
        self._cost_seconds = 0.0
        self._farewell_pause = 0.0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Restore the totals and begin to count. `on_failure` is told when counting ends. Raises Unavailable."""
        self._ledger, saved = self._store.load()
        try:
            self._connections.start(on_failure)
            self._ledger = flows.on_kernel(self._ledger, self._connections.numbering())
        except Unavailable as error:
            self._no_connections = str(error)
            log.warning("passthrough traffic cannot be counted on this host", reason=str(error))
        if saved is not None:
            self._ledger = flows.lost(self._ledger, _while_down(saved), self._clock())
        self._thread = threading.Thread(target=self._run, args=(on_failure,), name="traffic", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read and save once more, and end. May be repeated."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._connections.stop()

    def follow(
        self, routes: Mapping[str, Route], unrouted: Collection[str] = (), touched: Collection[str] | None = None
    ) -> None:
        """These routes are about to be what Traefik is told: count for exactly them from here on.

        `unrouted` are the workloads that exist all the same. Only those `touched` may stand otherwise than at the last
        call (None: all); the first call looks at all. One thread calls this.

        To be called before they are written, so that no connection precedes its account and no counter vanishes
        unread. Costs a reading when a route goes or changes its kind.
        """
        if touched is None or self._followed_at is None:
            touched = routes.keys() | self._claims.keys() | self._unrouted | set(unrouted)
        fresh, gone = self._news(routes, touched)
        moved = {identity for identity in touched if (identity in unrouted) != (identity in self._unrouted)}
        if self._followed_at is not None and not fresh and not gone and not moved:
            return
        claims = dict(self._claims)
        for identity in gone:
            del claims[identity]
        claims |= fresh
        given_up = {it: self._claims[it] for it in (*fresh, *gone) if it in self._claims}
        is_farewell = bool(_vanishing(given_up, claims))
        if is_farewell:
            self._read_counters(_HURRY_SECONDS)
        if traffic.awaits_farewell(self._ledger, self._claims, _vanishing(fresh, self._claims)):
            # Traefik lets go of a series one reading after its service went, and begins it anew at 0. One that comes
            # back before that was seen could reach its old value unnoticed: so it is seen now.
            for _ in range(_READINGS_UNTIL_GONE):
                self._read_counters(_HURRY_SECONDS)
        with self._lock:
            self._unrouted ^= moved
            self._take_over(claims, {*fresh, *gone, *moved})
        if is_farewell:
            with self._wake:
                self._farewell_pause = _FAREWELL_PAUSE_SECONDS
                self._wake.notify_all()

    def _news(self, routes: Mapping[str, Route], touched: Collection[str]) -> tuple[dict[str, Claim], set[str]]:
        """The claims that are not what they were, and who makes none any more, since the last call."""
        gone = {identity for identity in touched if identity in self._claims and identity not in routes}
        claims = {identity: _claim(routes[identity]) for identity in touched if identity in routes}
        return {identity: claim for identity, claim in claims.items() if self._claims.get(identity) != claim}, gone

    def read(self) -> None:
        """Bring the totals up to date, unless they were a moment ago."""
        if time.monotonic() - self._read_at > _FRESH_SECONDS:
            self._read()

    def report(self) -> dict[str, dict[str, Any]]:
        """Every workload's totals by id, deleted ones of the last 30 days included; see `traffic.Account.document`.

        They are saved before they are told: whoever adds them up never sees one fall.
        """
        self.read()
        with self._lock:
            ledger, problem = self._ledger, self._no_counters
        self._save()
        return {identity: account.document(problem) for identity, account in sorted(ledger.accounts.items())}

    def accounts(self) -> Mapping[str, traffic.Account]:
        """The totals by id as they were saved last, a few seconds ago, without asking anybody."""
        return self._saved.accounts

    def _take_over(self, claims: dict[str, Claim], touched: Collection[str]) -> None:
        """Make new claims the ones that count, with the connections' last readings under the old ones."""
        now = self._clock()
        is_first = self._followed_at is None
        before = flows.owners_of(_as_before(self._ledger, claims)) if is_first else self._owners
        owners = flows.owners_of(claims)
        self._ledger = flows.remembered(self._ledger, before, now)
        self._connections.watch(frozenset({*owners, *before, *self._ledger.former}))
        reading = self._read_connections(before)
        concerned = None if is_first else touched
        self._ledger = traffic.followed(self._ledger, claims, self._unrouted, self._no_connections, now, concerned)
        self._followed_at = now
        if reading is not None:
            self._ledger = flows.based(self._ledger, owners, reading)
        self._claims, self._owners = claims, owners
        self._connections.watch(frozenset({*owners, *self._ledger.former}))

    def _run(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while not self._rest():
                self._read_and_save()
            self._read_and_save()
        except BaseException as error:  # noqa: BLE001  whatever it was, a dead account must not look alive
            on_failure(error)

    def _rest(self) -> bool:
        """Wait until it is time to read again, or to stop (True)."""
        begun = time.monotonic()
        with self._wake:
            while not self._stopping and (left := begun + self._pause() - time.monotonic()) > 0:
                self._wake.wait(left)
            return self._stopping

    def _pause(self) -> float:
        """Seconds from one reading to the next."""
        if self._farewell_pause:
            return max(self._farewell_pause, 2 * self._cost_seconds)
        return max(self._usual_pause(), self._cost_seconds / _MOST_OF_THE_TIME)

    def _usual_pause(self) -> float:
        return _PAUSE_WITH_PASSTHROUGH_SECONDS if self._owners else _PAUSE_SECONDS

    def _read_and_save(self) -> None:
        begun = time.thread_time()
        self._read()
        with self._lock:
            self._forget_old()
            waits = traffic.awaits_farewell(self._ledger, self._claims)
        self._save()
        self._cost_seconds = time.thread_time() - begun
        with self._wake:
            longer = self._farewell_pause * 2
            self._farewell_pause = longer if waits and longer < self._usual_pause() else 0.0

    def _forget_old(self) -> None:
        now = self._clock()
        if self._followed_at is not None and now - self._followed_at > _FORGET_SECONDS:
            self._ledger = traffic.followed(self._ledger, self._claims, self._unrouted, self._no_connections, now)
            self._followed_at = now

    def _save(self) -> None:
        """Save what changed since the last time; without the lock, for the disk takes its time."""
        with self._saving:
            ledger = self._ledger
            if ledger is self._saved:
                return
            try:
                self._store.save(ledger, self._clock())
            except Unavailable as error:
                log.error("the traffic totals could not be saved; they are tried again", reason=str(error))
                return
            self._saved = ledger

    def _read(self) -> None:
        self._read_counters()
        with self._lock:
            self._read_connections(self._owners)
            self._read_at = time.monotonic()

    def _read_counters(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """Ask Traefik, without the lock: it may take its time.

        Of two readings that overlap one is left out: nobody can say which is the later, and an earlier one taken for
        the later would look like a restart.
        """
        begun = time.monotonic()
        try:
            scrape = self._counters.scrape(patience_seconds)
        except Unavailable as error:
            if not self._no_counters:
                log.warning("Traefik's counters cannot be read; they are tried again", reason=str(error))
            self._no_counters = str(error)
            return
        with self._lock:
            if begun >= self._counted_at:
                self._ledger = traffic.scraped(self._ledger, scrape)
                self._counted_at = time.monotonic()
            self._no_counters = ""

    def _read_connections(self, owners: Mapping[traffic.Endpoint, str]) -> flows.FlowReading | None:
        if self._no_connections:
            return None
        try:
            reading = self._connections.read()
        except Unavailable as error:
            log.warning("connections cannot be read; they are tried again", reason=str(error))
            return None
        self._ledger = flows.flowed(self._ledger, owners, reading)
        if not reading.is_whole:
            log.warning("more connections ended at once than could be taken note of: passthrough totals lack some")
            self._ledger = flows.lost(self._ledger, _TOO_MANY, self._clock())
        return reading


_TOO_MANY = "connections that ended in a burst too large to be followed are missing"


def _while_down(saved: float) -> str:
    since = f"{datetime.fromtimestamp(saved, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"connections that ended after {since}, when the control plane was not running, are missing"


def _endpoint(server: Backend) -> traffic.Endpoint:
    """Where Traefik really connects to: an IPv4 address in IPv6's clothes is dialled as IPv4."""
    mapped = server.address.ipv4_mapped if isinstance(server.address, IPv6Address) else None
    return (mapped.compressed if mapped else server.host), server.port


def _claim(route: Route) -> Claim:
    return Claim(route.host, route.workload.tls_passthrough, frozenset(map(_endpoint, route.servers)))


def _vanishing(before: Mapping[str, Claim], after: Mapping[str, Claim]) -> list[str]:
    """Whose service, that Traefik counts for, goes away from one to the other."""
    return [
        identity
        for identity, claim in before.items()
        if not claim.tls_passthrough and (identity not in after or after[identity].tls_passthrough)
    ]


def _as_before(ledger: Ledger, claims: Mapping[str, Claim]) -> dict[str, Claim]:
    """The claims that were in force before this process began, as far as the accounts tell."""
    accounts = ledger.accounts
    return {
        identity: claim
        for identity, claim in claims.items()
        if identity in accounts and accounts[identity].tls_passthrough and accounts[identity].deleted is None
    }
