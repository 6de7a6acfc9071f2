"""Decides about each route: is there one, and does it order a certificate.

Puts together what the register let in and what the issuance governor allows. Used under the applier's lock.
"""

from collections.abc import Iterable, Mapping

from appliance.control.issuance import Issuance
from appliance.control.routes import Routes
from appliance.model.admission import Route
from appliance.model.issuance import WILDCARD, subject_of
from appliance.model.register import Register
from appliance.render.dynamic import Decision


class Decisions:
    """`withheld` holds, by workload id, why no certificate is ordered for it."""

    def __init__(self, register: Register, routes: Routes, issuance: Issuance) -> None:
        self._register = register
        self._routes = routes
        self._issuance = issuance
        self.withheld: dict[str, str] = {}

    def decide(self, identity: str) -> Decision | None:
        """The decision about one workload's route; None: it has none."""
        route = self._register.routes.get(identity)
        self.withheld.pop(identity, None)
        if route is None:
            return None
        reason = self._obstacle(route)
        if reason is not None:
            self.withheld[identity] = reason
        return Decision(route, orders_certificate=reason is None)

    def superseded(self, identities: Iterable[str]) -> set[str]:
        """Those whose route is another one than was written last, so that it will be written."""
        return {identity for identity in identities if self._is_superseded(identity)}

    def users(self, subjects: Iterable[str]) -> set[str]:
        """The workloads that are served with these certificates."""
        users = {holder for subject in subjects if (holder := self._register.holders.get(subject))}
        domains = {subject.removeprefix(WILDCARD) for subject in subjects if subject.startswith(WILDCARD)}
        if domains:
            users |= {identity for identity, route in self._register.routes.items() if route.domain in domains}
        return users

    def _is_superseded(self, identity: str) -> bool:
        route, last = self._register.routes.get(identity), self._routes.decision(identity)
        return route is not None and last is not None and last.route != route

    def _obstacle(self, route: Route) -> str | None:
        """Why no certificate is ordered for a route; None when it is."""
        if route.workload.tls_passthrough:
            return None
        reason, is_known = self._issuance.verdict(subject_of(route.domain, route.host))
        if not is_known and self._routes.was_ordered(Decision(route, orders_certificate=True)):
            return None  # it was ordered before this process began: nothing is taken back on no knowledge
        return reason


def certificates_for(routes: Mapping[str, Route]) -> set[str]:
    """The certificates that these routes need: of thousands of names there is one for each domain."""
    terminated = [route for route in routes.values() if not route.workload.tls_passthrough]
    domains = {route.domain for route in terminated}
    hosts = {route.host for route in terminated if route.domain is None} if None in domains else set[str]()
    return hosts | {WILDCARD + domain for domain in domains if domain is not None}
