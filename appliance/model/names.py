"""What the names of a gateway domain resolve to, and what follows: do its visitors come to this gateway.

The domain's own address serves as name server of the delegation; the wildcard brings every name proxy here.
"""

from dataclasses import dataclass

from appliance.model.backends import Address
from appliance.model.findings import Finding, Status, record_line


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the recursive resolvers said of one host."""

    name: str
    addresses: frozenset[Address]
    alias: str | None = None
    """What it is an alias (CNAME) of, if it is."""
    problem: str = ""
    """Why there are no addresses."""
    is_certain: bool = True
    """False: nobody could say."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything seen of one gateway domain's names."""

    domain: str
    apex: Resolved
    """The domain itself."""
    sample: Resolved
    """A name below it that nobody has created: what the wildcard gives."""
    is_bogus: bool | None
    """Whether resolvers refuse the domain because of DNSSEC, and would answer without; None: nobody could say."""


def findings(seen: Observation, own: frozenset[Address]) -> tuple[Finding, ...]:
    """What is so about the domain's address, its wildcard and its DNSSEC."""
    return (
        _address(f"domain.address:{seen.domain}", seen.apex, own, seen.domain),
        _address(f"domain.wildcard:{seen.domain}", seen.sample, own, f"*.{seen.domain}"),
        _dnssec(seen),
    )


def _address(identity: str, found: Resolved, own: frozenset[Address], owner: str) -> Finding:
    """Browsers may take any of the addresses, validation too (RFC 8555 §8.3): every one must be the gateway's."""
    is_wildcard = owner.startswith("*.")
    create = record_line(owner, "CNAME", f"{owner[2:]}.") if is_wildcard else _records(owner, own)
    if not found.is_certain:
        return Finding(
            identity, Status.UNKNOWN, f"{found.name}: {found.problem}", "see `dns.resolvers`, then look again"
        )
    if not found.addresses:
        return Finding(identity, Status.FAIL, f"{owner} leads nowhere: {found.problem}", f"create {create}")
    shown = f"{owner} leads to {_listed(found.addresses)}" + (f" (alias of {found.alias})" if found.alias else "")
    foreign = found.addresses - own
    if foreign:
        remove = " and ".join(record_line(owner, _kind(address), str(address)) for address in sorted(foreign, key=str))
        told = f"{shown}; of these {_listed(foreign)} is not this gateway ({_listed(own)})"
        return Finding(identity, Status.FAIL, told, f"remove {remove}, and have {create}")
    lacking = own - found.addresses
    if lacking:
        told = f"{shown}, but not to {_listed(lacking)}, which is this gateway's too"
        return Finding(identity, Status.WARN, told, f"create {create}, or take the address out of `public`")
    return Finding(identity, Status.OK, shown)


def _dnssec(seen: Observation) -> Finding:
    identity = f"domain.dnssec:{seen.domain}"
    if seen.is_bogus is None:
        return Finding(
            identity, Status.UNKNOWN, "no recursive resolver answers", "see `dns.resolvers`, then look again"
        )
    if seen.is_bogus:
        told = f"resolvers refuse {seen.domain} because its DNSSEC signatures do not hold"
        return Finding(identity, Status.FAIL, told, f"look where the chain is broken: delv SOA {seen.domain}")
    return Finding(identity, Status.OK, f"resolvers do not object to the signatures of {seen.domain}, if it has any")


def _records(owner: str, own: frozenset[Address]) -> str:
    return " and ".join(record_line(owner, _kind(address), str(address)) for address in sorted(own, key=str))


def _kind(address: Address) -> str:
    return "AAAA" if address.version == 6 else "A"


def _listed(addresses: frozenset[Address]) -> str:
    return ", ".join(sorted(map(str, addresses)))
