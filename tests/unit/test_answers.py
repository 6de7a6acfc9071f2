"""What the authority says to each question, rule by rule."""

from dataclasses import replace

import pytest

from appliance.model.answers import Answer, Kind, Note, Rcode, Record, answer
from appliance.model.zones import Contents, Zone, wire_name

APEX = "_acme-challenge.gw.example.com"
DEEP = f"a.b.{APEX}"
CONTENTS = Contents.of([Zone(APEX, "ns1.example.com")], 42, {APEX: ("one", "two"), DEEP: ("three",)})

TXT, SOA, NS, A, ANY, AXFR, IXFR, OPT, TSIG, MAILB, HINFO = 16, 6, 2, 1, 255, 252, 251, 41, 250, 253, 13
AAAA, DS = 28, 43
IN, CH, ANY_CLASS = 1, 3, 255


def soa(ttl: int) -> Record:
    return Record(wire_name(APEX), Kind.SOA, ttl, ("ns1.example.com", "hostmaster.gw.example.com", 42, 60, 60, 3600, 0))


def txt(owner: str, *values: str) -> Answer:
    records = tuple(Record(wire_name(owner), Kind.TXT, 0, (value,)) for value in values)
    return Answer(Rcode.NOERROR, is_authoritative=True, records=records)


def hinfo(owner: str) -> Answer:
    record = Record(wire_name(owner), Kind.HINFO, 3600, ("RFC8482", ""))
    return Answer(Rcode.NOERROR, is_authoritative=True, records=(record,))


APEX_SOA = Answer(Rcode.NOERROR, is_authoritative=True, records=(soa(60),))
APEX_NS = Answer(
    Rcode.NOERROR, is_authoritative=True, records=(Record(wire_name(APEX), Kind.NS, 60, ("ns1.example.com",)),)
)
NODATA = Answer(Rcode.NOERROR, is_authoritative=True, authority=(soa(0),))
NXDOMAIN = Answer(Rcode.NXDOMAIN, is_authoritative=True, authority=(soa(0),))
NOT_OURS = Answer(Rcode.REFUSED, note=Note.NOT_AUTHORITATIVE)
NO_TRANSFER = Answer(Rcode.REFUSED, note=Note.PROHIBITED)
NO_CLASS = Answer(Rcode.REFUSED, note=Note.NOT_SUPPORTED)


@pytest.mark.parametrize(
    ("name", "qtype", "qclass", "expected"),
    [
        (APEX, TXT, IN, txt(APEX, "one", "two")),
        (DEEP, TXT, IN, txt(DEEP, "three")),
        (APEX, SOA, IN, APEX_SOA),
        (APEX, NS, IN, APEX_NS),
        (APEX, A, IN, NODATA),
        (APEX, HINFO, IN, NODATA),
        (APEX, MAILB, IN, NODATA),
        (APEX, 65280, IN, NODATA),  # a type nobody has defined (RFC 8906 §3.1.2)
        (DEEP, SOA, IN, NODATA),
        (DEEP, NS, IN, NODATA),
        (f"b.{APEX}", TXT, IN, NODATA),  # an empty non-terminal
        (f"c.{APEX}", TXT, IN, NXDOMAIN),
        (f"x.{DEEP}", TXT, IN, NXDOMAIN),
        (f"x.y.z.{APEX}", SOA, IN, NXDOMAIN),
        (APEX, ANY, IN, hinfo(APEX)),
        (f"b.{APEX}", ANY, IN, hinfo(f"b.{APEX}")),
        (f"c.{APEX}", ANY, IN, NXDOMAIN),
        (APEX, AXFR, IN, NO_TRANSFER),
        (APEX, IXFR, IN, NO_TRANSFER),
        ("example.org", AXFR, IN, NO_TRANSFER),
        ("gw.example.com", SOA, IN, NOT_OURS),
        (f"not{APEX}", TXT, IN, NOT_OURS),
        ("com", NS, IN, NOT_OURS),
        (APEX, TXT, CH, NO_CLASS),
        ("version.bind", TXT, CH, NO_CLASS),
        (APEX, TXT, ANY_CLASS, replace(txt(APEX, "one", "two"), is_authoritative=False)),  # RFC 1034 §6.2.2
        (f"c.{APEX}", TXT, ANY_CLASS, replace(NXDOMAIN, is_authoritative=False)),
        ("example.org", TXT, ANY_CLASS, NOT_OURS),
        (APEX, OPT, IN, NODATA),  # pseudo-types live in the additional section; asked for, they are as any without data
        (APEX, TSIG, IN, NODATA),
    ],
)
def test_the_answer_to_each_question(name: str, qtype: int, qclass: int, expected: Answer) -> None:
    assert answer(CONTENTS, wire_name(name), qtype, qclass) == expected


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("gw.acme.example.com", Rcode.NOERROR),
        ("_acme-challenge.gw.acme.example.com", Rcode.NOERROR),
        ("gx.acme.example.com", Rcode.NXDOMAIN),
        ("x.gw.acme.example.com", Rcode.NXDOMAIN),
    ],
)
def test_nothing_above_a_nested_zone_is_denied(name: str, rcode: Rcode) -> None:
    """A resolver that heard NXDOMAIN would not ask below it any more (RFC 8020 §2)."""
    outer, inner = Zone("acme.example.com", "example.com"), Zone("_acme-challenge.gw.acme.example.com", "example.com")
    found = answer(Contents.of([outer, inner], 42, {}), wire_name(name), TXT, IN)
    assert (found.rcode, found.records, found.is_authoritative) == (rcode, (), True)
    assert found.authority[0].owner == wire_name(inner.apex if name == inner.apex else outer.apex)


