"""From what was seen of a challenge zone's delegation to findings, link by link.

The chain is parent zone -> NS record -> address of its target -> port 53 there, UDP and TCP -> our own authority, and
then the same as a recursive resolver sees it. Whoever stands at its first broken link knows what to mend; links that
lie behind a broken one and say nothing new are left out.
"""

from collections.abc import Callable, Iterable, Sequence

from appliance.model import hosts
from appliance.model.backends import Address
from appliance.model.delegation.observations import Cut, Observation, Outcome, Recursion, Reply, Server
from appliance.model.findings import Finding, Status, first, record_line

_RECURSION = "recursion"
_NOT_STARTED = "the appliance does not run: start it with `gateway run`, then look again"
_FIREWALL = "let {transport} port 53 through to this host in its firewall and the provider's"

_Link = Callable[[Observation], tuple[Status, str, str] | None]
"""What a link comes to: status, evidence, todo; None where nothing can be said of it."""


def findings(seen: Observation) -> tuple[Finding, ...]:
    """Every link that could be judged, in the order of the chain. Ids are `delegation.<link>:<zone>`."""
    found: list[Finding] = []
    for name, link in _LINKS:
        verdict = link(seen)
        if verdict is not None and (name != _RECURSION or verdict[0] is Status.OK or not _is_broken(found)):
            found.append(_finding(seen, name, *verdict))
    return tuple(found)


def broken_link(found: Iterable[Finding]) -> Finding | None:
    """The first link that is known to be broken; None when none is."""
    return first(found, Status.FAIL)


def doubt(found: Sequence[Finding]) -> Finding | None:
    """The first link nothing could be found out about. None when there is none, or when a recursive resolver came to
    our authority: the chain works then, whatever could not be seen from here.
    """
    if any(item.kind == f"delegation.{_RECURSION}" and item.status is Status.OK for item in found):
        return None
    return first(found, Status.UNKNOWN)


def _is_broken(found: Iterable[Finding]) -> bool:
    return any(item.status in (Status.FAIL, Status.WARN) for item in found)


def _finding(seen: Observation, name: str, status: Status, evidence: str, todo: str = "") -> Finding:
    if status is Status.FAIL and not seen.is_required:
        status = Status.WARN
    return Finding(f"delegation.{name}:{seen.zone}", status, evidence, todo)


def _parent(seen: Observation) -> tuple[Status, str, str]:
    if seen.parent is None:
        todo = (
            "see that the recursive resolvers in `dns.resolvers` (or /etc/resolv.conf) can be reached, then look again"
        )
        return Status.UNKNOWN, f"the zone above {seen.zone} was not found: {seen.parent_problem}", todo
    if not seen.known:
        said = "; ".join(f"{answer.server}: {answer.detail}" for answer in seen.answers) or "it has no known server"
        return (
            Status.UNKNOWN,
            f"no server of {seen.parent} could be asked ({said})",
            "see that port 53 is open outwards",
        )
    return (
        Status.OK,
        f"{seen.zone} lies in {seen.parent}, served by {_listed(answer.server for answer in seen.known)}",
        "",
    )


def _ns(seen: Observation) -> tuple[Status, str, str] | None:
    cuts = {answer.cut for answer in seen.known}
    if not cuts:
        return None
    if Cut.DELEGATED in cuts:
        return _delegated(seen)
    if seen.alias is not None:
        return Status.OK, f"{seen.zone} is an alias (CNAME) of {seen.alias}, a zone of this gateway", ""
    create = f"create at the DNS provider of {seen.parent}: {_ns_record(seen)}"
    if Cut.ALIAS in cuts:
        alias = next(answer.alias for answer in seen.known if answer.cut is Cut.ALIAS)
        told = f"{seen.zone} is no delegation but an alias (CNAME) of {alias}: a record of its own, or a wildcard's"
        return Status.FAIL, told, f"{create} (and remove a CNAME record of that very name)"
    return Status.FAIL, f"{seen.parent} has no NS record for {seen.zone}", create


