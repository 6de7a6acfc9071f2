"""Every way a delegation can be broken is told by its own link, and a right one by none."""

import ipaddress
from dataclasses import replace
from typing import Any, Final

import pytest

from appliance.model import delegation
from appliance.model.delegation import (
    Cut,
    Observation,
    Outcome,
    Own,
    ParentAnswer,
    Recursion,
    Reply,
    Server,
    Soa,
    Target,
)
from appliance.model.findings import Finding, Status

ZONE: Final = "_acme-challenge.gw.example.com"
HERE: Final = ipaddress.ip_address("203.0.113.10")
HERE_V6: Final = ipaddress.ip_address("2001:db8::10")
THERE: Final = ipaddress.ip_address("198.51.100.7")
SOA: Final = Soa(ZONE, "gw.example.com", 1000)
PARENTS_SOA: Final = Soa("example.com", "ns.example.com", 7)
ANSWER: Final = Reply(Outcome.AUTHORITATIVE, SOA)
CLOSED: Final = Reply(Outcome.CLOSED)
SILENT: Final = Reply(Outcome.SILENT)
REFUSED: Final = Reply(Outcome.LAME, detail="REFUSED")
OWN: Final = Own("203.0.113.10 port 53", ANSWER, ANSWER, last_serial=1000)
DELEGATED: Final = ParentAnswer(
    "ns.example.com (192.0.2.1)", Cut.DELEGATED, frozenset({"gw.example.com"}), has_ds=False
)
US: Final = Server("gw.example.com", HERE, is_local=True, udp=ANSWER, tcp=ANSWER)
TRANSLATED: Final = replace(US, is_local=False)
STRANGER: Final = Server("ns.elsewhere.org", THERE, is_local=False, udp=REFUSED, tcp=REFUSED)
HEARD: Final = Recursion("9.9.9.9", does_answer=True, rcode="NXDOMAIN", soa=SOA)

RIGHT: Final = Observation(
    zone=ZONE,
    nameserver="gw.example.com",
    addresses=frozenset({HERE}),
    parent="example.com",
    answers=(DELEGATED,),
    targets=(Target("gw.example.com", frozenset({HERE})),),
    servers=(US,),
    own=OWN,
    recursions=(HEARD,),
)
NS_RECORD: Final = f"{ZONE}.\t3600\tIN\tNS\tgw.example.com."


def seen(**changes: Any) -> Observation:
    return replace(RIGHT, **changes)


def delegated_to(*names: str, **changes: Any) -> ParentAnswer:
    return replace(DELEGATED, targets=frozenset(names), **changes)


def nothing_behind(*answers: ParentAnswer) -> Observation:
    """What is seen when the parent does not delegate: nothing that could be asked."""
    late = replace(HEARD, soa=PARENTS_SOA)
    return seen(answers=answers, targets=(), servers=(), recursions=(late,))


INSIDE: Final = f"ns.{ZONE}"
GLUE: Final = {INSIDE: frozenset({HERE})}
WRONG_GLUE: Final = {INSIDE: frozenset({THERE})}
LATER: Final = replace(SOA, serial=1003)
STALE: Final = replace(SOA, serial=7)

