"""The board: how every workload stands, for whoever asks.

Puts together what the register decided, what Traefik confirmed and which certificates there are. Everything here is
read under the applier's lock.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.control.confirmation import NEXT, Confirmation
from appliance.model import admission, listings
from appliance.model.admission import Gateway
from appliance.model.issuance import subject_of
from appliance.model.listings import Filter, Page
from appliance.model.register import Register
from appliance.model.resolution import Resolutions
from appliance.model.standings import Standing, State, WorkloadView, certificate_of
from appliance.model.workloads import Workload

_LONGEST_UNDER_WAY_SECONDS = 60.0
"""Beyond what Traefik takes for the largest change, so that no change makes the appliance look ill."""

Certified = frozenset[str] | None
"""The names of the certificates Traefik has loaded; None when it does not say."""


@dataclass(frozen=True, slots=True)
class CertificateUse:
    """A workload's use of a certificate."""

    workload: str
    """Its id."""
    host: str
    subject: str | None
    """The certificate it is served with, or would be; None: the workload is not let in as it is desired now."""


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
            return WorkloadView(workload.id, workload, host, NEXT, certificate_of(None, None, certified))

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

    def certificate_uses(self) -> list[CertificateUse]:
        """Every use of a certificate, those by workloads that are not let in included."""
        with self._lock:
            routes = self._register.routes.values()
            served = [
                CertificateUse(route.id, route.host, subject_of(route.domain, route.host))
                for route in routes
                if not route.workload.tls_passthrough
            ]
            return [*served, *self._refused_uses()]

    def _refused_uses(self) -> Iterator[CertificateUse]:
        register = self._register
        for identity in register.refused.keys() & register.desired.keys():
            content = register.desired[identity].content
            if isinstance(content, Workload) and not content.tls_passthrough:
                host = admission.host_or_none(content, register.gateway)
                if host:
                    yield CertificateUse(identity, host, None)

    def quarantined(self) -> dict[str, str]:
        """By id: why a workload's desired version is not served."""
        with self._lock:
            return {identity: str(error) for identity, error in self._register.refused.items()}

    def disagreement(self) -> int:
        """On how many routes Traefik and the desired state do not agree, not counting changes under way."""
        with self._lock:
            return self._confirmation.disagreement(_LONGEST_UNDER_WAY_SECONDS)

    def claims(self) -> tuple[frozenset[str], Mapping[str, str]]:
        """What workloads have: the ids of those with a route, and host -> id for each host that is held."""
        with self._lock:
            return frozenset(self._register.routes), dict(self._register.holders)

    def standing(self, identity: str) -> Standing | None:
        """How a workload stands; None when there is none of this id."""
        with self._lock:
            return self._standing(identity) if identity in self._register.desired else None

    def page(self, certified: Certified, wanted: Filter, token: str | None, limit: int) -> Page:
        """A part of all workloads, by id. Raises InvalidInput, see `model.listings.page`."""
        with self._lock:
            identities = sorted(self._register.desired)
            return listings.page(identities, lambda identity: self._view(identity, certified), wanted, token, limit)

    def rules(self) -> tuple[Gateway, Resolutions, dict[str, str]]:
        """What decides who is let in: the rules, what names resolve to, and host -> id for each host that is held."""
        with self._lock:
            return self._register.gateway, self._register.resolutions, dict(self._register.holders)

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
