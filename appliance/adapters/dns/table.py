"""The table: one generation of contents, and the ready-made replies to everything asked of it so far.

Why: a reply to the same question is the same octets but for the id, so it is made once. Four ways, quickest first:

    1. `ready`      the octets behind the id were seen before           one dict lookup
    2. `_denials`   all but the first label were, and it does not exist  one more, and the label pasted in
    3. `_sections`  the name and type were, in another case or EDNS     patch: question, flags, size, OPT
    4. `codec`      dnslib packs the records that `model.answers` gives  once per name and type in a generation

A new generation is a new table: the old one is dropped whole, so no reply can be out of date. Random names below an
apex all share the zone's NXDOMAIN, and those of one length its octets: they cost neither a dnslib run nor memory each.
The usual flood of an authority is made of them.
It knows messages and contents; not sockets, threads or rate limits.
"""

import struct
from typing import NamedTuple

from appliance.adapters.dns import codec, questions
from appliance.adapters.dns.cookies import Cookies
from appliance.adapters.dns.questions import AA, HEADER, LARGEST_UDP, OPCODE, QR, RD, SMALLEST_UDP, TC, Edns, Question
from appliance.adapters.dns.tallies import Cell, Tallies
from appliance.model.answers import ANY_CLASS, IN, NOTE_TEXTS, Answer, Kind, Rcode, answer, kind_of
from appliance.model.zones import Contents, Name

LARGEST_TCP = 65535
_MOST_KEPT = 4 << 20
"""Octets of ready-made replies and denials. Clients that vary their EDNS options can fill it; then it begins anew."""
_BESIDE = 400
"""Octets that each of them takes beside what it contains."""
_FLAGS_AND_COUNTS = HEADER - 2
_COUNTS = slice(4, HEADER)
"""Of a message: how many records its sections have."""
_HEAD = struct.Struct("!BBHHHH")
_OPT = struct.Struct("!BHHBBHH")
_POINTER = 0xC000  # RFC 1035 §4.1.4
_AT_QUESTION = b"\xc0\x0c"
_NSID, _EDE = 3, 15


class Reply(NamedTuple):
    """What to send: everything behind the id. `fetched`: the owner name, when it carries TXT values."""

    tail: bytes
    cell: Cell
    fetched: Name | None


class Denial(NamedTuple):
    """The reply to a question for a name that does not exist, right below one that does, but for its first label.

    It is the same for every such name of the same length there: even the pointers in it are.
    """

    before: bytes
    """Behind the id: flags and counts."""
    parent: Name
    end: int
    """Where the question ends in the message."""
    after: bytes
    cell: Cell


class _Sections(NamedTuple):
    """An answer without the question it is for. `soa` lacks its owner: a pointer into the question, to the apex."""

    rcode: Rcode
    authority: int = QR
    """QR, and AA where it is due."""
    records: int = 0
    answers: bytes = b""
    soa: bytes = b""
    apex_octets: int = 0
    note: bytes = b""
    fetched: Name | None = None
    is_name: bool = False
    """Whether the name itself exists: only then a reply is worth keeping."""


