"""Which certificates are used, and since when the others are not: what decides that one is dropped.

Traefik renews what is in its stores for ever. A certificate may be dropped when nobody has used it for the grace time;
whatever casts doubt on that (files that cannot be read, a lost mount) keeps it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from appliance.model.certificates import StoredCertificate

_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_AGAIN_SECONDS = 2 * 3600.0
"""How long no second restart follows one, so that the quiet hour sees a single one."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """The settings that certificates are kept by."""

    is_gateway: bool
    domains: tuple[str, ...]
    """Their certificates are used as long as they are set."""
    grace_seconds: float
    quiet_hour: int | None
    """The hour of the day (0 to 23, local time) in which Traefik may be restarted to drop certificates."""


@dataclass(frozen=True, slots=True)
class InUse:
    """Hosts that certificates are needed for."""

    hosts: frozenset[str]
    _parents: frozenset[str]

    @classmethod
    def of(cls, hosts: Iterable[str]) -> "InUse":
        """These hosts, in lower case."""
        found = frozenset(hosts)
        return cls(found, frozenset(host.partition(".")[2] for host in found))

    def needs(self, names: Iterable[str]) -> bool:
        """Whether a certificate for these names is for one of the hosts."""
        return any(
            name.removeprefix("*.") in self._parents if name.startswith("*.") else name in self.hosts
            for name in map(str.lower, names)
        )


def hosts_in(text: str) -> frozenset[str]:
    """Everything in a text that could be a host: more than is one, which keeps a certificate rather than drops it."""
    return frozenset(_HOST.findall(text.lower()))


@dataclass(frozen=True, slots=True)
class Holding:
    """A certificate in a store."""

    resolver: str
    asked: tuple[str, ...]
    """The names it was asked for."""
    unused_since: float | None = None
    """Unix seconds; None: it is used."""


@dataclass(frozen=True, slots=True)
class CertificateLedger:
    """What is known of every stored certificate."""

    holdings: tuple[Holding, ...] = ()
    grace_seconds: float = 0.0
    workloads: int = 0
    """How many there were: where there are none any more, their directory may be lost."""
    restarted: float | None = None
    """When Traefik was last restarted to drop some (Unix seconds)."""

    def due(self, now: float) -> tuple[Holding, ...]:
        """Those unused for longer than the grace period."""
        return tuple(
            one for one in self.holdings if one.unused_since is not None and now - one.unused_since > self.grace_seconds
        )

    def is_restart_due(self, now: float, hour: int, keeping: Keeping) -> bool:
        """Whether to restart Traefik now, at this hour of the day, for nothing but to drop some."""
        is_again = self.restarted is not None and 0 <= now - self.restarted < _AGAIN_SECONDS
        return bool(hour == keeping.quiet_hour and not is_again and self.due(now))

    def reckoned(
        self, stored: Mapping[str, Iterable[StoredCertificate]], use: InUse, now: float, *, is_certain: bool
    ) -> "CertificateLedger":
        """The ledger with what is in the stores now (by resolver; a store that is not there stays as it was).

        Without certainty about what is used, nothing begins to be unused.
        """
        known = {(one.resolver, one.asked): one.unused_since for one in self.holdings}
        holdings = [one for one in self.holdings if one.resolver not in stored]
        for resolver, certificates in stored.items():
            for asked in {certificate.asked: None for certificate in certificates}:
                before = known.get((resolver, asked))
                since = None if use.needs(asked) else _earlier(before, now) if is_certain else before
                holdings.append(Holding(resolver, asked, since))
        return replace(self, holdings=tuple(holdings))


def _earlier(before: float | None, now: float) -> float:
    """Since when; a clock that was ahead does not count."""
    return now if before is None else min(before, now)
