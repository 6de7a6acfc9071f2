"""EDNS on the wire: who gets an OPT, what its options and sizes do."""

import struct

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from appliance.adapters.dns.questions import LARGEST_PLAIN
from tests.unit.dns_messages import (
    CLIENT,
    CLIENT_COOKIE,
    OPT,
    QUESTION,
    RECORD,
    VALUE,
    header,
    parsed,
    question,
    reply,
    table,
)


@pytest.mark.parametrize("payload", [0, 1, 512, 1232, 4096, 65535])
def test_opt_only_for_who_sent_one(payload: int) -> None:
    response = parsed(table(VALUE), question(payload=payload))
    assert response.edns == (0 if payload else -1)
    assert response.payload == (1232 if payload else 0)


@pytest.mark.parametrize("octets", [0, 252, 253, 1000])
def test_options_change_no_answer_however_many_octets_they_have(octets: int) -> None:
    option = dns.edns.GenericOption(dns.edns.OptionType(65001), b"x" * octets)
    response = parsed(table(VALUE), question(payload=1232, options=(option,)))
    assert VALUE in response.answer[0].to_text()
    assert response.edns == 0


@pytest.mark.parametrize(("do", "flags"), [(0, 0), (1, 0x8000)])
def test_do_is_repeated(do: int, flags: int) -> None:
    assert parsed(table(VALUE), question(payload=1232, do=do)).ednsflags & 0x8000 == flags


def _cookie_only(version: int) -> bytes:
    option = b"\0\x0a\0\x08" + CLIENT_COOKIE
    opt = b"\0" + struct.pack("!HHBBHH", 41, 1232, 0, version, 0, len(option)) + option
    return header(0, 0, 0, 0, 1) + opt  # RFC 7873 §5.4


@pytest.mark.parametrize("version", [1, 2, 255])
def test_an_unknown_edns_version_is_badvers(version: int) -> None:
    bare = header(0, 0, 0, 0, 1) + OPT[:6] + bytes((version,)) + OPT[7:]
    for message in (question(payload=1232, edns=version), _cookie_only(version), bare):
        assert parsed(table(VALUE), message).rcode() == dns.rcode.BADVERS
    response = parsed(table(VALUE), question(payload=1232, edns=version))
    assert response.edns == 0
    assert not response.answer


@pytest.mark.parametrize(("octets", "is_plain"), [(LARGEST_PLAIN, True), (LARGEST_PLAIN + 1, False)])
def test_the_longest_plain_query_has_the_longest_name_and_256_octets_of_options(octets: int, is_plain: bool) -> None:
    name = ".".join(["x" * 63] * 3 + ["x" * 61])
    option = dns.edns.GenericOption(dns.edns.OptionType(65001), bytes(252 + octets - LARGEST_PLAIN))
    message = question(name, payload=1232, options=(option,))
    assert len(message) == octets
    assert (table(VALUE).reply(message, CLIENT) is not None) == is_plain
    assert parsed(table(VALUE), message).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(header(0, 2, 0, 0, 1) + QUESTION * 2 + OPT, id="two questions"),
        pytest.param(header(0, 1, 0, 0, 1) + QUESTION + OPT[:-2] + b"\0\3\0\3\0", id="half an option"),
        pytest.param(header(0, 1, 0, 0, 1) + QUESTION + OPT[:-2] + b"\0\x0d\0\x0a\0\x09" + b"c" * 9, id="a bad cookie"),
        pytest.param(header(0, 1, 0, 0, 2) + QUESTION + OPT * 2, id="two OPTs"),
        pytest.param(header(0, 1, 0, 0, 1) + QUESTION + b"\1a" + OPT, id="OPT below a name"),
        pytest.param(header(0, 1, 1, 0, 1) + QUESTION + RECORD + OPT, id="an answer"),
        pytest.param(header(5 << 11, 0, 0, 0, 1) + OPT, id="UPDATE"),
    ],
)
def test_whoever_sent_an_opt_is_told_that_there_is_edns_also_with_an_error(message: bytes) -> None:
    """RFC 6891 §6.1.1; FORMERR without one says that there is none (§7)."""
    response = parsed(table(VALUE), message)
    assert (response.edns, response.payload) == (0, 1232)
    assert response.rcode() == (dns.rcode.REFUSED if message[2] >> 3 == 5 else dns.rcode.FORMERR)


def test_unknown_options_are_ignored() -> None:
    response = parsed(
        table(VALUE), question(payload=1232, options=(dns.edns.GenericOption(dns.edns.OptionType(65001), b"?"),))
    )
    assert response.rcode() == dns.rcode.NOERROR
    assert response.options == ()


@pytest.mark.parametrize(
    ("count", "payload", "is_truncated"),
    [
        (1, 0, False),
        (8, 0, False),
        (9, 0, True),
        (9, 100, True),
        (9, 562, True),
        (9, 563, False),
        (16, 954, True),
        (16, 955, False),
        (9, 1232, False),
        (20, 1232, False),
        (21, 65535, True),
    ],
)
def test_what_does_not_fit_is_truncated_to_nothing(count: int, payload: int, is_truncated: bool) -> None:
    """RFC 2181 §9, RFC 6891 §6.2.5; less than 512 octets is never meant."""
    response = parsed(table(*(f"{number:043}" for number in range(count))), question(payload=payload))
    assert bool(response.flags & dns.flags.TC) is is_truncated
    assert [len(rrset) for rrset in response.answer] == ([] if is_truncated else [count])


def test_sixty_values_are_whole_over_a_stream() -> None:
    response = parsed(table(*(f"{number:043}" for number in range(60)), is_stream=True), question())
    assert not response.flags & dns.flags.TC
    assert len(response.answer[0]) == 60


def test_the_largest_name_fits_one_frame() -> None:
    wire = reply(table(*(f"{number:0255}" for number in range(200)), is_stream=True), question())
    assert wire is not None
    assert len(wire) < 65536
    assert len(dns.message.from_wire(wire).answer[0]) == 200


@pytest.mark.parametrize("nsid", [None, b"gateway-1"])
def test_nsid_is_told_only_where_it_is_set(nsid: bytes | None) -> None:
    options = parsed(table(nsid=nsid), question(payload=1232, options=(dns.edns.NSIDOption(b""),))).options
    assert [option.to_wire() for option in options] == ([nsid] if nsid else [])


def test_nsid_is_not_told_to_who_does_not_ask() -> None:
    """RFC 5001 §2.1."""
    assert not parsed(table(nsid=b"gateway-1"), question(payload=1232)).options
