"""Everything the DNS says about a challenge zone, a gateway domain, or a host's CAA records, as values to judge.

Each look asks in parallel and ends within a few seconds, whoever is silent. Nothing is presented and nothing written:
the proof that a server is us is the SOA serial of our own authority, read before and after (`model.delegation.Own`).
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import dns.exception
import dns.rcode
import dns.rdatatype

from appliance.adapters.delegation import asking, parents
from appliance.adapters.delegation.asking import Budget
from appliance.adapters.delegation.resolvers import Resolvers
from appliance.model import caa, hosts, names
from appliance.model.backends import Address
from appliance.model.delegation import (
    Cut,
    Observation,
    Outcome,
    Own,
    ParentAnswer,
    Recursion,
    Reply,
    Server,
    Target,
)
from appliance.model.errors import Unavailable
from appliance.model.zones import Zone

_LOOK_SECONDS = 4.0
_RECURSION_SECONDS = 1.4
"""A resolver has to ask others first, and tells of their silence late."""
_AT_ONCE = 12
_MOST_TARGETS, _MOST_ADDRESSES = 13, 8
"""Nobody has more name servers by intention; of those that do, the first are looked at."""
_DNS_PORT = 53
_OLD_LABEL = "__acme-challenge"
"""No certificate depends on this spelling: authorities look for the one of RFC 8555 §8.4."""
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked on loopback instead

Listen = tuple[str, int]


class Delegations:
    """Looks through these recursive resolvers (none: the system's) at the zones and domains of one gateway.

    `listen`: where our own authority listens. `addresses`: the gateway's public ones. `is_local`: whether this host has
    an address itself. It keeps no sockets and no answers; methods may be called from any thread and never raise.
    """

    def __init__(
        self,
        resolvers: Sequence[tuple[str, int]],
        listen: Sequence[Listen],
        addresses: frozenset[Address],
        zones: Sequence[Zone],
        is_local: Callable[[Address], bool],
    ) -> None:
        self._resolvers = Resolvers(resolvers)
        self._listen = tuple(listen)
        self._addresses = addresses
        self._zones = {zone.apex: zone for zone in zones}
        self._is_local = is_local

    def look(self, zone: str) -> Observation:
        """Everything seen of one challenge zone, after a few seconds at the latest."""
        return self._look(zone, Budget(_LOOK_SECONDS))

    def caa(self, host: str) -> caa.Found:
        """The CAA records that count for `host`: those of the closest name upwards that has any (RFC 8659 §3)."""
        budget = Budget(_LOOK_SECONDS)
        name = host.removeprefix("*.")
        while name:
            try:
                answer = self._resolvers.ask(name, "CAA", budget)
            except Unavailable as error:
                return caa.Found(None, (), str(error))
            if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return caa.Found(
                    None, (), f"the resolvers answer {dns.rcode.to_text(answer.rcode())} for CAA of {name}"
                )
            records = tuple(
                caa.Record(item.flags, item.tag.decode("ascii", "replace"), item.value.decode("utf-8", "replace"))
                for rrset in answer.answer
                if rrset.rdtype == dns.rdatatype.CAA
                for item in rrset
            )
            if records:
                return caa.Found(name, records, "")
            name = name.partition(".")[2]
        return caa.Found(None, (), "")

    def domain(self, domain: str) -> names.Observation:
        """What the domain's names resolve to, seen through the recursive resolvers."""
        budget = Budget(_LOOK_SECONDS)
        with ThreadPoolExecutor(3, "domain") as pool:
            apex = pool.submit(self._resolvers.addresses, domain, budget)
            sample = pool.submit(self._resolvers.addresses, f"{_nonce()}.{domain}", budget)
            is_bogus = pool.submit(self._is_bogus, domain, budget)
            return names.Observation(domain, apex.result(), sample.result(), is_bogus.result())

    def _look(self, zone: str, budget: Budget, *, may_follow: bool = True) -> Observation:
        known = self._zones.get(zone)
        label, _, above = zone.partition(".")
        blank = Observation(zone, known.nameserver if known else above, self._addresses, label != _OLD_LABEL)
        with ThreadPoolExecutor(_AT_ONCE, "delegation") as pool:
            try:
                parent = parents.find(zone, self._resolvers, budget)
            except Unavailable as error:
                return replace(blank, parent_problem=str(error))
            answers = tuple(pool.map(lambda it: parents.answer_of(it, parent.apex, zone, budget), parent.servers))
            seen = replace(blank, parent=parent.apex, answers=answers)
            alias = self._alias_of_ours(zone, answers) if may_follow else None
            if alias is not None:
                there = self._look(alias, budget, may_follow=False)
                return replace(there, zone=zone, alias=alias, answers=answers, parent=parent.apex)
            return self._beyond(seen, pool, budget)

    def _beyond(self, seen: Observation, pool: ThreadPoolExecutor, budget: Budget) -> Observation:
        """What lies behind the parent: targets, servers, our own authority, and the view of the resolvers."""
        before = pool.submit(self._own, seen.zone, budget)
        targets = self._targets(seen.answers, pool, seen.zone, budget)
        own = before.result()  # what others say is then at least as new
        asked = self._resolvers.all if own.is_running else []
        recursions = [pool.submit(self._recursion, one, seen.zone, budget) for one in asked]
        servers = self._servers(targets, seen.zone, pool, budget)
        found = replace(seen, targets=targets, servers=servers, recursions=tuple(one.result() for one in recursions))
        return replace(found, own=replace(own, last_serial=self._serial(own, seen.zone, budget)))

    def _alias_of_ours(self, zone: str, answers: Iterable[ParentAnswer]) -> str | None:
        """The zone of ours that an alias at `zone` leads into."""
        for answer in answers:
            for apex in self._zones if answer.cut is Cut.ALIAS and answer.alias else ():
                if apex != zone and hosts.lies_under(str(answer.alias), apex):
                    return apex
        return None

    def _own(self, zone: str, budget: Budget) -> Own:
        """Our own authority over the first of its addresses that answers."""
        found: Own | None = None
        for host, port in self._listen:
            address = _EVERYWHERE.get(host, host)
            udp = asking.reply(zone, address, port, budget, is_tcp=False)
            tcp = asking.reply(zone, address, port, budget, is_tcp=True)
            one = Own(f"{address} port {port}", udp, tcp)
            if one.soa is not None:
                return one
            found = found or one
        return found or Own("no address", Reply(Outcome.CLOSED), Reply(Outcome.CLOSED))

    def _serial(self, own: Own, zone: str, budget: Budget) -> int | None:
        if own.soa is None:
            return None
        soa = self._own(zone, budget).soa
        return soa.serial if soa is not None else None

    def _targets(
        self, answers: Iterable[ParentAnswer], pool: ThreadPoolExecutor, zone: str, budget: Budget
    ) -> tuple[Target, ...]:
        delegated = [answer for answer in answers if answer.cut is Cut.DELEGATED]
        wanted = sorted({name for answer in delegated for name in answer.targets})[:_MOST_TARGETS]

        def look_up(name: str) -> Target:
            glue = {address for answer in delegated for address in answer.glue.get(name, ())}
            if hosts.lies_under(name, zone):  # only the parent can say: its own server lies behind the delegation
                return Target(name, frozenset(glue), "" if glue else f"{name} has no address (glue) at the parent")
            found = self._resolvers.addresses(name, budget)
            return Target(name, found.addresses, found.problem, found.is_certain)

        return tuple(pool.map(look_up, wanted))

    def _servers(
        self, targets: Iterable[Target], zone: str, pool: ThreadPoolExecutor, budget: Budget
    ) -> tuple[Server, ...]:
        asked: list[tuple[Target, Address, Future[Reply], Future[Reply]]] = []
        for target in targets:
            for address in sorted(target.addresses, key=str)[:_MOST_ADDRESSES]:
                udp = pool.submit(asking.reply, zone, str(address), _DNS_PORT, budget, is_tcp=False)
                tcp = pool.submit(asking.reply, zone, str(address), _DNS_PORT, budget, is_tcp=True)
                asked.append((target, address, udp, tcp))
        return tuple(
            Server(target.name, address, self._is_local(address), udp.result(), tcp.result())
            for target, address, udp, tcp in asked
        )

    def _recursion(self, resolver: Listen, zone: str, budget: Budget) -> Recursion:
        """Ask for a name that cannot be remembered: the SOA of the negative answer (TTL 0) is the authority's own."""
        address, port = resolver
        name = f"{_nonce()}.{zone}"
        try:
            query = asking.question(name, "TXT", recurse=True)
            answer = asking.over_udp(query, address, port, budget, patience=_RECURSION_SECONDS)
        except (OSError, EOFError, dns.exception.DNSException):
            return Recursion(address, does_answer=False)
        rcode = dns.rcode.to_text(answer.rcode())
        has_failed = answer.rcode() == dns.rcode.SERVFAIL
        unchecked = has_failed and self._answers_unchecked(name, "TXT", resolver, budget)
        return Recursion(address, True, rcode, asking.soa_of(answer), works_unchecked=unchecked)

    def _answers_unchecked(self, name: str, kind: str, resolver: Listen, budget: Budget) -> bool:
        query = asking.question(name, kind, recurse=True, validate=False)
        try:
            answer = asking.over_udp(query, *resolver, budget)
        except (OSError, EOFError, dns.exception.DNSException):
            return False
        return answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)

    def _is_bogus(self, domain: str, budget: Budget) -> bool | None:
        try:
            answer = self._resolvers.ask(domain, "SOA", budget)
        except Unavailable:
            return None
        if answer.rcode() != dns.rcode.SERVFAIL:
            return False
        return any(self._answers_unchecked(domain, "SOA", resolver, budget) for resolver in self._resolvers.all)


def _nonce() -> str:
    """A label nobody has asked for before."""
    return f"probe-{secrets.token_hex(8)}"
