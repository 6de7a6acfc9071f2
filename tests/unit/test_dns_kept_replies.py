"""Replies that are kept for the next question: how many, for whom, and that nobody can tell."""

import tracemalloc

import dns.edns
import dns.rcode
import dns.rdatatype
import pytest

from appliance.adapters.dns.cookies import Cookies
from appliance.adapters.dns.table import Table
from appliance.adapters.dns.tallies import Tallies
from appliance.model.answers import Rcode
from appliance.model.zones import Contents, Zone
from tests.unit.dns_messages import (
    APEX,
    CLIENT,
    CLIENT_COOKIE,
    VALUE,
    contents,
    cookie_option,
    parsed,
    question,
    reply,
    table,
)


def test_one_nxdomain_serves_all_names_and_none_is_kept() -> None:
    asked = table(VALUE)
    for number in range(100):
        assert parsed(asked, question(f"{number}.{APEX}")).rcode() == dns.rcode.NXDOMAIN
    assert not asked.ready


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("payload", [0, 512, 1232])
@pytest.mark.parametrize("rdtype", ["TXT", "A", "ANY", "SOA", "TYPE65280"])
@pytest.mark.parametrize(
    ("before", "name", "rcode"),
    [
        (f"x.{APEX}", f"y.{APEX}", "NXDOMAIN"),
        (f"x.{APEX}", f"Y.{APEX}", "NXDOMAIN"),
        (f"x.{APEX}", f"\\255.{APEX}", "NXDOMAIN"),
        (f"{'x' * 63}.{APEX}", f"{'y' * 63}.{APEX}", "NXDOMAIN"),
        (f"x.{APEX}", f"b.{APEX}", "NOERROR"),  # an empty non-terminal
        (f"x.{APEX}", f"B.{APEX}", "NOERROR"),
        (f"x.b.{APEX}", f"a.b.{APEX}", "NOERROR"),
        (f"x.{APEX}", f"y.{APEX.upper()}", "NXDOMAIN"),
        (f"x.{APEX}", f"y.z.{APEX}", "NXDOMAIN"),
        (f"x.{APEX}", "y.example.org", "REFUSED"),
        (f"x.{APEX}", APEX, "NOERROR"),
    ],
)
def test_a_name_is_answered_as_if_none_beside_it_had_been_denied(
    before: str, name: str, rcode: str, rdtype: str, payload: int, is_stream: bool
) -> None:
    found = Contents.of([Zone(APEX, "gw.example.com")], 42, {APEX: (VALUE,), f"a.b.{APEX}": ("y",)})
    fresh, asked = (Table(found, Tallies("test"), Cookies(), is_stream=is_stream) for _ in range(2))
    reply(asked, question(before, rdtype, payload=payload))
    message = question(name, rdtype, payload=payload)
    assert reply(asked, message) == reply(fresh, message)
    assert dns.rcode.to_text(parsed(asked, message).rcode()) == rcode
    found_reply = asked.ready.get(message[2:]) or asked.reply(message, CLIENT)
    assert found_reply is not None
    assert found_reply.cell is asked._tallies.cell(dns.rdatatype.from_text(rdtype), Rcode[rcode]), "counted as such"


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_is_kept_has_a_bound_whatever_clients_put_into_their_questions(is_stream: bool) -> None:
    asked = table(VALUE, is_stream=is_stream)
    for number in range(4000):
        option = dns.edns.GenericOption(dns.edns.OptionType(65001), number.to_bytes(250, "big"))
        for name in (APEX, f"x.{APEX}"):
            reply(asked, question(name, payload=1232, options=(option,)))
    assert asked.ready
    assert asked._denials
    assert sum(map(len, asked.ready)) + sum(map(len, asked._denials)) <= 4 << 20


def test_denials_with_cookies_are_not_kept_for_others() -> None:
    asked = table(VALUE)
    reply(asked, question(f"x.{APEX}", payload=1232, options=(cookie_option(CLIENT_COOKIE),)))
    assert not asked._denials


def test_answers_with_cookies_are_not_kept_for_others() -> None:
    asked = table(VALUE)
    reply(asked, question(payload=1232, options=(cookie_option(CLIENT_COOKIE),)))
    assert not asked.ready


def test_the_same_question_is_answered_from_the_table_the_second_time() -> None:
    asked = table(VALUE)
    first = reply(asked, question(id=1))
    assert len(asked.ready) == 1
    second = reply(asked, question(id=2))
    assert first is not None
    assert second is not None
    assert (first[:2], second[:2]) == (b"\0\1", b"\0\2")
    assert first[2:] == second[2:]


def test_the_table_has_a_bound() -> None:
    """Whoever varies the EDNS size can fill it, and no more."""
    asked = table(VALUE)
    for size in range(9000):
        reply(asked, question(payload=1)[:-8] + size.to_bytes(2, "big") + bytes(6))
    assert 0 < len(asked.ready) <= 8192


def test_a_new_generation_knows_nothing_of_the_old() -> None:
    """Nothing is invalidated one by one: the table is new."""
    old = table("old")
    reply(old, question())
    new = Table(contents("new"), old._tallies, old._cookies, is_stream=False)
    (rrset,) = parsed(new, question()).answer
    assert rrset[0].strings == (b"new",)


def test_counting_takes_the_same_memory_whatever_is_asked_for() -> None:
    tallies = Tallies("udp")
    tallies.cell(1, Rcode.NOERROR)
    tracemalloc.start()
    try:
        for qtype in range(65536):
            for rcode in Rcode:
                tallies.cell(qtype, rcode)[0] += 1
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 64 << 10
    assert sum(tallies.queries().values()) == 65536 * len(Rcode)
