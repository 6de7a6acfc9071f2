"""Messages in, messages out: the rules of the RFCs on the wire."""

import struct

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from appliance.adapters.dns.cookies import Cookies
from appliance.adapters.dns.table import Table
from appliance.adapters.dns.tallies import Tallies
from appliance.model.zones import Contents, Zone
from tests.unit.dns_messages import (
    APEX,
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

TSIG = b"\3key\0" + struct.pack("!HHIH", 250, 255, 0, 10) + b"\0" * 10
BEHIND_OWNER = TSIG[5:]
LONG_NAME = b"".join(b"\x3f" + b"x" * 63 for _ in range(4))
SOA_RECORD = b"\xc0\x0c" + struct.pack("!HHIH", 6, 1, 0, 22) + b"\0\0" + struct.pack("!IIIII", 1, 1, 1, 1, 1)
QR = 0x8000


def opcode(number: int) -> int:
    return number << 11


@pytest.mark.parametrize(
    ("message", "rcode"),
    [
        # RFC 8906 §3: every one of these must be answered
        (header(0, 0, 0, 0, 0), "FORMERR"),
        (header(opcode(15), 0, 0, 0, 0), "NOTIMP"),
        (header(opcode(15), 1, 0, 0, 0) + QUESTION, "NOTIMP"),
        (header(opcode(1), 1, 0, 0, 0) + QUESTION, "NOTIMP"),  # IQUERY, RFC 3425
        (header(opcode(2), 0, 0, 0, 0), "NOTIMP"),  # STATUS
        (header(opcode(6), 0, 0, 0, 0), "NOTIMP"),  # DSO, RFC 8490
        (header(opcode(4), 1, 0, 0, 0) + QUESTION, "REFUSED"),  # NOTIFY, RFC 1996
        (header(opcode(5), 1, 0, 1, 0) + question(rdtype="SOA")[12:] + RECORD, "REFUSED"),  # UPDATE, RFC 2136
        (header(opcode(5), 0, 0, 0, 0), "REFUSED"),
        # RFC 9619: one question
        (header(0, 2, 0, 0, 0) + QUESTION * 2, "FORMERR"),
        (header(0, 65535, 0, 0, 0) + QUESTION, "FORMERR"),
        # records where a question has none
        (header(0, 1, 1, 0, 0) + QUESTION + RECORD, "FORMERR"),
        (header(0, 1, 0, 1, 0) + QUESTION + RECORD, "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION + RECORD, "NOERROR"),  # additional records are no business of ours
        (header(0, 1, 0, 0, 1) + QUESTION + TSIG, "NOTAUTH"),  # RFC 8945 §5.2.1
        (header(0, 1, 0, 0, 2) + QUESTION + TSIG + OPT, "FORMERR"),  # TSIG is last, RFC 8945 §5.1
        # owners of records, RFC 1035 §4.1.4
        (header(0, 1, 0, 0, 1) + QUESTION + b"\xc0\x0c" + BEHIND_OWNER, "NOTAUTH"),
        (header(0, 1, 0, 0, 1) + QUESTION + b"\1a\xc0\x0c" + BEHIND_OWNER, "NOTAUTH"),
        (header(0, 1, 0, 0, 1) + QUESTION + b"\1\xff\0" + BEHIND_OWNER, "NOTAUTH"),  # any octets, RFC 2181 §11
        (header(0, 1, 0, 0, 1) + QUESTION + LONG_NAME[:-2] + b"\0" + BEHIND_OWNER, "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION + LONG_NAME[64:] + b"\x3d" + b"x" * 61 + b"\0" + BEHIND_OWNER, "NOTAUTH"),
        (header(0, 1, 0, 0, 1) + QUESTION + LONG_NAME[64:] + b"\x3e" + b"x" * 62 + b"\0" + BEHIND_OWNER, "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION + LONG_NAME + b"\0" + BEHIND_OWNER, "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION + b"\xc0\x00" + BEHIND_OWNER, "FORMERR"),  # into the header
        (header(0, 1, 0, 0, 1) + QUESTION + b"\xc0" + bytes((12 + len(QUESTION),)) + BEHIND_OWNER, "FORMERR"),  # itself
        (header(0, 1, 0, 0, 1) + QUESTION + b"\xff\xff" + BEHIND_OWNER, "FORMERR"),  # forward
        (header(0, 1, 0, 0, 1) + QUESTION + b"\xc0", "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION + b"\x40a\0" + BEHIND_OWNER, "FORMERR"),
        # EDNS, RFC 6891 §6.1.1
        (header(0, 1, 0, 0, 2) + QUESTION + OPT + OPT, "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION + b"\1a" + OPT, "FORMERR"),
        (header(0, 1, 0, 0, 2) + QUESTION + RECORD + OPT, "NOERROR"),
        # rubbish
        (header(0, 1, 0, 0, 0), "FORMERR"),
        (header(0, 1, 0, 0, 0) + QUESTION[:-1], "FORMERR"),
        (header(0, 1, 0, 0, 0) + QUESTION + b"\0", "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION, "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION + OPT[:-1], "FORMERR"),
        (header(0, 1, 0, 0, 65535) + QUESTION + OPT, "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION + OPT[:-1] + b"\1x", "FORMERR"),
        (header(0, 1, 0, 0, 1) + QUESTION + OPT[:-2] + b"\0\3\0\3\0", "FORMERR"),  # half an option
        (header(0, 1, 0, 0, 1) + QUESTION + OPT[:-2] + b"\0\6\0\3\0\x09xx", "FORMERR"),  # longer than the record
        (header(0, 1, 0, 0, 0) + b"\xc0\x0c\0\x10\0\1", "FORMERR"),  # a name that points to itself
        (header(0, 1, 0, 0, 0) + b"\x40" + b"a" * 64 + b"\0\0\x10\0\1", "FORMERR"),
        (header(0, 1, 0, 0, 0) + b"\1a" * 127 + b"\0\0\x10\0\1", "REFUSED"),  # 255 octets: the longest
        (header(0, 1, 0, 0, 0) + b"\1a" * 127 + b"\1\0\0\x10\0\1", "FORMERR"),
        (header(0, 1, 0, 0, 0) + b"\1a" * 128 + b"\0\0\x10\0\1", "FORMERR"),
        (header(0, 1, 0, 0, 0) + b"\3\xff\0.\0\0\x10\0\1", "REFUSED"),  # any octet may be in a label, RFC 2181 §11
        (header(0, 1, 0, 0, 1) + QUESTION + b"\xc0\x0c" * 3000, "FORMERR"),
        # flags that a server must ignore (RFC 8906 §3.2.1): Z, AD, CD, and those of a response
        (header(0x0040, 1, 0, 0, 0) + QUESTION, "NOERROR"),
        (header(0x0030, 1, 0, 0, 0) + QUESTION, "NOERROR"),
        (header(0x0680, 1, 0, 0, 0) + QUESTION, "NOERROR"),
        (header(0x000F, 1, 0, 0, 0) + QUESTION, "NOERROR"),
    ],
)
def test_every_message_gets_the_rcode_of_its_rfc(message: bytes, rcode: str) -> None:
    wire = reply(table(VALUE), message)
    assert wire is not None
    assert dns.rcode.to_text(dns.rcode.Rcode(wire[3] & 15)) == rcode
    assert wire[:2] == message[:2]
    assert wire[2] & 0xF8 == 0x80 | message[2] & 0x78, "QR is set and the opcode repeated"
    assert not wire[3] & 0xF0, "RA, Z, AD and CD are clear"
    dns.message.from_wire(wire, continue_on_error=False)


@pytest.mark.parametrize("number", range(1, 16))
@pytest.mark.parametrize("questions", [0, 1])
def test_every_opcode_but_query_is_turned_away(number: int, questions: int) -> None:
    """RFC 8906 §3.1.5: with an answer. NOTIFY (4) and UPDATE (5) are understood, and allowed to nobody."""
    message = header(opcode(number), questions, 0, 0, 0) + QUESTION * questions
    wire = reply(table(VALUE), message)
    assert wire is not None
    assert dns.rcode.Rcode(wire[3] & 15) == (dns.rcode.REFUSED if number in {4, 5} else dns.rcode.NOTIMP)
    assert wire[2] == 0x80 | number << 3
    assert wire[12:] == QUESTION * questions


@pytest.mark.parametrize(
    "message",
    [b"", b"\0", b"\0" * 11, header(QR, 0, 0, 0, 0), header(QR, 1, 0, 0, 0) + QUESTION],
)
def test_responses_and_stumps_are_met_with_silence(message: bytes) -> None:
    """Two servers would otherwise answer each other for ever."""
    assert reply(table(VALUE), message) is None


@pytest.mark.parametrize("flags", [0, dns.flags.RD])
def test_aa_is_set_rd_repeated_ra_clear(flags: int) -> None:
    assert parsed(table(VALUE), question(flags=flags)).flags == dns.flags.QR | dns.flags.AA | flags


@pytest.mark.parametrize("name", [APEX, APEX.upper(), "_AcMe-ChAlLeNgE.gW.eXaMpLe.CoM", f"Nothing.{APEX.title()}"])
def test_the_question_is_repeated_octet_for_octet(name: str) -> None:
    """Compared folded, echoed as asked (RFC 4343 §4.1): resolvers with 0x20 check it."""
    asked, kept = question(name), table(VALUE)
    for _ in range(2):  # composed, and from the table
        wire = reply(kept, asked)
        assert wire is not None
        assert wire[12 : len(asked)] == asked[12:]
    rcode = dns.rcode.NXDOMAIN if name.startswith("N") else dns.rcode.NOERROR
    assert parsed(table(VALUE), asked).rcode() == rcode


def test_each_value_is_one_character_string_of_one_record() -> None:
    long = "y" * 255
    (rrset,) = parsed(table(VALUE, long, 'a "quoted" \\'), question(payload=1232)).answer
    assert [record.strings for record in rrset] == [(VALUE.encode(),), (long.encode(),), (b'a "quoted" \\',)]
    assert rrset.ttl == 0


def test_the_soa_owner_points_into_every_question() -> None:
    for name in (f"a.{APEX}", f"a.b.c.{APEX}", f"{'x' * 63}.{APEX}", f"A.{APEX.upper()}"):
        (rrset,) = parsed(table(), question(name)).authority
        assert rrset.name.to_text(omit_final_dot=True).lower() == APEX
        assert rrset[0].to_text() == "gw.example.com. hostmaster.gw.example.com. 42 60 60 3600 0"


def test_addresses_of_a_name_server_inside_the_zone_are_packed_as_such() -> None:
    zone = Zone(APEX, f"ns1.{APEX}", ("203.0.113.10", "2001:db8::10"))
    asked = Table(Contents.of([zone], 1, {}), Tallies("test"), Cookies(), is_stream=False)
    for rdtype, expected in (("A", zone.addresses[0]), ("AAAA", zone.addresses[1])):
        response = parsed(asked, question(zone.nameserver, rdtype))
        assert [rrset.to_text() for rrset in response.answer] == [f"{zone.nameserver}. 60 IN {rdtype} {expected}"]
        assert response.flags & dns.flags.AA


def test_for_every_class_nobody_has_authority() -> None:
    message = question()[:-1] + b"\xff"
    response = parsed(table(VALUE), message)
    assert not response.flags & dns.flags.AA
    assert VALUE in response.answer[0].to_text()


def test_any_is_answered_with_one_made_up_hinfo() -> None:
    """RFC 8482 §4.2."""
    (rrset,) = parsed(table(VALUE), question(rdtype="ANY")).answer
    assert [record.to_text() for record in rrset] == ['"RFC8482" ""']


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    "message",
    [
        pytest.param(header(0, 1, 0, 0, 0) + QUESTION[:-4] + b"\0\xfc\0\1", id="AXFR"),
        pytest.param(header(0, 1, 0, 1, 0) + QUESTION[:-4] + b"\0\xfb\0\1" + SOA_RECORD, id="IXFR from a serial"),
    ],
)
def test_nobody_may_transfer_a_zone(message: bytes, is_stream: bool) -> None:
    """RFC 5936 §2.2.1, RFC 1995 §2."""
    wire = reply(table(VALUE, is_stream=is_stream), message)
    assert wire is not None
    assert wire[3] & 15 == dns.rcode.REFUSED


@pytest.mark.parametrize(
    ("name", "rdtype", "code", "text"),
    [
        ("example.org", "TXT", 20, "not a zone of this gateway"),
        (APEX, "AXFR", 18, "no zone transfers"),
        (APEX, "CH", 21, "class IN only"),
    ],
)
def test_a_refusal_says_why(name: str, rdtype: str, code: int, text: str) -> None:
    message = question(name, "TXT", payload=1232)
    in_its_place = {"AXFR": b"\0\xfc\0\1", "CH": b"\0\x10\0\3"}
    message = message.replace(b"\0\x10\0\1", in_its_place.get(rdtype, b"\0\x10\0\1"))
    (option,) = parsed(table(), message).options
    assert isinstance(option, dns.edns.EDEOption)
    assert (int(option.code), option.text) == (code, text)
