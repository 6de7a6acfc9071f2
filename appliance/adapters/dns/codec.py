"""The codec: dnslib packs records when contents change; the messages that are not plain queries are read here.

Why dnslib only packs: it is right and slow, and its reader was not written for hostile input. It follows compression
pointers without a bound, so that one datagram of 2 kB can take it a second. What matters of such a message is its
outline alone: which records there are, and what the OPT among them says.
It knows records and messages, and nothing of zones, sockets or generations of contents.
"""

import ipaddress
import struct
from dataclasses import dataclass
from typing import NamedTuple

from dnslib import CLASS, NS, OPCODE, QTYPE, RD, RR, SOA, TXT
from dnslib.label import DNSBuffer

from appliance.adapters.dns import questions
from appliance.adapters.dns.questions import HEADER, Edns, Question
from appliance.model.answers import Kind, Rcode, Record

_LARGEST_ODD = 4096
"""Octets of a message that is read. A question with a transaction signature has a tenth of it."""
_MOST_RECORDS = 16
"""Records behind the question that are read, and questions. OPT, TSIG and SIG(0) are three."""
_LONGEST_NAME = 255
_LONGEST_LABEL = 63
_POINTER = 0xC0
"""The bits of an octet that begins a compression pointer."""
_BEHIND_OWNER = struct.Struct("!HHIH")
"""Type, class, TTL and the length of the rdata (RFC 1035 §4.1.3)."""
_OPCODES = {OPCODE.NOTIFY: Rcode.REFUSED, OPCODE.UPDATE: Rcode.REFUSED}
"""Understood, and not allowed to anybody (RFC 1996 §3.11, RFC 2136 §3.3). The rest: NOTIMP (RFC 8906 §3.1.5)."""


class _Broken(ValueError):
    """A message that ends too early, or has a name that is none."""


class _Uncompressed(DNSBuffer):  # type: ignore[misc]
    """Names in full: what is packed here is pasted behind questions of every length, where pointers would dangle."""

    encode_name = DNSBuffer.encode_name_nocompress


def packed(record: Record) -> bytes:
    """Everything of a record behind its owner name: type, class, TTL, length and rdata (RFC 1035 §4.1.3)."""
    buffer = _Uncompressed()
    rr = RR(b".", int(record.kind), CLASS.IN, record.ttl, _rdata(record))
    rr.pack(buffer)
    return bytes(buffer.data[1:])  # without the root as its owner


def _rdata(record: Record) -> RD:
    content = record.content
    match record.kind:
        case Kind.TXT:
            return TXT(str(content[0]).encode("ascii"))
        case Kind.NS:
            return NS(str(content[0]).encode("ascii"))
        case Kind.SOA:
            return SOA(str(content[0]).encode("ascii"), str(content[1]).encode("ascii"), content[2:])
        case Kind.A | Kind.AAAA:
            return RD(ipaddress.ip_address(content[0]).packed)
        case _:  # character-strings, which is what HINFO is made of (RFC 1035 §3.3.2)
            return RD(b"".join(bytes((len(str(text)),)) + str(text).encode("ascii") for text in content))


def decode(message: bytes) -> Question | None:
    """Any message as a question; None for what must stay without answer."""
    if not questions.is_question(message):
        return None
    form = _form(message)
    opcode = message[2] >> 3 & 15
    verdict = form.verdict
    if opcode != OPCODE.QUERY:
        verdict = _OPCODES.get(opcode, Rcode.NOTIMP)
    asked = message[HEADER : form.question_end]
    if not asked:
        return Question(message[2], b"", b"\0", 0, 0, form.edns, verdict)
    qtype, qclass = struct.unpack("!HH", asked[-4:])
    return Question(message[2], asked, asked[:-4].lower(), qtype, qclass, form.edns, verdict)


@dataclass(slots=True)
class _Form:
    """What the outline of a message shows."""

    question_end: int = HEADER
    edns: Edns | None = None
    verdict: Rcode | None = None


