"""The codec: dnslib packs records when contents change, and reads the messages that are not plain queries.

Why dnslib only here: it is right and slow, and it was not written for hostile input. So what it reads is bounded in
size and in number of records first, and whatever it raises means FORMERR.
It knows records and messages, and nothing of zones, sockets or generations of contents.
"""

import struct
from dataclasses import dataclass

from dnslib import CLASS, NS, OPCODE, QTYPE, RD, RR, SOA, TXT
from dnslib.buffer import BufferError as BrokenMessage
from dnslib.label import DNSBuffer, DNSLabelError

from appliance.adapters.dns import questions
from appliance.adapters.dns.questions import HEADER, QR, Edns, Question
from appliance.model.answers import Kind, Rcode, Record

_LARGEST_ODD = 4096
"""Octets of a message that is read with dnslib. A question with a transaction signature has a tenth of it."""
_MOST_RECORDS = 16
"""Records behind the question that are read. OPT, TSIG and SIG(0) are three."""
_OPCODES = {OPCODE.NOTIFY: Rcode.REFUSED, OPCODE.UPDATE: Rcode.REFUSED}
"""Understood, and not allowed to anybody (RFC 1996 §3.11, RFC 2136 §3.3). The rest: NOTIMP (RFC 8906 §3.1.5)."""


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
        case _:  # character-strings, which is what HINFO is made of (RFC 1035 §3.3.2)
            return RD(b"".join(bytes((len(str(text)),)) + str(text).encode("ascii") for text in content))


def decode(message: bytes) -> Question | None:
    """Any message as a question; None for what must stay without answer: responses, and less than a header.

    (Answering responses would let two servers talk to each other for ever.)
    """
    if len(message) < HEADER or message[2] & QR:
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
    if question_count > 1 or (question_count == 1 and form.question_end == HEADER):  # RFC 9619
        form.verdict = Rcode.FORMERR
        return form
    records = answers + authority + additional
    if records > _MOST_RECORDS or len(message) > _LARGEST_ODD:
        form.verdict = Rcode.FORMERR
        return form
    try:
        form.verdict = _read_records(form, message, answers + authority, additional)
    except (BrokenMessage, DNSLabelError, RecursionError):
        form.verdict = Rcode.FORMERR
    if question_count == 0 and not form.verdict:
        # Without a question only a cookie can be asked for (RFC 7873 §5.4).
        form.verdict = Rcode.NOERROR if form.edns and form.edns.cookie else Rcode.FORMERR
    return form


def _read_records(form: _Form, message: bytes, foreign: int, additional: int) -> Rcode | None:
    """Walk all records for the OPT among them; what their number and order say about the message."""
    buffer = DNSBuffer(message)
    buffer.offset = form.question_end
    for _ in range(foreign):
        _read_record(buffer)
    verdict = None
    for _ in range(additional):
        owner, rtype, size, ttl, rdata = _read_record(buffer)
        if verdict is Rcode.NOTAUTH:  # TSIG must be the last record (RFC 8945 §5.1)
            return Rcode.FORMERR
        if rtype == QTYPE.OPT:
            edns = questions.edns_of(size, ttl, rdata)
            if form.edns or owner or edns is None:  # a second one, not at the root, broken options: RFC 6891 §6.1.1
                return Rcode.FORMERR
            form.edns = edns
        elif rtype == Kind.TSIG:  # no key is known here (RFC 8945 §5.2.1)
            verdict = Rcode.NOTAUTH
    is_transfer = foreign == 1 and message[form.question_end - 4 : form.question_end - 2] == b"\0\xfb"
    if buffer.remaining() or (foreign and not is_transfer):  # an IXFR question carries a SOA (RFC 1995 §3)
        return Rcode.FORMERR
    return verdict


def _read_record(buffer: DNSBuffer) -> tuple[bool, int, int, int, bytes]:
    """Whether the owner is other than the root, type, class, TTL and rdata of the record at the buffer's offset."""
    owner = buffer.decode_name()
    rtype, rclass, ttl, length = buffer.unpack("!HHIH")
    return bool(owner.label), rtype, rclass, ttl, buffer.get(length)
