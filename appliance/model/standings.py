"""How a workload stands: the states it can be in, and what an observation makes of them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.model.admission import Route
from appliance.model.workloads import Workload


class State(StrEnum):
    """A workload's state."""

    PENDING = "pending"
    """Accepted; Traefik has not yet confirmed that it serves what was rendered."""
    APPLIED = "applied"
    """Traefik's API reports router, service and servers as rendered, and the router enabled."""
    QUARANTINED = "quarantined"
    """The desired version is not served; the reason says what to do. An earlier accepted version may still be live."""


class CertificateState(StrEnum):
    """A workload's certificate."""

    NONE = "none"
    """This gateway needs none for it (TLS passthrough, or the workload is not served)."""
    WITHHELD = "withheld"
    """Not ordered: ordering would fail. The reason says what is missing."""
    PENDING = "pending"
    """Asked for, not there yet."""
    ISSUED = "issued"
    """Traefik has loaded a certificate for the host."""


@dataclass(frozen=True, slots=True)
class Standing:
    """State and reason of one workload; the reason is empty when it is applied."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """State and reason of a workload's certificate."""

    state: CertificateState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A workload as it is shown to people and programs. `content` is None for a file that cannot be read."""

    id: str
    content: Workload | None
    host: str | None
    standing: Standing
    certificate: Certificate

    def document(self) -> dict[str, Any]:
        """The JSON form: `{id, type, host, tls_passthrough, backends, options, state, reason, certificate}`.

        `certificate` is `{state, reason}`. Of `options.basic_auth` only the number of users is told.
        """
        content = self.content
        return {
            "id": self.id,
            "type": content.type.value if content else None,
            "host": self.host,
            "tls_passthrough": content.tls_passthrough if content else None,
            "backends": [str(backend) for backend in content.backends] if content else [],
            "options": content.options.shown() if content else {},
            "state": self.standing.state.value,
            "reason": self.standing.reason,
            "certificate": {"state": self.certificate.state.value, "reason": self.certificate.reason},
        }


def certificate_of(route: Route | None, withheld: str | None, certified: frozenset[str] | None) -> Certificate:
    """The certificate of a route: `withheld` says why none is ordered, `certified` which names Traefik holds."""
    if route is None:
        return Certificate(CertificateState.NONE, "the workload is not served")
    if route.workload.tls_passthrough:
        return Certificate(CertificateState.NONE, "TLS passthrough: the backend presents its own certificate")
    wildcard = "*." + route.host.split(".", 1)[1]
    if certified is not None and (route.host in certified or wildcard in certified):
        return Certificate(CertificateState.ISSUED)
    if withheld is not None:
        return Certificate(CertificateState.WITHHELD, withheld)
    if certified is None:
        return Certificate(CertificateState.PENDING, "Traefik does not answer, so its certificates are not known")
    return Certificate(
        CertificateState.PENDING, "asked for at the certificate authority; served as soon as it is issued"
    )