def test_the_parents_side_of_a_nested_zone_says_whether_it_is_signed() -> None:
    """DS is asked for at the apex and answered above it (RFC 4035 §3.1.4.1); without a zone above, here."""
    inner, outer = Zone("_acme-challenge.gw.acme.example.com", "example.com"), Zone("acme.example.com", "example.com")
    for zones, owner in (([outer, inner], outer.apex), ([inner], inner.apex)):
        found = answer(Contents.of(zones, 42, {}), wire_name(inner.apex), DS, IN)
        assert (found.rcode, found.records, found.is_authoritative) == (Rcode.NOERROR, (), True)
        assert found.authority[0].owner == wire_name(owner)


SERVER = f"ns1.{APEX}"
HERE = ("203.0.113.10", "2001:db8::10")


@pytest.mark.parametrize(
    ("name", "qtype", "found"),
    [
        (SERVER, A, [HERE[0]]),
        (SERVER, AAAA, [HERE[1]]),
        (SERVER, TXT, []),
        (APEX, A, []),
    ],
)
def test_a_name_server_inside_its_own_zone_has_the_addresses_of_the_gateway(
    name: str, qtype: int, found: list[str]
) -> None:
    """A resolver that asks for them here, where nobody else can say them, must not hear that there is no such name."""
    contents = Contents.of([Zone(APEX, SERVER, HERE)], 1, {}).with_values(2, {APEX: ("one",)})
    given = answer(contents, wire_name(name), qtype, IN)
    assert given.rcode is Rcode.NOERROR
    assert [record.content for record in given.records] == [(text,) for text in found]


def test_a_name_server_elsewhere_is_none_of_ours() -> None:
    contents = Contents.of([Zone(APEX, "ns1.example.com", HERE)], 1, {})
    assert answer(contents, wire_name("ns1.example.com"), A, IN) == NOT_OURS


def test_the_root_is_not_ours() -> None:
    assert answer(CONTENTS, b"\0", NS, IN) == NOT_OURS


def test_no_cache_keeps_a_negative_answer() -> None:
    """A value presented now must not wait for a cache: TTL and MINIMUM of the SOA (RFC 2308 §3, §5)."""
    (record,) = answer(CONTENTS, wire_name(f"c.{APEX}"), TXT, IN).authority
    assert record.ttl == 0
    assert record.content[-1] == 0
