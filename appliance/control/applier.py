"""Brings the desired state to Traefik: one thread, one cycle.

read what changed -> judge it -> write the difference -> ask Traefik whether it serves it

Every cause (a changed file, a call, an answer from a name server) only asks for a cycle, so causes that come together
are one cycle. The first change after a quiet time is written at once; while Traefik still works on the last write,
changes gather, because each write costs it a reload of everything. Now and then all is compared with all, so a lost
event costs a delay, never a state.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from appliance import logs
from appliance.control.board import Board
from appliance.control.confirmation import Confirmation
from appliance.control.lookups import Watch
from appliance.control.ports import AcceptedStore, Additions, Proxy, RouteFiles, WorkloadStore
from appliance.control.reading import Reading
from appliance.control.routes import Routes
from appliance.control.traffic import Traffic
from appliance.model import admission, resolution
from appliance.model.admission import Gateway, Route
from appliance.model.errors import GatewayError, Unavailable
from appliance.model.register import Register
from appliance.model.workloads import Workload
from appliance.render.dynamic import Decision

log = logs.logger(__name__)

_RECHECK_SECONDS = 60.0
"""How often everything is compared again although nothing asked for it."""
_RETRY_SECONDS = 2.0
"""How soon what could not be written is tried again."""
_LONGEST_SETTLING_SECONDS = 10.0
"""How long changes gather at most while Traefik does not confirm the last write."""


class Applier:
    """The desired state's way to Traefik. `start()` returns after the first cycle; `stop()` joins."""

    def __init__(
        self,
        *,
        workloads: WorkloadStore,
        accepted: AcceptedStore,
        files: RouteFiles,
        proxy: Proxy,
        watch: Watch,
        traffic: Traffic,
        gateway: Gateway,
        additions: Additions | None = None,
    ) -> None:
        self._accepted = accepted
        self._watch = watch
        self._traffic = traffic
        self._routes = Routes(files, additions)
        self._register = Register(gateway)
        self._confirmation = Confirmation(proxy)
        self._withheld: dict[str, str] = {}
        self._changed = threading.Condition()
        self.board = Board(self._changed, self._register, self._confirmation, self._withheld)
        self._reading = Reading(workloads)
        self._moved_hosts: set[str] = set()
        self._reconsidered: set[str] = set()
        self._new_rules: Gateway | None = None
        self._requested = 1
        self._finished = 0
        self._written_at = 0.0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Do a first cycle, then go on in a thread; `on_failure` is told when that thread ends unexpectedly."""
        accepted = self._accepted.load()
        self._register.restore(accepted, accepted.keys())
        self._cycle()
        self._thread = threading.Thread(target=self._run, args=(on_failure,), name="applier", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the cycle under way and end. May be called again."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def request(self, identities: Iterable[str] | None = None) -> int:
        """Ask for a cycle that looks at these workloads' files, or (None) at everything.

        Returns the cycle's number, for `wait`.
        """
        with self._changed:
            self._reading.request(identities)
            return self._ask()

    def request_route_files(self, names: Iterable[str]) -> None:
        """Ask for a look at these entries of Traefik's directory: somebody else may have touched them."""
        self._routes.suspect(names)
        with self._changed:
            self._ask()

    def request_hosts(self, hosts: Iterable[str]) -> None:
        """Ask for a cycle because these hosts resolve to something else now."""
        with self._changed:
            self._moved_hosts.update(hosts)
            self._ask()

    def prune(self) -> int:
        """Believe that files which vanished are meant to be gone. Returns the cycle's number."""
        with self._changed:
            self._reading.believe()
            return self._ask()

    def trouble(self) -> str | None:
        """Why the desired state is not taken over as it lies there, and what to do; None when it is."""
        return self._reading.trouble() or self._routes.trouble()

    def reconfigure(self, gateway: Gateway) -> None:
        """Admit by these rules from now on."""
        with self._changed:
            if gateway != self._register.gateway or self._new_rules is not None:
                self._new_rules = gateway
            self._ask()

    def admit_one(self, workload: Workload, write: Callable[[], None]) -> int:
        """Let one workload in at the door and `write` it, or raise why not; nobody else is admitted meanwhile.

        Returns the number of the cycle to wait for. Raises Refused, Conflict or NoGateway.
        """
        with self._changed:
            register = self._register
            host = admission.check_at_the_door(workload, register.gateway, register.resolutions)
            admission.check_free(host, workload.id, register.holders)
            write()
            register.claim(host, workload.id)
            return self.request([workload.id])

    def remove_one(self, identity: str, remove: Callable[[], bool]) -> tuple[bool, int]:
        """`remove` a workload's file on purpose: it does not count as vanished. Whether it was there, and the cycle."""
        with self._changed:
            existed = remove()
            self._register.release(identity)
            self._reading.expect_gone(identity)
            return existed, self.request([identity])

    def wait(self, identity: str, cycle: int, deadline: float) -> bool:
        """Wait until `cycle` is done and the workload not pending; False when `deadline` (monotonic) passes."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._finished >= cycle and self.board.is_final(identity), max(0.0, deadline - time.monotonic())
            )

    def _ask(self) -> int:
        self._requested += 1
        self._changed.notify_all()
        return self._requested

    def _run(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while self._await_cause():
                self._cycle()
        except BaseException as error:  # noqa: BLE001  whatever it was, a dead applier must not look alive
            on_failure(error)

    def _await_cause(self) -> bool:
        """Wait for a request that may be carried out now, confirming what is unconfirmed meanwhile. False: stop."""
        recheck = time.monotonic() + (_RETRY_SECONDS if self._is_blocked() else _RECHECK_SECONDS)
        while True:
            with self._changed:
                pause = min(self._confirmation.pause(), max(0.0, recheck - time.monotonic()))
                self._changed.wait_for(lambda: self._stopping or self._is_due(), pause)
                if self._stopping or self._is_due():
                    return not self._stopping
                if time.monotonic() >= recheck:
                    self._doubt_everything()
                    return True
            self._confirm()

    def _is_blocked(self) -> bool:
        """Whether something could not be read or written, and is to be tried again soon."""
        return self._reading.is_blocked() or self._routes.trouble() is not None

    def _is_due(self) -> bool:
        """Whether there is something to do, and Traefik is done with the last write (or has had its time)."""
        if self._requested <= self._finished:
            return False
        is_late = time.monotonic() > self._written_at + _LONGEST_SETTLING_SECONDS
        return is_late or not self._confirmation.is_working()

    def _doubt_everything(self) -> None:
        self._reading.request(None)
        self._routes.doubt_all()
        self._confirmation.doubt_all()

    def _cycle(self) -> None:
        with self._changed:
            cycle = self._requested
            touched = self._take_in()
            decisions = {identity: self._decide(identity) for identity in touched}
            hosts = {route.host for route in self._register.routes.values() if _needs_own_certificate(route)}
            hosts |= self._register.backend_hosts()
            routes, existing = dict(self._register.routes), frozenset(self._register.desired)
        self._watch.watch(hosts, self._register.gateway.addresses)
        self._traffic.follow(routes, existing)
        expected = self._routes.write(decisions)
        with self._changed:
            if expected:
                self._written_at = time.monotonic()
                self._confirmation.expect(expected)
            self._forget(touched)
            self._finished = cycle
            self._changed.notify_all()
        self._confirm()

    def _take_in(self) -> set[str]:
        """Everything that changed, into the register; the ids to decide about anew."""
        register = self._register
        touched, self._reconsidered = self._reconsidered, set()
        if self._new_rules is not None:
            touched |= register.reconfigure(self._new_rules)
            self._new_rules = None
        if self._moved_hosts:
            touched |= register.resolve(self._watch.known(), self._moved_hosts)
            touched |= {holder for host in self._moved_hosts if (holder := register.holders.get(host))}
            self._moved_hosts.clear()
        before = dict(register.refused)
        touched |= register.update(self._reading.take(register.desired, register.routes.keys()))
        _report(before, register.refused)
        return touched

    def _decide(self, identity: str) -> Decision | None:
        """The decision about one workload's route; None: it has none."""
        route = self._register.routes.get(identity)
        self._withheld.pop(identity, None)
        if route is None:
            return None
        reason = self._obstacle(route)
        if reason is not None:
            self._withheld[identity] = reason
        return Decision(route, orders_certificate=reason is None)

    def _obstacle(self, route: Route) -> str | None:
        """Why no certificate is ordered for a route; None when it is."""
        if not _needs_own_certificate(route):
            return None
        known = self._watch.answer(route.host)
        is_doubtful = known is None or not known.is_certain
        if is_doubtful and self._routes.was_ordered(Decision(route, orders_certificate=True)):
            return None  # it was ordered before this process began: nothing is taken back on no knowledge
        return resolution.obstacle(route.host, known, self._register.gateway.addresses)

    def _forget(self, touched: Iterable[str]) -> None:
        """Let go of the remembered versions of workloads that are gone."""
        for identity in touched:
            if identity not in self._register.desired and self._accepted.get(identity) is not None:
                with contextlib.suppress(Unavailable):  # it is left out at the next start, for its file is gone
                    self._accepted.remove(identity)

    def _confirm(self) -> None:
        answers = self._confirmation.ask(self._changed)
        with self._changed:
            for identity in answers.applied:
                self._accept(identity)
            for identity, words in answers.rejected.items():
                log.warning("workload rejected by Traefik", workload=identity, reason=words)
                self._reconsidered |= self._register.reject(identity, words, self._accepted.get(identity))
                self._ask()
            if answers.is_news:
                self._changed.notify_all()

    def _accept(self, identity: str) -> None:
        """Remember a version that Traefik serves: it is the one to fall back to."""
        route = self._register.routes.get(identity)
        if route is None or self._accepted.get(identity) == route.workload:
            return
        try:
            self._accepted.put(route.workload)
        except Unavailable as error:
            log.warning("accepted version not remembered", workload=identity, reason=str(error))


def _needs_own_certificate(route: Route) -> bool:
    return route.domain is None and not route.workload.tls_passthrough


def _report(before: Mapping[str, GatewayError], after: Mapping[str, GatewayError]) -> None:
    """Log what changed at the door: each refusal once, with its reason, and its end."""
    for identity, error in after.items():
        known = before.get(identity)
        if known is None or str(known) != str(error):
            log.warning("workload quarantined", workload=identity, reason=str(error))
    for identity in before.keys() - after.keys():
        log.info("workload out of quarantine", workload=identity)