def _delegated(seen: Observation) -> tuple[Status, str, str]:
    lacking = [answer.server for answer in seen.known if answer.cut is not Cut.DELEGATED]
    sets = {answer.targets for answer in seen.known if answer.cut is Cut.DELEGATED}
    if lacking or len(sets) > 1:
        where = f"{_listed(lacking)} of {seen.parent} lacks" if lacking else f"the servers of {seen.parent} differ in"
        told = f"{where} the NS record for {seen.zone}: a change that has not reached every server yet"
        return Status.WARN, told, "wait until the provider has spread the change, then look again"
    return Status.OK, f"{seen.parent} delegates {seen.zone} to {_listed(sets.pop())}", ""


def _glue(seen: Observation) -> tuple[Status, str, str] | None:
    """Glue is needed only for targets inside the zone itself (RFC 1034 §4.2.1); elsewhere it may only not mislead."""
    delegated = [answer for answer in seen.known if answer.cut is Cut.DELEGATED]
    names = sorted({name for answer in delegated for name in answer.targets})
    for name in names:
        glue = {address for answer in delegated for address in answer.glue.get(name, ())}
        is_inside = hosts.lies_under(name, seen.looked_at)
        create = f"create at the DNS provider of {seen.parent}: {_address_records(name, seen)}"
        mend = f"{create}, or better: {_ns_record(seen)}"
        if is_inside and not glue:
            told = f"{name} lies inside {seen.zone}, and {seen.parent} has no address (glue) for it"
            return Status.FAIL, told, mend
        if glue and is_inside and not glue & seen.addresses:
            told = f"the glue of {name} at {seen.parent} is {_listed(map(str, glue))}, not {_here(seen)}"
            return Status.FAIL, told, mend
        known = next((target.addresses for target in seen.targets if target.name == name), frozenset[Address]())
        if glue and known and glue != known:
            both = f"{_listed(map(str, glue))}, its address {_listed(map(str, known))}"
            told = f"the glue of {name} at {seen.parent} is {both}"
            return Status.WARN, told, f"let the glue be the same as the address: {_address_records(name, seen)}"
    return (Status.OK, "the glue is right, where any is needed", "") if names else None


def _address(seen: Observation) -> tuple[Status, str, str] | None:
    """Of targets inside the zone the glue has said it already."""
    targets = [target for target in seen.targets if not hosts.lies_under(target.name, seen.looked_at)]
    for target in targets:
        if not target.addresses and target.is_certain:
            mend = f"create {_address_records(target.name, seen)}" if target.name == seen.nameserver else _instead(seen)
            return Status.FAIL, f"the name server {target.name} of {seen.zone} has no address: {target.problem}", mend
    for target in targets:
        if not target.addresses:
            todo = "look again; see `dns.resolvers` if this stays"
            return Status.UNKNOWN, f"the name server {target.name} could not be looked up: {target.problem}", todo
    told = [f"{target.name} has {_listed(map(str, target.addresses))}" for target in targets]
    return (Status.OK, "; ".join(told), "") if told else None


def _target(seen: Observation) -> tuple[Status, str, str] | None:
    if not seen.servers:
        return None
    if not seen.ours():
        there = _listed(f"{server.target} ({server.address})" for server in seen.servers)
        return (
            Status.FAIL,
            f"{seen.zone} is delegated to {there}, which is not this gateway ({_here(seen)})",
            _instead(seen),
        )
    return Status.OK, f"{_listed(str(server.address) for server in seen.ours())} is this gateway", ""


def _udp(seen: Observation) -> tuple[Status, str, str] | None:
    return _port(seen, "UDP", lambda server: server.udp)


def _tcp(seen: Observation) -> tuple[Status, str, str] | None:
    return _port(seen, "TCP", lambda server: server.tcp)


