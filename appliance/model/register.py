"""The register: every desired workload, which of them are let in, and why the others are not.

It is kept up to date change by change, at the cost of what changed: of ten thousand workloads, nine thousand nine
hundred and ninety-nine are not looked at because one of them was edited. No change of one workload can affect another,
except that a host which is given up goes to whoever waits for it.

Rules: whoever holds a host keeps it; of several new claims the oldest file wins, then the lesser id. A workload whose
new version is refused keeps the version that was accepted last.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from appliance.model import admission
from appliance.model.admission import Desired, Gateway, Route
from appliance.model.errors import Conflict, GatewayError, InvalidInput, Refused
from appliance.model.resolution import Resolutions
from appliance.model.steps import Steps, at_once
from appliance.model.workloads import Workload


@dataclass(slots=True)
class Register:
    """Owned and changed by one thread; everything in it is to be read only by others."""

    gateway: Gateway
    resolutions: Resolutions = field(default_factory=dict)
    steps: Steps = at_once
    """How it goes through many workloads."""
    desired: dict[str, Desired] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    """By workload id: what is to be live, a last accepted version included."""
    refused: dict[str, GatewayError] = field(default_factory=dict)
    """By workload id: why its desired version is not live."""
    holders: dict[str, str] = field(default_factory=dict)
    """Host -> the id of the workload that has it."""
    _waiting: dict[str, set[str]] = field(default_factory=dict)
    """Host -> ids of workloads that were refused because somebody else has it."""
    _waits_for: dict[str, str] = field(default_factory=dict)
    """Workload id -> the host it waits for."""
    _dependents: dict[str, set[str]] = field(default_factory=dict)
    """Host name of a backend -> ids of the workloads that name it."""
    _claims: dict[str, str] = field(default_factory=dict)
    """Workload id -> the host reserved for it at the door."""
    _rejections: dict[str, dict[Workload, str]] = field(default_factory=dict)
    """Workload id -> the versions that Traefik would not take since its file changed last, and its words."""
    _freed: set[str] = field(default_factory=set)
    """Hosts that came free since somebody looked."""
    _deleted: set[str] = field(default_factory=set)
    """Ids of workloads that were deleted on purpose, and not looked at since: whatever comes back under such an id is
    another workload, for which no version before it stands in."""

    def restore(self, accepted: Mapping[str, Workload], present: Collection[str]) -> None:
        """Give the hosts to who had them last, of the workloads that are still `present`. Before the first `update`."""
        for identity in self.steps(sorted(accepted.keys() & set(present))):
            try:
                route = admission.route_of(accepted[identity], self.gateway, self.resolutions)
            except GatewayError:
                continue
            if route.host not in self.holders:
                self._live(identity, route)

    def update(self, changes: Mapping[str, Desired | None]) -> set[str]:
        """Take new versions (None: gone) in; the ids whose route or refusal may have changed."""
        for identity, desired in self.steps(changes.items()):
            self._forget_dependence(identity)
            if identity in self._deleted:
                self._deleted.discard(identity)
                self._end(identity)
            before = self.desired.get(identity)
            if before is None or desired is None or before.content != desired.content:
                self._rejections.pop(identity, None)
            if desired is None:
                self.desired.pop(identity, None)
            else:
                self.desired[identity] = desired
                for host in _backend_hosts(desired):
                    self._dependents.setdefault(host, set()).add(identity)
        return self._evaluate(changes)

    def resolve(self, resolutions: Resolutions, changed: Iterable[str]) -> set[str]:
        """Take what was looked up; `changed` are the hosts whose answer is new. The ids concerned."""
        self.resolutions = resolutions
        concerned = {identity for host in changed for identity in self._dependents.get(host, ())}
        return self.forgive(concerned)

    def forgive(self, identities: Iterable[str]) -> set[str]:
        """Let what Traefik would not take be tried again. The ids whose route or refusal may have changed."""
        concerned = set(identities)
        for identity in concerned:
            self._rejections.pop(identity, None)
        return self._evaluate(concerned)

    def reconfigure(self, gateway: Gateway) -> set[str]:
        """Judge everything anew by these rules."""
        self.gateway = gateway
        live = {identity: route.workload for identity, route in self.routes.items()}
        self.routes.clear()
        self.holders.clear()
        self._waiting.clear()
        self._waits_for.clear()
        self._rejections.clear()
        self.restore(live, self.desired.keys())
        return self._evaluate(set(self.desired) | live.keys())

    def claim(self, host: str, identity: str) -> None:
        """Reserve a free host for a workload that was let in at the door and is being written."""
        self._end_claim(identity)
        if self.holders.setdefault(host, identity) == identity:
            self._claims[identity] = host

    def release(self, identity: str) -> None:
        """Let somebody else claim the host of a workload that is being deleted, before its route is gone."""
        route = self.routes.get(identity)
        if route is not None:
            self._free(route.host, identity)
        self._end_claim(identity)
        self._deleted.add(identity)

    def reject(self, identity: str, words: str, fallback: Workload | None) -> set[str]:
        """Traefik will not take the live version: keep it out until its input changes, and go back to `fallback`.

        Returns the ids whose route or refusal may have changed.
        """
        route = self.routes.get(identity)
        if route is None:
            return set()
        self._rejections.setdefault(identity, {})[route.workload] = words
        self._end(identity)
        if fallback is not None and fallback != route.workload:
            self.restore({identity: fallback}, {identity})
        return self._evaluate([identity])

    def backend_hosts(self) -> set[str]:
        """Every host name that workloads give as a backend."""
        return {host for host, ids in self._dependents.items() if ids}

    def _evaluate(self, identities: Iterable[str]) -> set[str]:
        """Judge these anew, and whoever waits for a host that comes free, until nothing moves any more."""
        touched: set[str] = set()
        queue = sorted(identities, key=self._seniority)
        while queue:
            touched.update(queue)
            for identity in self.steps(queue):
                self._judge(identity)
            waiting = {identity for host in self._freed for identity in self._waiting.pop(host, ())}
            self._freed.clear()
            queue = sorted(waiting, key=self._seniority)
        return touched

    def _judge(self, identity: str) -> None:
        self._stop_waiting(identity)
        self._end_claim(identity)
        desired = self.desired.get(identity)
        self.refused.pop(identity, None)
        if desired is None:
            self._end(identity)
            return
        try:
            route = self._admitted(desired)
        except GatewayError as error:
            self.refused[identity] = error
            self._keep_or_end(identity)
        else:
            self._live(identity, route)

    def _admitted(self, desired: Desired) -> Route:
        if isinstance(desired.content, InvalidInput):
            raise desired.content
        words = self._rejections.get(desired.id, {}).get(desired.content)
        if words is not None:
            raise Refused(f"Traefik rejected it: {words}; change the workload, and it is tried again")
        route = self._route_of(desired.id, desired.content)
        try:
            admission.check_free(route.host, desired.id, self.holders)
        except Conflict:
            self._waiting.setdefault(route.host, set()).add(desired.id)
            self._waits_for[desired.id] = route.host
            raise
        return route

    def _route_of(self, identity: str, workload: Workload) -> Route:
        """The route of a version: the one that is live where this is that version, for the rules are the same."""
        live = self.routes.get(identity)
        if live is not None and live.workload == workload and all(backend.address for backend in workload.backends):
            return live
        return admission.route_of(workload, self.gateway, self.resolutions)

    def _keep_or_end(self, identity: str) -> None:
        """The version accepted last stays live, as long as the rules still allow it."""
        live = self.routes.get(identity)
        if live is None:
            return
        try:
            route = admission.route_of(live.workload, self.gateway, self.resolutions)
            admission.check_free(route.host, identity, self.holders)  # it was deleted, and somebody else let in
        except GatewayError:
            self._end(identity)
        else:
            self._live(identity, route)

    def _live(self, identity: str, route: Route) -> None:
        before = self.routes.get(identity)
        if before is not None and before.host != route.host:
            self._free(before.host, identity)
        self.routes[identity] = route
        self.holders[route.host] = identity

    def _end(self, identity: str) -> None:
        route = self.routes.pop(identity, None)
        if route is not None:
            self._free(route.host, identity)

    def _end_claim(self, identity: str) -> None:
        host = self._claims.pop(identity, None)
        live = self.routes.get(identity)
        if host is not None and (live is None or live.host != host):
            self._free(host, identity)

    def _free(self, host: str, identity: str) -> None:
        if self.holders.get(host) == identity:
            del self.holders[host]
            self._freed.add(host)

    def _stop_waiting(self, identity: str) -> None:
        host = self._waits_for.pop(identity, None)
        waiting = self._waiting.get(host) if host is not None else None
        if host is not None and waiting is not None:
            waiting.discard(identity)
            if not waiting:
                del self._waiting[host]

    def _forget_dependence(self, identity: str) -> None:
        before = self.desired.get(identity)
        for host in _backend_hosts(before) if before else ():
            self._dependents.get(host, set()).discard(identity)

    def _seniority(self, identity: str) -> tuple[float, str]:
        desired = self.desired.get(identity)
        return (desired.seniority if desired else 0.0, identity)


def _backend_hosts(desired: Desired) -> set[str]:
    if isinstance(desired.content, InvalidInput):
        return set()
    return {backend.host for backend in desired.content.backends if backend.address is None}
