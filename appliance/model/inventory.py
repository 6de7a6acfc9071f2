"""The inventory of certificates: what is kept, what is really served, what became of the last order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.model.certificates import StoredCertificate, is_covered
from appliance.model.issuance import WILDCARD, Failure

DAY_SECONDS = 86_400.0
PROBE_LABEL = "gateway-probe"
"""The name below a gateway domain that is asked for to see its wildcard certificate; no workload need have it."""


class Kind(StrEnum):
    """What a certificate is for."""

    WILDCARD = "wildcard"
    """Every name under a gateway domain, by DNS-01."""
    FQDN = "fqdn"
    """The host of an FQDN proxy, by HTTP-01."""


@dataclass(frozen=True, slots=True)
class Presented:
    """The certificate that a TLS server presents for a name. Times are Unix seconds."""

    serial: str
    """Hexadecimal, in lower case, without leading zeros."""
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float

    def covers(self, host: str) -> bool:
        """Whether it is for `host`."""
        return is_covered(host, self.names)


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate that is wanted or kept."""

    name: str
    kind: Kind
    stored: StoredCertificate | None
    users: tuple[str, ...]
    """Ids of the workloads that are served with it."""
    served: Presented | str | None
    """What is presented on the HTTPS port; a text: why that could not be seen; None: it was not looked yet."""
    reason: str | None
    """Why none is ordered, and what to do; None: there is one, or it is being ordered."""
    ordered_at: float | None
    failure: Failure | None
    next_try: float | None

    @property
    def is_served(self) -> bool:
        """Whether a certificate for this very name is presented."""
        return isinstance(self.served, Presented) and self.served.covers(probe_host(self.name))

    def days_left(self, now: float) -> float | None:
        """Of what is served, else of what is kept; None: there is neither."""
        shown = self.served if isinstance(self.served, Presented) and self.is_served else self.stored
        return None if shown is None else (shown.not_after - now) / DAY_SECONDS

    def ends_within(self, days: float, now: float) -> bool:
        """Whether less than so many days are left."""
        left = self.days_left(now)
        return left is not None and left < days

    def document(self, now: float) -> dict[str, Any]:
        """The JSON form; times in Unix seconds, `served` as presented or `{problem}`."""
        days, stored, failure = self.days_left(now), self.stored, self.failure
        return {
            "name": self.name,
            "kind": self.kind.value,
            "issuer": stored.issuer if stored else None,
            "serial": stored.serial if stored else None,
            "not_after": stored.not_after if stored else None,
            "days_left": None if days is None else round(days, 2),
            "workloads": list(self.users),
            "served": self._served_document(),
            "reason": self.reason,
            "last_order": self.ordered_at,
            "last_error": _failure_document(failure) if failure else None,
            "next_try": self.next_try,
        }

    def _served_document(self) -> dict[str, Any] | None:
        if self.served is None:
            return None
        if isinstance(self.served, str):
            return {"problem": self.served}
        shown = self.served
        found = {"serial": shown.serial, "issuer": shown.issuer, "not_after": shown.not_after}
        is_kept = self.stored is not None and self.stored.serial == shown.serial
        problem = None
        if not self.is_served:
            problem = f"what is served is not for this name: {', '.join(shown.names) or 'no name'} by {shown.issuer}"
        elif not is_kept:
            problem = "what is served is not the certificate that is kept"
        return {**found, "problem": problem}


def _failure_document(failure: Failure) -> dict[str, Any]:
    return {"at": failure.at, "words": failure.words, "todo": failure.todo, "detail": failure.detail}


def probe_host(name: str) -> str:
    """The host to ask for in order to see the certificate `name`."""
    return f"{PROBE_LABEL}.{name.removeprefix(WILDCARD)}" if name.startswith(WILDCARD) else name


def kept_by_name(stored: Iterable[StoredCertificate]) -> Mapping[str, StoredCertificate]:
    """For each name the certificate of this very name that lasts longest."""
    by_end = sorted(stored, key=lambda one: one.not_after)
    return {name: one for one in by_end for name in one.names}


def names_of(wanted: Iterable[str], stored: Sequence[StoredCertificate]) -> list[str]:
    """Every certificate to tell of: those that are wanted, and those that are only kept; sorted."""
    found = set(wanted)
    for one in stored:
        if not found & set(one.names):
            wildcards = [name for name in one.names if name.startswith(WILDCARD)]
            found.add((wildcards or [one.main])[0])
    return sorted(found)


def users_by_name(routes: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    """Pairs of certificate and workload id, gathered by certificate."""
    found: dict[str, list[str]] = {}
    for name, identity in routes:
        found.setdefault(name, []).append(identity)
    return {name: tuple(sorted(ids)) for name, ids in found.items()}
