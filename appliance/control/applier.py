"""Brings the desired state to Traefik, and says how every workload stands.

One thread, one cycle: read what is desired -> admit -> render -> compare with the files that are there -> write the
difference -> ask Traefik whether it serves it. Every cause (a changed file, a call, an answer from a name server)
only asks for a cycle; so causes that come together are one cycle, and a lost event costs a delay, never a state.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance import logs
from appliance.control.confirmation import Confirmation
from appliance.control.lookups import Watch
from appliance.control.ports import AcceptedStore, Proxy, RouteFiles, WorkloadStore
from appliance.model import admission, plans, resolution
from appliance.model.admission import Admission, Desired, Gateway, Route
from appliance.model.errors import GatewayError
from appliance.model.standings import Standing, State, WorkloadView, certificate_of
from appliance.model.workloads import Workload
from appliance.render import dynamic

log = logs.logger(__name__)

_RECHECK_SECONDS = 30.0
"""How often everything is compared again although nothing asked for it."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    """One route as it was rendered, kept so that an unchanged route is rendered once."""

    route: Route
    withheld: str | None
    text: str


class Applier:
    """The desired state's way to Traefik. `start()` returns after the first cycle; `stop()` joins."""

    def __init__(
        self, workloads: WorkloadStore, accepted: AcceptedStore, files: RouteFiles, proxy: Proxy, gateway: Gateway
    ) -> None:
        self._workloads = workloads
        self._accepted = accepted
        self._files = files
        self._gateway = gateway
        self._changed = threading.Condition()
        self._admission = Admission({}, {}, {})
        self._desired: dict[str, Desired] = {}
        self._rendered: dict[str, _Rendered] = {}
        self._confirmation = Confirmation(proxy)
        self._watch: Watch | None = None
        self._requested = 1
        self._finished = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def use(self, watch: Watch) -> None:
        """Depend on this look-up watch, whose changes ask for a cycle. Before `start`."""
        self._watch = watch

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Do a first cycle, then go on in a thread; `on_failure` is told when that thread ends unexpectedly."""
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

    def request(self) -> int:
        """Ask for a cycle that sees everything written until now. Returns the cycle's number, for `wait`."""
        with self._changed:
            self._requested += 1
            self._changed.notify_all()
            return self._requested

    def reconfigure(self, gateway: Gateway) -> None:
        """Admit by these rules from now on."""
        with self._changed:
            self._gateway = gateway
        self.request()

    def admit_one(self, workload: Workload, write: Callable[[], None]) -> int:
        """Let one workload in at the door and `write` it, or raise why not; nobody else is admitted meanwhile.

        Returns the number of the cycle to wait for. Raises Refused, Conflict or NoGateway.
        """
        with self._changed:
            resolutions = self._watch.known() if self._watch else {}
            host, _ = admission.host_of(workload, self._gateway)
            for backend in workload.backends:
                self._gateway.policy.check(backend)
                if backend.host in resolutions:
                    admission.route_of(workload, self._gateway, resolutions)
            admission.check_free(host, workload.id, self._admission.holders)
            write()
            self._admission = admission.with_claim(self._admission, host, workload.id)
            return self.request()

    def wait(self, identity: str, cycle: int, deadline: float) -> bool:
        """Wait until `cycle` is done and the workload not pending; False when `deadline` (monotonic) passes."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._finished >= cycle and self._is_final(identity), max(0.0, deadline - time.monotonic())
            )

    def views(self, certified: frozenset[str] | None) -> list[WorkloadView]:
        """Every workload, by id. `certified` are the names of Traefik's certificates, None when not known."""
        with self._changed:
            return [self._view(identity, certified) for identity in sorted(self._desired)]

    def view(self, identity: str, certified: frozenset[str] | None) -> WorkloadView | None:
        """One workload, or None when there is none of this id."""
        with self._changed:
            return self._view(identity, certified) if identity in self._desired else None

    def view_of(self, workload: Workload, certified: frozenset[str] | None) -> WorkloadView:
        """The view of this very version, which is pending while no cycle has seen it yet."""
        with self._changed:
            desired = self._desired.get(workload.id)
            if desired is not None and desired.content == workload:
                return self._view(workload.id, certified)
            return WorkloadView(
                id=workload.id,
                content=workload,
                host=admission.host_or_none(workload, self._gateway),
                standing=Standing(State.PENDING, "accepted; it is written next"),
                certificate=certificate_of(None, None, certified),
            )

    def states(self) -> Mapping[State, int]:
        """How many workloads are in each state."""
        with self._changed:
            counts = dict.fromkeys(State, 0)
            for identity in self._desired:
                counts[self._standing(identity).state] += 1
            return counts

    def _is_final(self, identity: str) -> bool:
        if identity not in self._desired:
            return not self._confirmation.is_leaving(identity)
        return self._standing(identity).state is not State.PENDING

    def _standing(self, identity: str) -> Standing:
        refusal = self._admission.refused.get(identity)
        if refusal is not None:
            suffix = "; the version accepted before is still served" if identity in self._admission.routes else ""
            return Standing(State.QUARANTINED, f"{refusal}{suffix}")
        return self._confirmation.standing(identity)

    def _view(self, identity: str, certified: frozenset[str] | None) -> WorkloadView:
        rendered = self._rendered.get(identity)
        content = self._desired[identity].content
        return WorkloadView(
            id=identity,
            content=content if isinstance(content, Workload) else None,
            host=admission.host_or_none(content, self._gateway) if isinstance(content, Workload) else None,
            standing=self._standing(identity),
            certificate=certificate_of(
                rendered.route if rendered else None, rendered.withheld if rendered else None, certified
            ),
        )

    def _run(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while self._await_cause():
                self._cycle()
        except BaseException as error:  # noqa: BLE001  whatever it was, a dead applier must not look alive
            on_failure(error)

    def _await_cause(self) -> bool:
        """Wait for a request, confirming what is unconfirmed meanwhile. False: stop."""
        recheck = time.monotonic() + _RECHECK_SECONDS
        while True:
            with self._changed:
                pause = min(self._confirmation.pause(), max(0.0, recheck - time.monotonic()))
                self._changed.wait_for(lambda: self._stopping or self._requested > self._finished, pause)
                if self._stopping:
                    return False
                if self._requested > self._finished:
                    return True
            if time.monotonic() >= recheck:
                self._confirmation.doubt_all()
                return True
            self._confirm()

    def _cycle(self) -> None:
        with self._changed:
            cycle = self._requested
            desired = self._workloads.load()
            accepted = self._accepted.load()
            outcome = admission.admit(desired, accepted, self._gateway, self._watch.known() if self._watch else {})
            before, self._admission = self._admission, outcome
            self._desired = {item.id: item for item in desired}
        self._watch_hosts(outcome)
        self._write(outcome)
        self._remember(outcome, accepted)
        _report(before, outcome)
        with self._changed:
            self._finished = cycle
        self._confirm()

    def _watch_hosts(self, outcome: Admission) -> None:
        if self._watch is None:
            return
        certified = {route.host for route in outcome.routes.values() if _needs_own_certificate(route)}
        backends = {
            backend.host
            for item in self._desired.values()
            if isinstance(item.content, Workload)
            for backend in item.content.backends
            if backend.address is None
        }
        self._watch.watch(certified | backends, self._gateway.addresses)

    def _write(self, outcome: Admission) -> None:
        current = self._files.current()
        rendered = {identity: self._render(route, current) for identity, route in outcome.routes.items()}
        wanted = {dynamic.file_name(identity): item.text for identity, item in rendered.items()}
        plan = plans.diff(current, wanted)
        self._files.write(plan)
        with self._changed:
            gone = {identity: self._rendered[identity].route for identity in self._rendered.keys() - rendered.keys()}
            fresh = {
                identity: dynamic.expectation(item.route, orders_certificate=item.withheld is None)
                for identity, item in rendered.items()
                if self._rendered.get(identity) != item or not self._confirmation.knows(identity)
            }
            self._rendered = rendered
            self._confirmation.expect(
                fresh,
                {identity: dynamic.expectation(route, orders_certificate=True) for identity, route in gone.items()},
            )
        if plan:
            log.info("routes written", changes=len(plan), routes=len(wanted))

    def _render(self, route: Route, current: Mapping[str, str]) -> _Rendered:
        withheld = self._withheld(route, current)
        known = self._rendered.get(route.id)
        if known is not None and known.route == route and (known.withheld is None) == (withheld is None):
            return _Rendered(route, withheld, known.text)
        return _Rendered(route, withheld, _text(route, withheld))

    def _withheld(self, route: Route, current: Mapping[str, str]) -> str | None:
        """Why no certificate is ordered for a route; None when it is."""
        if not _needs_own_certificate(route) or self._watch is None:
            return None
        known = self._watch.known().get(route.host)
        doubtful = known is None or not known.is_certain
        if doubtful and current.get(dynamic.file_name(route.id)) == _text(route, None):
            return None  # it was ordered before this process began: nothing is taken back on no knowledge
        return resolution.obstacle(route.host, known, self._gateway.addresses)

    def _remember(self, outcome: Admission, accepted: Mapping[str, Workload]) -> None:
        for identity, route in outcome.routes.items():
            if accepted.get(identity) != route.workload:
                self._accepted.put(route.workload)
        for identity in accepted.keys() - self._desired.keys():
            self._accepted.remove(identity)

    def _confirm(self) -> None:
        if self._confirmation.ask(self._changed):
            with self._changed:
                self._changed.notify_all()


def _needs_own_certificate(route: Route) -> bool:
    return route.domain is None and not route.workload.tls_passthrough


def _text(route: Route, withheld: str | None) -> str:
    return dynamic.text(dynamic.document(route, orders_certificate=withheld is None))


def _report(before: Admission, after: Admission) -> None:
    """Log what changed at the door: each refusal once, with its reason, and its end."""
    known: Mapping[str, GatewayError] = before.refused
    for identity, error in after.refused.items():
        if str(known.get(identity)) != str(error):
            log.warning("workload quarantined", workload=identity, reason=str(error))
    for identity in known.keys() - after.refused.keys():
        log.info("workload out of quarantine", workload=identity)
