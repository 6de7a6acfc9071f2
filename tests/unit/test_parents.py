"""What a server of the parent zone said is read as what it means for the delegation."""

import ipaddress
from typing import Final

import dns.message
import pytest

from appliance.adapters.delegation import asking, parents
from appliance.adapters.delegation.resolvers import alias_in
from appliance.model.delegation import Cut, ParentAnswer, Soa

ZONE: Final = "_acme-challenge.gw.example.com"
HERE: Final = frozenset({ipaddress.ip_address("203.0.113.10")})
SOA: Final = "example.com. 60 IN SOA ns.example.com. admin.example.com. 7 3600 600 86400 60"


def message(
    rcode: str = "NOERROR", *, answer: str = "", authority: str = "", additional: str = "", flags: str = "QR"
) -> dns.message.Message:
    lines = ["id 1", "opcode QUERY", f"rcode {rcode}", f"flags {flags}", ";QUESTION", f"{ZONE}. IN NS"]
    lines += [";ANSWER", answer, ";AUTHORITY", authority, ";ADDITIONAL", additional]
    return dns.message.from_text("\n".join(filter(None, lines)) + "\n")


CASES: Final = {
    "a referral": (
        message(authority=f"{ZONE}. 60 IN NS GW.example.com."),
        ParentAnswer("ns", Cut.DELEGATED, frozenset({"gw.example.com"}), has_ds=False),
    ),
    "a referral with glue, and something nobody asked for": (
        message(
            authority=f"{ZONE}. 60 IN NS ns.{ZONE}.",
            additional=f"ns.{ZONE}. 60 IN A 203.0.113.10\nother.example.com. 60 IN A 198.51.100.7",
        ),
        ParentAnswer("ns", Cut.DELEGATED, frozenset({f"ns.{ZONE}"}), {f"ns.{ZONE}": HERE}, has_ds=False),
    ),
    "a server that has both zones": (
        message(answer=f"{ZONE}. 60 IN NS gw.example.com.", flags="QR AA"),
        ParentAnswer("ns", Cut.DELEGATED, frozenset({"gw.example.com"}), has_ds=False),
    ),
    "no such name": (message("NXDOMAIN", authority=SOA), ParentAnswer("ns", Cut.ABSENT, has_ds=False)),
    "no such record": (message(authority=SOA), ParentAnswer("ns", Cut.ABSENT, has_ds=False)),
    "an alias": (
        message(answer=f"{ZONE}. 60 IN CNAME gw.example.com.", authority=SOA),
        ParentAnswer("ns", Cut.ALIAS, alias="gw.example.com", has_ds=False),
    ),
    "an alias, with the NS records of the parent beside it": (
        message(answer=f"{ZONE}. 60 IN CNAME gw.example.com.", authority="example.com. 60 IN NS ns.example.com."),
        ParentAnswer("ns", Cut.ALIAS, alias="gw.example.com", has_ds=False),
    ),
    "another zone in between": (
        message(authority="gw.example.com. 60 IN NS ns.elsewhere.org."),
        ParentAnswer("ns", Cut.UNKNOWN, detail="says that gw.example.com is a zone of other servers"),
    ),
    "a refusal": (message("REFUSED"), ParentAnswer("ns", Cut.UNKNOWN, detail="answers REFUSED")),
}


@pytest.mark.parametrize(("answer", "expected"), CASES.values(), ids=CASES)
def test_an_answer_of_the_parent(answer: dns.message.Message, expected: ParentAnswer) -> None:
    assert parents._read("ns", "example.com", ZONE, answer, has_ds=False) == expected


def test_a_ds_record_is_seen_and_silence_about_it_is_none() -> None:
    signed = message(answer=f"{ZONE}. 60 IN DS 12345 13 2 {'ab' * 32}", flags="QR AA")
    assert [parents._has_ds(one) for one in (signed, message(authority=SOA), message("SERVFAIL"))] == [
        True,
        False,
        None,
    ]


def test_the_soa_of_an_answer_and_of_a_negative_one() -> None:
    expected = Soa("example.com", "ns.example.com", 7)
    assert asking.soa_of(message(answer=SOA)) == expected
    assert asking.soa_of(message("NXDOMAIN", authority=SOA)) == expected
    assert asking.soa_of(message()) is None


def test_an_alias_is_that_of_the_name_itself() -> None:
    assert alias_in(message(answer="www.example.com. 60 IN CNAME a.example.com."), ZONE) is None