class Table:
    """Replies of one thread. `is_stream`: no limit but the frame's (TCP); else EDNS decides, up to 1232 octets."""

    def __init__(
        self, contents: Contents, tallies: Tallies, cookies: Cookies, *, is_stream: bool, nsid: bytes | None = None
    ) -> None:
        self.contents = contents
        self.ready: dict[bytes, Reply] = {}
        self._denials: dict[bytes, Denial] = {}
        self._kept = 0
        self._sections: dict[tuple[Name, bool, Kind, int], _Sections] = {}
        self._tallies = tallies
        self._cookies = cookies
        self._is_stream = is_stream
        self._nsid = nsid

    def reply(self, message: bytes, source: bytes) -> Reply | None:
        """The reply to a plain query that is not in `ready`; None: it is not plain. `source`: the packed address."""
        if message[_COUNTS] not in questions.PLAIN or len(message) > questions.LARGEST_PLAIN:
            return None
        denial = self.denial(message)
        if denial is not None:
            return Reply(denial.before + message[HEADER : denial.end] + denial.after, denial.cell, None)
        question = questions.read(message)
        if question is None:
            return None
        sections = self._find(question)
        reply = self._compose(question, sections, source)
        if not (question.edns and question.edns.cookie):
            if sections.is_name:
                self._keep(message, question, reply)
            elif sections.rcode is Rcode.NXDOMAIN:
                self._keep_denial(message, question, reply)
        return reply

    def odd_reply(self, message: bytes, source: bytes) -> Reply | None:
        """The reply to any message; None: stay silent. Slower than `reply`, however plain it is."""
        question = codec.decode(message)
        return None if question is None else self._compose(question, self._find(question), source)

    def is_proven(self, message: bytes, source: bytes) -> bool:
        """Whether a plain query shows a server cookie that was made here for `source`."""
        question = questions.read(message)
        edns = question.edns if question else None
        return edns is not None and self._cookies.is_ours(edns.cookie, source)

    def truncated(self, message: bytes) -> bytes:
        """Behind the id: an empty answer with TC=1, no longer than its question; b"" when that is not plain.

        For EDNS it has an OPT (RFC 6891 §6.1.1) without options: a server cookie would make it longer.
        """
        question = questions.read(message)
        if question is None:
            return b""
        edns = question.edns
        opt = _opt_record(edns, Rcode.NOERROR, b"") if edns else b""
        return _HEAD.pack(QR | TC | question.flags & RD, 0, 1, 0, 0, 1 if edns else 0) + question.asked + opt

    def denial(self, message: bytes) -> Denial | None:
        """What a name that does not exist gets, when one beside it was asked for in the same way before."""
        if len(message) <= HEADER:
            return None
        start = HEADER + 1 + message[HEADER]
        denial = self._denials.get(message[2 : HEADER + 1] + message[start:])
        if denial is None or message[HEADER:start].lower() + denial.parent in self.contents.weights:
            return None
        return denial

    def _keep_denial(self, message: bytes, question: Question, reply: Reply) -> None:
        start = HEADER + 1 + message[HEADER]
        parent = question.name[start - HEADER :]
        if parent not in self.contents.weights or not message.startswith(parent, start):
            return
        self._make_room(message, reply)
        end = _FLAGS_AND_COUNTS + len(question.asked)
        self._denials[message[2 : HEADER + 1] + message[start:]] = Denial(
            reply.tail[:_FLAGS_AND_COUNTS], parent, HEADER + len(question.asked), reply.tail[end:], reply.cell
        )

    def _keep(self, message: bytes, question: Question, reply: Reply) -> None:
        if not question.asked.startswith(question.name):
            return  # random case (0x20): never seen again
        self._make_room(message, reply)
        self.ready[message[2:]] = reply

    def _make_room(self, message: bytes, reply: Reply) -> None:
        octets = len(message) + len(reply.tail) + _BESIDE
        self._kept += octets
        if self._kept > _MOST_KEPT:
            self.ready.clear()
            self._denials.clear()
            self._kept = octets

    def _find(self, question: Question) -> _Sections:
        if not question.verdict and question.edns and question.edns.version:
            return _Sections(Rcode.BADVERS)
        if question.verdict is not None:
            return _Sections(question.verdict)
        closest = self.contents.closest(question.name)
        qclass = question.qclass if question.qclass in (IN, ANY_CLASS) else 0
        key = (closest, closest == question.name, kind_of(question.qtype), qclass)
        found = self._sections.get(key)
        if found is None:
            found = _pack(answer(self.contents, question.name, question.qtype, question.qclass), is_name=key[1])
            self._sections[key] = found
        return found

    def _compose(self, question: Question, sections: _Sections, source: bytes) -> Reply:
        """Paste the reply together: flags, counts, the question as it was asked, sections, OPT."""
        flags, asked, _, qtype, _, edns, _ = question
        rcode, authority, count, answers, soa, apex_octets, _, fetched, _ = sections
        opt = self._opt(edns, sections, source) if edns else b""
        flags = flags & (OPCODE | RD) | authority
        if soa:
            soa = (_POINTER + HEADER - 4 + len(asked) - apex_octets).to_bytes(2, "big") + soa
        if HEADER + len(asked) + len(answers) + len(soa) + len(opt) > self._limit(edns):
            flags, count, answers, soa, fetched = flags | TC, 0, b"", b"", None
        head = _HEAD.pack(flags, rcode & 15, 1 if asked else 0, count, 1 if soa else 0, 1 if opt else 0)
        return Reply(head + asked + answers + soa + opt, self._tallies.cell(qtype, rcode), fetched)

    def _limit(self, edns: Edns | None) -> int:
        if self._is_stream:
            return LARGEST_TCP
        return min(max(edns.size, SMALLEST_UDP), LARGEST_UDP) if edns else SMALLEST_UDP

    def _opt(self, edns: Edns, sections: _Sections, source: bytes) -> bytes:
        """Our OPT record (RFC 6891 §6.1.3): only for a question that had one."""
        options = sections.note
        if edns.cookie:
            options += self._cookies.option(edns.cookie, source)
        if edns.asks_nsid and self._nsid is not None:
            options += _option(_NSID, self._nsid)
        return _opt_record(edns, sections.rcode, options)


def _pack(given: Answer, *, is_name: bool) -> _Sections:
    """The sections in octets. Owners are pointers: of the answer to the question's start, of the SOA to the apex."""
    soa, apex_octets, note = b"", 0, b""
    for record in given.authority:
        soa, apex_octets = codec.packed(record), len(record.owner)
    if given.note is not None:
        note = _option(_EDE, given.note.to_bytes(2, "big") + NOTE_TEXTS[given.note].encode("ascii"))
    answers = b"".join(_AT_QUESTION + codec.packed(record) for record in given.records)
    is_txt = bool(given.records) and given.records[0].kind is Kind.TXT
    return _Sections(
        given.rcode,
        QR | AA if given.is_authoritative else QR,
        len(given.records),
        answers,
        soa,
        apex_octets,
        note,
        given.records[0].owner if is_txt else None,
        is_name,
    )


def _opt_record(edns: Edns, rcode: int, options: bytes) -> bytes:
    flags = 0x8000 if edns.do else 0
    return _OPT.pack(0, Kind.OPT, LARGEST_UDP, rcode >> 4, 0, flags, len(options)) + options


def _option(code: int, content: bytes) -> bytes:
    return code.to_bytes(2, "big") + len(content).to_bytes(2, "big") + content