def _port(seen: Observation, transport: str, reply: Callable[[Server], Reply]) -> tuple[Status, str, str] | None:
    ours = seen.ours()
    if not ours:
        return None
    mute = [server for server in ours if reply(server).outcome not in (Outcome.AUTHORITATIVE, Outcome.LAME)]
    if not mute:
        return Status.OK, f"{transport} port 53 of {_listed(str(server.address) for server in ours)} answers", ""
    told = f"{transport} port 53 of {mute[0].address} {reply(mute[0])}"
    if seen.own is not None and not seen.own.is_running:
        return Status.UNKNOWN, f"{told}, and nothing listens at {seen.own.where} here", _NOT_STARTED
    if any(server.is_local and reply(server).outcome is not Outcome.UNREACHABLE for server in mute):
        return Status.FAIL, told, _FIREWALL.format(transport=transport)
    if transport == "UDP" and seen.reached():
        return Status.OK, f"{told} when asked from here, but recursive resolvers reach this gateway by it", ""
    told += " when asked from this host, which does not have that address itself"
    todo = f"ask from another host: dig {'+tcp ' if transport == 'TCP' else ''}@{mute[0].address} SOA {seen.looked_at}"
    return Status.UNKNOWN, told, todo


def _authority(seen: Observation) -> tuple[Status, str, str] | None:
    """Whether what answers at our address is our own authority, and answers for this zone."""
    replies = [(server, reply) for server in seen.ours() for reply in (server.udp, server.tcp)]
    answered = [(server, reply) for server, reply in replies if reply.outcome in (Outcome.AUTHORITATIVE, Outcome.LAME)]
    for server, reply in answered:
        if reply.outcome is Outcome.LAME or (seen.own is not None and seen.own.is_same(reply.soa) is False):
            said = f"primary {reply.soa.primary}, serial {reply.soa.serial}" if reply.soa else str(reply)
            told = f"what answers at {server.address} port 53 is not this gateway's authority for {seen.looked_at}"
            return Status.FAIL, f"{told} ({said})", "see who holds port 53: gateway doctor; ss -lnup 'sport = :53'"
    if not answered:
        return None
    if seen.own is None or seen.own.soa is None:
        where = seen.own.where if seen.own else "this host"
        return Status.UNKNOWN, f"the authority at {where} gave no SOA to compare with", _NOT_STARTED
    return Status.OK, f"{answered[0][0].address} answers with this gateway's own serial {seen.own.soa.serial}", ""


def _servers(seen: Observation) -> tuple[Status, str, str] | None:
    """The others in the NS set: a certificate authority may ask any of them (RFC 8555 §8.4 asks the authoritative)."""
    if not seen.ours():
        return None
    others = [server for server in seen.servers if not seen.is_ours(server)]
    if not others:
        return Status.OK, "every name server of the zone is this gateway", ""
    worst = others[0]
    remove = (
        f"remove {worst.target} ({worst.address}) from the NS records of {seen.zone}, or that address from its records"
    )
    if worst.udp.outcome is Outcome.AUTHORITATIVE and worst.udp.soa is not None:
        ours = f"; this gateway's is {seen.own.soa.serial}" if seen.own and seen.own.soa else ""
        stale = f"serves a copy of its own with serial {worst.udp.soa.serial}{ours}"
        return Status.FAIL, f"{worst.target} ({worst.address}) {stale}: challenges are not there", remove
    lame = worst.udp if worst.udp.outcome is not Outcome.SILENT else worst.tcp
    return Status.FAIL, f"{worst.target} ({worst.address}), also a name server of {seen.zone}, {lame}", remove


def _dnssec(seen: Observation) -> tuple[Status, str, str] | None:
    if any(answer.has_ds for answer in seen.known):
        told = (
            f"{seen.parent} has a DS record for {seen.zone}, which is not signed: whoever validates refuses its answers"
        )
        return Status.FAIL, told, f"remove the DS record of {seen.zone} at the DNS provider of {seen.parent}"
    for recursion in seen.recursions:
        if recursion.works_unchecked:
            told = f"{recursion.resolver} answers {recursion.rcode} for {seen.zone}, but not without DNSSEC"
            return Status.FAIL, told, f"look where the chain is broken, often at an old DS record: delv SOA {seen.zone}"
    if not seen.known or all(answer.has_ds is None for answer in seen.known):
        return None
    return Status.OK, f"no DS record for {seen.zone}: it is unsigned, and meant to be", ""