def _form(message: bytes) -> _Form:
    form = _Form()
    question_count, answers, authority, additional = struct.unpack("!HHHH", message[4:HEADER])
    if question_count == 1:
        form.question_end = questions.question_end(message) or HEADER
    records = answers + authority + additional
    if max(question_count, records) > _MOST_RECORDS or len(message) > _LARGEST_ODD:
        form.verdict = Rcode.FORMERR
        return form
    try:
        at = _questions_end(message, question_count)
        form.verdict = _read_records(form, message, at, answers + authority, additional)
    except _Broken:
        form.verdict = Rcode.FORMERR
    if question_count > 1 or (question_count == 1 and form.question_end == HEADER):  # RFC 9619
        form.verdict = Rcode.FORMERR
    if question_count == 0 and not form.verdict:
        # Without a question a cookie can be asked for (RFC 7873 §5.4), and which version of EDNS there is.
        is_asking = form.edns is not None and (form.edns.cookie or form.edns.version)
        form.verdict = Rcode.NOERROR if is_asking else Rcode.FORMERR
    return form


def _questions_end(message: bytes, count: int) -> int:
    """Where the records begin, however many questions there are. Raises _Broken."""
    at = HEADER
    for _ in range(count):
        at = _name_end(message, at) + 4
    return at


def _read_records(form: _Form, message: bytes, start: int, foreign: int, additional: int) -> Rcode | None:
    """Walk all records for the OPT among them; what their number and order say about the message. Raises _Broken.

    A broken message that has an OPT gets one too (RFC 6891 §6.1.1): without it, it would say that there is no EDNS.
    """
    at = start
    for _ in range(foreign):
        at = _read_record(message, at).end
    verdict = None
    for _ in range(additional):
        record = _read_record(message, at)
        if verdict is Rcode.NOTAUTH:  # TSIG must be the last record (RFC 8945 §5.1)
            return Rcode.FORMERR
        if record.rtype == QTYPE.OPT:
            edns = questions.edns_of(record.rclass, record.ttl, record.rdata)
            is_broken = form.edns is not None or bool(message[at]) or edns is None
            form.edns = form.edns or edns or questions.edns_of(record.rclass, record.ttl, b"")
            if is_broken:  # a second one, one that is not at the root, broken options: RFC 6891 §6.1.1
                return Rcode.FORMERR
        elif record.rtype == Kind.TSIG:  # no key is known here (RFC 8945 §5.2.1)
            verdict = Rcode.NOTAUTH
        at = record.end
    is_transfer = foreign == 1 and message[form.question_end - 4 : form.question_end - 2] == b"\0\xfb"
    if at != len(message) or (foreign and not is_transfer):  # an IXFR question carries a SOA (RFC 1995 §3)
        return Rcode.FORMERR
    return verdict


class _Outline(NamedTuple):
    """A record but for its owner, and where it ends in the message."""

    rtype: int
    rclass: int
    ttl: int
    rdata: bytes
    end: int


def _read_record(message: bytes, start: int) -> _Outline:
    fixed = _name_end(message, start)
    begin = fixed + _BEHIND_OWNER.size
    if begin > len(message):
        raise _Broken
    rtype, rclass, ttl, length = _BEHIND_OWNER.unpack_from(message, fixed)
    end = begin + length
    if end > len(message):
        raise _Broken
    return _Outline(rtype, rclass, ttl, message[begin:end], end)


def _name_end(message: bytes, start: int) -> int:
    """Where the name at `start` ends (RFC 1035 §4.1.4). A pointer ends it, and is not followed: nobody needs the name,
    and what it leads to may be a labyrinth.
    """
    at = start
    while at < len(message) and at - start < _LONGEST_NAME:
        size = message[at]
        if not size:
            return at + 1
        if size >= _POINTER:
            target = int.from_bytes(message[at : at + 2], "big") & ~(_POINTER << 8)
            if at + 2 > len(message) or not HEADER <= target < start:  # to an earlier name
                break
            return at + 2
        if size > _LONGEST_LABEL:
            break
        at += size + 1
    raise _Broken