BROKEN: Final = {
    "no NS record": (nothing_behind(replace(DELEGATED, cut=Cut.ABSENT)), "ns", NS_RECORD),
    "a wildcard CNAME instead": (
        nothing_behind(replace(DELEGATED, cut=Cut.ALIAS, alias="gw.example.com")),
        "ns",
        NS_RECORD,
    ),
    "NS inside the zone without glue": (
        seen(answers=(delegated_to(INSIDE),), targets=(Target(INSIDE, frozenset(), "no glue"),), servers=()),
        "glue",
        f"{INSIDE}.\t3600\tIN\tA\t203.0.113.10",
    ),
    "wrong glue": (
        seen(
            answers=(delegated_to(INSIDE, glue=WRONG_GLUE),),
            targets=(Target(INSIDE, frozenset({THERE})),),
            servers=(replace(STRANGER, target=INSIDE),),
        ),
        "glue",
        f"{INSIDE}.\t3600\tIN\tA\t203.0.113.10",
    ),
    "our own name server without address": (
        seen(targets=(Target("gw.example.com", frozenset(), "gw.example.com does not exist"),), servers=()),
        "address",
        "gw.example.com.\t3600\tIN\tA\t203.0.113.10",
    ),
    "another name server without address": (
        seen(answers=(delegated_to("gone.org"),), targets=(Target("gone.org", frozenset(), "no"),), servers=()),
        "address",
        NS_RECORD,
    ),
    "NS to another host": (
        seen(answers=(delegated_to("ns.elsewhere.org"),), targets=(), servers=(STRANGER,)),
        "target",
        NS_RECORD,
    ),
    "UDP dropped": (seen(servers=(replace(US, udp=SILENT),)), "udp", "UDP port 53"),
    "UDP closed": (seen(servers=(replace(US, udp=CLOSED),)), "udp", "UDP port 53"),
    "TCP dropped": (seen(servers=(replace(US, tcp=SILENT),)), "tcp", "TCP port 53"),
    "TCP refused": (seen(servers=(replace(US, tcp=CLOSED),)), "tcp", "TCP port 53"),
    "another program answers on port 53": (seen(servers=(replace(US, udp=REFUSED),)), "authority", "who holds port 53"),
    "another gateway answers at our address": (
        seen(servers=(replace(TRANSLATED, udp=Reply(Outcome.AUTHORITATIVE, STALE)),)),
        "authority",
        "who holds port 53",
    ),
    "a lame server beside us": (seen(servers=(US, STRANGER)), "servers", "remove ns.elsewhere.org"),
    "a dead server beside us": (
        seen(servers=(US, replace(STRANGER, udp=SILENT, tcp=SILENT))),
        "servers",
        "remove ns.elsewhere.org",
    ),
    "a stale server beside us": (
        seen(servers=(US, replace(STRANGER, udp=Reply(Outcome.AUTHORITATIVE, STALE)))),
        "servers",
        "remove ns.elsewhere.org",
    ),
    "a DS record at the parent": (seen(answers=(replace(DELEGATED, has_ds=True),)), "dnssec", "remove the DS record"),
    "signatures above that do not hold": (
        seen(recursions=(Recursion("9.9.9.9", True, "SERVFAIL", works_unchecked=True),)),
        "dnssec",
        "delv SOA",
    ),
    "resolvers that do not come through": (
        seen(recursions=(Recursion("9.9.9.9", True, "SERVFAIL"),)),
        "recursion",
        "dig",
    ),
    "resolvers that hear nothing from us": (seen(recursions=(Recursion("9.9.9.9", False),)), "recursion", "firewall"),
    "resolvers that end at another server": (
        seen(recursions=(replace(HEARD, soa=STALE),)),
        "recursion",
        "dig @9.9.9.9",
    ),
}


@pytest.mark.parametrize(("observation", "link", "todo"), BROKEN.values(), ids=BROKEN)
def test_each_break_has_its_own_link_and_its_mend(observation: Observation, link: str, todo: str) -> None:
    found = delegation.findings(observation)
    broken = delegation.broken_link(found)
    assert broken is not None
    assert (broken.id, broken.status) == (f"delegation.{link}:{ZONE}", Status.FAIL)
    assert todo in broken.todo


@pytest.mark.parametrize("observation", [case[0] for case in BROKEN.values()], ids=BROKEN)
def test_a_spelling_that_nothing_depends_on_is_only_warned_of(observation: Observation) -> None:
    found = delegation.findings(replace(observation, is_required=False))
    assert delegation.broken_link(found) is None
    assert any(one.status is Status.WARN for one in found)


