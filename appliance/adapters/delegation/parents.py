"""The zone above a challenge zone: where it begins, which servers it has, and what each of them says of the delegation.

They are asked directly and without recursion: what a resolver remembers is not what the operator has just changed.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from appliance.adapters.delegation import asking
from appliance.adapters.delegation.asking import Budget
from appliance.adapters.delegation.resolvers import Resolvers, alias_in
from appliance.model import hosts
from appliance.model.backends import Address
from appliance.model.delegation import Cut, ParentAnswer
from appliance.model.errors import Unavailable

_MOST_SERVERS = 4
"""Providers have two to six, all with the same content; a few tell whether a change has spread."""
_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class Parent:
    """The zone above: its apex, and its servers as (name, address)."""

    apex: str
    servers: tuple[tuple[str, str], ...]


def find(name: str, resolvers: Resolvers, budget: Budget) -> Parent:
    """The zone that the name above `name` lies in. Raises Unavailable when it cannot be found."""
    apex = _apex_above(name, resolvers, budget)
    answer = resolvers.ask(apex, "NS", budget)
    names = sorted(
        asking.plain(item.target) for rrset in answer.answer if rrset.rdtype == dns.rdatatype.NS for item in rrset
    )
    found = [(host, str(address)) for host in names for address in _sorted(resolvers.addresses(host, budget).addresses)]
    if not found:
        raise Unavailable(f"the name servers of {apex} have no address that could be found")
    return Parent(apex, tuple(found[:_MOST_SERVERS]))


def answer_of(server: tuple[str, str], apex: str, zone: str, budget: Budget) -> ParentAnswer:
    """What one of the parent's servers says about the delegation of `zone`."""
    name, address = server
    shown = f"{name} ({address})"
    try:
        answer = asking.over_udp(asking.question(zone, "NS", recurse=False), address, _DNS_PORT, budget)
        signer = asking.over_udp(asking.question(zone, "DS", recurse=False), address, _DNS_PORT, budget)
    except (OSError, EOFError, dns.exception.DNSException) as error:
        detail = "does not answer" if isinstance(error, TimeoutError) else f"cannot be asked ({error})"
        return ParentAnswer(shown, Cut.UNKNOWN, detail=detail)
    return _read(shown, apex, zone, answer, _has_ds(signer))


def _read(shown: str, apex: str, zone: str, answer: dns.message.Message, has_ds: bool | None) -> ParentAnswer:
    rcode = answer.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return ParentAnswer(shown, Cut.UNKNOWN, detail=f"answers {dns.rcode.to_text(rcode)}")
    targets, cut = _referral(answer)
    if cut == zone:
        return ParentAnswer(shown, Cut.DELEGATED, targets, _glue(answer, targets), has_ds=has_ds)
    alias = alias_in(answer, zone)
    if alias is not None:
        return ParentAnswer(shown, Cut.ALIAS, alias=alias, has_ds=has_ds)
    if cut is not None and cut != apex and hosts.lies_under(cut, apex):
        return ParentAnswer(shown, Cut.UNKNOWN, detail=f"says that {cut} is a zone of other servers")
    return ParentAnswer(shown, Cut.ABSENT, has_ds=has_ds)


def _referral(answer: dns.message.Message) -> tuple[frozenset[str], str | None]:
    """The targets and the owner of the NS records in an answer."""
    for rrset in (*answer.answer, *answer.authority):
        if rrset.rdtype == dns.rdatatype.NS:
            return frozenset(asking.plain(item.target) for item in rrset), asking.plain(rrset.name)
    return frozenset(), None


def _glue(answer: dns.message.Message, targets: Iterable[str]) -> dict[str, frozenset[Address]]:
    found: dict[str, frozenset[Address]] = {}
    wanted = set(targets)
    for rrset in answer.additional:
        name = asking.plain(rrset.name)
        if name in wanted and rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            found[name] = found.get(name, frozenset()) | {ipaddress.ip_address(item.address) for item in rrset}
    return found


def _has_ds(answer: dns.message.Message) -> bool | None:
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return None
    return any(rrset.rdtype == dns.rdatatype.DS for rrset in answer.answer)


def _apex_above(name: str, resolvers: Resolvers, budget: Budget) -> str:
    """Ask for the SOA upwards: an answer, or the authority section of a negative one, names the apex (RFC 2308 §2)."""
    above = name.partition(".")[2]
    trouble = f"{name} has nothing above it"
    while above:
        answer = resolvers.ask(above, "SOA", budget)
        soa = asking.soa_of(answer)
        if soa is not None and soa.owner and hosts.lies_under(above, soa.owner):
            return soa.owner
        trouble = f"the resolvers answer {dns.rcode.to_text(answer.rcode())} for {above}"
        above = above.partition(".")[2]
    raise Unavailable(trouble)


def _sorted(addresses: Iterable[Address]) -> list[Address]:
    """IPv4 first: not every host has IPv6."""
    return sorted(addresses, key=lambda address: (address.version, address))
