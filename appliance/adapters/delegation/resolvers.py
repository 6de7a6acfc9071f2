"""Recursive resolvers: whichever answers first in their order, for questions whose answer is the same everywhere."""

import ipaddress
from collections.abc import Sequence

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from appliance.adapters.delegation import asking
from appliance.adapters.delegation.asking import Budget
from appliance.model.backends import Address
from appliance.model.errors import Unavailable
from appliance.model.names import Resolved

_MOST = 3


def of_the_system() -> list[tuple[str, int]]:
    """The resolvers in /etc/resolv.conf; none when it cannot be read."""
    try:
        found = dns.resolver.Resolver(configure=True)
    except dns.exception.DNSException:
        return []
    return [(str(server), found.port) for server in found.nameservers]


class Resolvers:
    """These resolvers (address, port), or the system's when there are none."""

    def __init__(self, given: Sequence[tuple[str, int]]) -> None:
        self._given = tuple(given)

    @property
    def all(self) -> list[tuple[str, int]]:
        """At most three of them, in their order."""
        return list(self._given or of_the_system())[:_MOST]

    def ask(self, name: str, kind: str, budget: Budget, *, validate: bool = True) -> dns.message.Message:
        """The first answer that says something; SERVFAIL and its like only if no other does. Raises Unavailable."""
        troubles: list[str] = []
        failed: dns.message.Message | None = None
        for address, port in self.all:
            try:
                answer = asking.over_udp(
                    asking.question(name, kind, recurse=True, validate=validate), address, port, budget
                )
            except (OSError, EOFError, dns.exception.DNSException) as error:
                troubles.append(f"{address} {_told(error)}")
                continue
            if answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return answer
            failed = answer
        if failed is not None:
            return failed
        raise Unavailable("no recursive resolver answers: " + ("; ".join(troubles) or "none is configured"))

    def addresses(self, host: str, budget: Budget) -> Resolved:
        """Every A and AAAA address of `host`, and the alias it is of."""
        found: set[Address] = set()
        alias: str | None = None
        problem = f"{host} has no address"
        for kind in ("A", "AAAA"):
            try:
                answer = self.ask(host, kind, budget)
            except Unavailable as error:
                return Resolved(host, frozenset(), alias, str(error), is_certain=False)
            if answer.rcode() == dns.rcode.NXDOMAIN:
                problem = f"{host} does not exist"
            elif answer.rcode() != dns.rcode.NOERROR:
                told = f"the resolvers answer {dns.rcode.to_text(answer.rcode())} for {host}"
                return Resolved(host, frozenset(), alias, told, is_certain=False)
            found |= _addresses_in(answer, kind)
            alias = alias or alias_in(answer, host)
        return Resolved(host, frozenset(found), alias, "" if found else problem)


def alias_in(answer: dns.message.Message, name: str) -> str | None:
    """What `name` is an alias (CNAME) of, one step."""
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.CNAME and asking.plain(rrset.name) == name:
            return asking.plain(rrset[0].target)
    return None


def _addresses_in(answer: dns.message.Message, kind: str) -> set[Address]:
    wanted = dns.rdatatype.from_text(kind)
    return {ipaddress.ip_address(item.address) for rrset in answer.answer if rrset.rdtype == wanted for item in rrset}


def _told(error: Exception) -> str:
    return "does not answer" if isinstance(error, TimeoutError) else f"cannot be asked ({error})"