NEXT_HOST: Final = ParentAnswer("ns2.example.com (192.0.2.2)", Cut.ABSENT, has_ds=False)
FINE: Final = {
    "as documented": RIGHT,
    "glue that is right": seen(
        answers=(delegated_to(INSIDE, glue=GLUE),), targets=(Target(INSIDE, frozenset({HERE})),)
    ),
    "a serial that rose meanwhile": seen(own=replace(OWN, last_serial=1005), recursions=(replace(HEARD, soa=LATER),)),
    "a public address that is translated and asked in vain": seen(
        servers=(replace(TRANSLATED, udp=SILENT, tcp=SILENT),)
    ),
    "a second address of ours that the settings do not name": seen(servers=(US, replace(US, address=THERE))),
    "IPv6 that this host has no way to": seen(
        addresses=frozenset({HERE, HERE_V6}),
        servers=(US, Server("gw.example.com", HERE_V6, False, Reply(Outcome.UNREACHABLE), Reply(Outcome.UNREACHABLE))),
    ),
    "an alias of another zone of ours": seen(
        zone=f"{ZONE}.x", alias=ZONE, answers=(replace(DELEGATED, cut=Cut.ALIAS, alias=ZONE),)
    ),
    "a resolver that remembers yesterday": seen(recursions=(replace(HEARD, soa=PARENTS_SOA),)),
    "one of two resolvers that fails": seen(recursions=(HEARD, Recursion("192.0.2.53", True, "SERVFAIL"))),
    "a change that has not reached every server": seen(answers=(DELEGATED, NEXT_HOST)),
}


@pytest.mark.parametrize("observation", FINE.values(), ids=FINE)
def test_what_works_is_no_broken_link_and_no_doubt(observation: Observation) -> None:
    found = delegation.findings(observation)
    assert (delegation.broken_link(found), delegation.doubt(found)) == (None, None)


def test_a_right_delegation_is_ok_in_every_link() -> None:
    found = delegation.findings(RIGHT)
    assert {one.status for one in found} == {Status.OK}
    assert [one.kind.removeprefix("delegation.") for one in found] == [
        *("parent", "ns", "glue", "address", "target", "udp", "tcp", "authority", "servers", "dnssec", "recursion")
    ]


NOT_RUNNING: Final = Own("203.0.113.10 port 53", CLOSED, CLOSED)
UNKNOWN: Final = {
    "no resolver answers": Observation(ZONE, "gw.example.com", frozenset({HERE}), parent_problem="nobody answers"),
    "no server of the parent answers": seen(
        answers=(ParentAnswer("ns", Cut.UNKNOWN, detail="silent"),), targets=(), servers=(), recursions=()
    ),
    "the name server's address is not told": seen(
        targets=(Target("gw.example.com", frozenset(), "SERVFAIL", is_certain=False),), servers=(), recursions=()
    ),
    "the appliance does not run": seen(own=NOT_RUNNING, servers=(replace(US, udp=CLOSED, tcp=CLOSED),), recursions=()),
    "resolvers that leave the SOA out": seen(recursions=(replace(HEARD, soa=None),)),
}


@pytest.mark.parametrize("observation", UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_seen_is_unknown_and_never_right(observation: Observation) -> None:
    found = delegation.findings(observation)
    assert delegation.broken_link(found) is None
    assert delegation.doubt(found) is not None


def test_the_first_of_two_breaks_is_named() -> None:
    both = seen(servers=(replace(US, udp=SILENT, tcp=CLOSED),), recursions=(Recursion("9.9.9.9", False),))
    broken = delegation.broken_link(delegation.findings(both))
    assert broken is not None
    assert broken.kind == "delegation.udp"


def test_a_finding_is_told_with_exactly_four_keys() -> None:
    told = Finding("kind:subject", Status.WARN, "seen", "do").document()
    assert told == {"id": "kind:subject", "status": "warn", "evidence": "seen", "todo": "do"}