def _recursion(seen: Observation) -> tuple[Status, str, str] | None:
    if seen.own is not None and not seen.own.is_running:
        return Status.UNKNOWN, "resolvers cannot come to an authority that does not run", _NOT_STARTED
    heard = [recursion for recursion in seen.recursions if recursion.does_answer]
    silent = _listed(recursion.resolver for recursion in seen.recursions) or "none is configured"
    if not heard and (seen.parent is None or not seen.recursions):
        return Status.UNKNOWN, f"no recursive resolver answers ({silent})", "see `dns.resolvers` and /etc/resolv.conf"
    if not heard:  # they do answer: the parent was found through them
        told = (
            f"recursive resolvers ({silent}) find no answer for {seen.looked_at}: port 53 is not reached from outside"
        )
        return Status.FAIL, told, _FIREWALL.format(transport="UDP and TCP")
    bad = [(recursion, why) for recursion in heard if (why := _misled(seen, recursion))]
    if bad:
        return _misleading(seen, *bad[0], is_partial=len(bad) < len(heard))
    if not seen.reached():
        told = f"{_listed(item.resolver for item in heard)} answered without saying for which zone"
        return Status.UNKNOWN, told, f"ask another one: dig @9.9.9.9 SOA {seen.zone}"
    return Status.OK, f"asked through {_listed(item.resolver for item in heard)}, questions come to this gateway", ""


def _misleading(seen: Observation, recursion: Recursion, why: str, *, is_partial: bool) -> tuple[Status, str, str]:
    """A resolver that remembers the time before a change that is right by now is no broken link."""
    does_remember = recursion.soa is not None and recursion.soa.owner == seen.parent
    is_delegated_here = bool(seen.ours()) and all(answer.cut is Cut.DELEGATED for answer in seen.known)
    status = Status.WARN if is_partial or (does_remember and is_delegated_here) else Status.FAIL
    todo = f"look what it says: dig @{recursion.resolver} SOA {seen.zone}"
    return status, f"asked through {recursion.resolver}: {why}", todo


def _misled(seen: Observation, recursion: Recursion) -> str | None:
    """Why a resolver's answer is not ours; None when it is, or cannot be told apart."""
    own = seen.own
    if recursion.soa is None:
        return None if recursion.rcode in ("NOERROR", "NXDOMAIN") else f"it answers {recursion.rcode}"
    if own is None or own.soa is None or own.is_same(recursion.soa):
        return None
    if recursion.soa.owner == seen.parent:
        return f"it does not know the delegation and answers from {seen.parent} (it may remember an earlier answer)"
    return f"another server answers for {recursion.soa.owner} ({recursion.soa.primary}, serial {recursion.soa.serial})"


_LINKS: tuple[tuple[str, _Link], ...] = (
    ("parent", _parent),
    ("ns", _ns),
    ("glue", _glue),
    ("address", _address),
    ("target", _target),
    ("udp", _udp),
    ("tcp", _tcp),
    ("authority", _authority),
    ("servers", _servers),
    ("dnssec", _dnssec),
    (_RECURSION, _recursion),
)


def _ns_record(seen: Observation) -> str:
    return record_line(seen.zone, "NS", f"{seen.nameserver}.")


def _instead(seen: Observation) -> str:
    return f"let the only NS record of that name be: {_ns_record(seen)}"


def _address_records(name: str, seen: Observation) -> str:
    records = sorted((("AAAA" if address.version == 6 else "A"), str(address)) for address in seen.addresses)
    return " and ".join(record_line(name, kind, address) for kind, address in records)


def _here(seen: Observation) -> str:
    return _listed(map(str, seen.addresses))


def _listed(items: Iterable[str]) -> str:
    return ", ".join(sorted(set(items))) or "nothing"
