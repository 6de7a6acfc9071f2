"""The board: how every workload stands, for whoever asks.

Puts together what the register decided, what Traefik confirmed and which certificates there are. Everything here is
read under the applier's lock.
"""

import threading
from collections.abc import Mapping

from appliance.control.confirmation import Confirmation
from appliance.model import admission
from appliance.model.register import Register
from appliance.model.standings import Standing, State, WorkloadView, certificate_of
from appliance.model.workloads import Workload

Certified = frozenset[str] | None
"""The names of the certificates Traefik has loaded; None when it does not say."""


class Board:
    """Views of workloads. `withheld` holds, by id, why no certificate is ordered."""

    def __init__(
        self, lock: threading.Condition, register: Register, confirmation: Confirmation, withheld: Mapping[str, str]
    ) -> None:
        self._lock = lock
        self._register = register
        self._confirmation = confirmation
        self._withheld = withheld

    def views(self, certified: Certified) -> list[WorkloadView]:
        """Every workload, by id."""
        with self._lock:
            return [self._view(identity, certified) for identity in sorted(self._register.desired)]

    def view(self, identity: str, certified: Certified) -> WorkloadView | None:
        """One workload, or None when there is none of this id."""
        with self._lock:
            return self._view(identity, certified) if identity in self._register.desired else None

    def view_of(self, workload: Workload, certified: Certified) -> WorkloadView:
        """The view of this very version, which is pending while no cycle has seen it yet."""
        with self._lock:
            desired = self._register.desired.get(workload.id)
            if desired is not None and desired.content == workload:
                return self._view(workload.id, certified)
            host = admission.host_or_none(workload, self._register.gateway)
            standing = Standing(State.PENDING, "accepted; it is written next")
            return WorkloadView(workload.id, workload, host, standing, certificate_of(None, None, certified))

    def served(self, identity: str) -> Workload | None:
        """The version of a workload that has a route, or None."""
        with self._lock:
            route = self._register.routes.get(identity)
            return route.workload if route else None

    def states(self) -> Mapping[State, int]:
        """How many workloads are in each state."""
        with self._lock:
            counts = dict.fromkeys(State, 0)
            for identity in self._register.desired:
                counts[self._standing(identity).state] += 1
            return counts

    def claims(self) -> tuple[frozenset[str], Mapping[str, str]]:
        """What workloads have: the ids of those with a route, and host -> id for each host that is held."""
        with self._lock:
            return frozenset(self._register.routes), dict(self._register.holders)

    def is_final(self, identity: str) -> bool:
        """Whether nothing is pending about a workload, its departure included."""
        with self._lock:
            if identity not in self._register.desired:
                return not self._confirmation.is_leaving(identity)
            return self._standing(identity).state is not State.PENDING

    def _standing(self, identity: str) -> Standing:
        refusal = self._register.refused.get(identity)
        if refusal is None:
            return self._confirmation.standing(identity)
        is_served = identity in self._register.routes
        suffix = "; the version accepted before is still served" if is_served else ""
        return Standing(State.QUARANTINED, f"{refusal}{suffix}")

    def _view(self, identity: str, certified: Certified) -> WorkloadView:
        content = self._register.desired[identity].content
        workload = content if isinstance(content, Workload) else None
        return WorkloadView(
            id=identity,
            content=workload,
            host=admission.host_or_none(workload, self._register.gateway) if workload else None,
            standing=self._standing(identity),
            certificate=certificate_of(self._register.routes.get(identity), self._withheld.get(identity), certified),
        )
