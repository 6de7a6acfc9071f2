"""Questions: a message read the short way, without a parser, when it has the form nearly every query has.

Why: a full parse costs a hundred times as much as the lookup it is for. The plain form is one question, and at most one
OPT record behind it that fills the message to its end. Everything else is left to `codec`; a test holds the two equal.
It knows the wire format, and nothing of zones or answers.
"""

from typing import NamedTuple

from appliance.model.answers import Rcode

HEADER = 12
QR, OPCODE, AA, TC, RD = 0x80, 0x78, 0x04, 0x02, 0x01
"""Bits of the third octet (RFC 1035 §4.1.1)."""
LARGEST_UDP = 1232
"""Octets of a UDP answer at most: passes every path unfragmented (RFC 9715)."""
SMALLEST_UDP = 512
"""Octets of a UDP answer to a client without EDNS, or that claims less (RFC 6891 §6.2.3)."""

_ONE_QUESTION = b"\0\1\0\0\0\0\0\0"
_ONE_QUESTION_AND_OPT = b"\0\1\0\0\0\0\0\1"
PLAIN = frozenset((_ONE_QUESTION, _ONE_QUESTION_AND_OPT))
"""The four counts that a plain query has. All else is not read further here, and most rubbish is told by that."""
_OPT_START = b"\0\0\x29"  # root owner, type 41
_OPT_FIXED = 11
_LARGEST_OPTIONS = 256
"""Octets of EDNS options in a plain query. A cookie and padding (RFC 8467) have less; a hundred options cost as much to
read as a hundred questions, so whoever sends them shares with those that send other oddities."""
LARGEST_PLAIN = HEADER + 255 + 4 + _OPT_FIXED + _LARGEST_OPTIONS
"""Octets of a plain query: header, the longest name, type and class, OPT."""
_COOKIE, _NSID = 10, 3
_COOKIE_SIZES = frozenset((8, *range(16, 41)))
"""Octets a COOKIE option may have: the client's alone, or with the server's (RFC 7873 §4)."""


class Edns(NamedTuple):
    """What the OPT record of a question says (RFC 6891 §6.1.3). `cookie` is empty when there is none (RFC 7873)."""

    size: int
    version: int = 0
    do: bool = False
    cookie: bytes = b""
    asks_nsid: bool = False


class Question(NamedTuple):
    """A message that gets an answer. `asked` is its question section octet for octet (empty: none to repeat)."""

    flags: int
    """Third octet: opcode and RD are repeated in the answer."""
    asked: bytes
    name: bytes
    """Folded to lower case (RFC 4343)."""
    qtype: int
    qclass: int
    edns: Edns | None = None
    verdict: Rcode | None = None
    """Set when the answer is decided by the form of the message alone."""


def is_question(message: bytes) -> bool:
    """Whether a message gets an answer at all. Responses do not, for two servers would talk to each other for ever; nor
    does what is less than a header, for it has no id.
    """
    return len(message) >= HEADER and not message[2] & QR


def read(message: bytes) -> Question | None:
    """The question of a plain query; None for every other message, rubbish included."""
    if message[4:HEADER] == _ONE_QUESTION:
        has_opt = False
    elif message[4:HEADER] == _ONE_QUESTION_AND_OPT:
        has_opt = True
    else:
        return None
    end = question_end(message)
    if message[2] & (QR | OPCODE) or not end:
        return None
    edns = None
    if has_opt:
        edns = _edns(message, end)
        if edns is None:
            return None
    elif end != len(message):
        return None
    return Question(
        message[2],
        message[HEADER:end],
        message[HEADER : end - 4].lower(),
        message[end - 4] << 8 | message[end - 3],
        message[end - 2] << 8 | message[end - 1],
        edns,
    )


def question_end(message: bytes) -> int:
    """Where the question that starts behind the header ends; 0 when it is broken, or its name is compressed."""
    length = len(message)
    at = HEADER
    while at < length:
        size = message[at]
        if not size:
            end = at + 5
            return end if end <= length and at - HEADER < 255 else 0
        if size > 63:
            return 0
        at += size + 1
    return 0


def _edns(message: bytes, start: int) -> Edns | None:
    """The OPT record from `start` to the very end of the message, or None."""
    options = start + _OPT_FIXED
    if message[start : start + 3] != _OPT_START or not options <= len(message) <= options + _LARGEST_OPTIONS:
        return None
    if options + (message[start + 9] << 8 | message[start + 10]) != len(message):
        return None
    size = message[start + 3] << 8 | message[start + 4]
    return edns_of(size, message[start + 6] << 16 | message[start + 7] << 8, message[options:])


def edns_of(size: int, ttl: int, rdata: bytes) -> Edns | None:
    """The fields of an OPT record (RFC 6891 §6.1.3); None when its options are broken. Unknown ones are ignored."""
    cookie, asks_nsid, at = b"", False, 0
    while at < len(rdata):
        if at + 4 > len(rdata):
            return None
        code = rdata[at] << 8 | rdata[at + 1]
        end = at + 4 + (rdata[at + 2] << 8 | rdata[at + 3])
        if end > len(rdata):
            return None
        if code == _COOKIE and not cookie:  # of several cookies the first counts (RFC 7873 §5.2)
            cookie = rdata[at + 4 : end]
            if len(cookie) not in _COOKIE_SIZES:
                return None
        elif code == _NSID:
            asks_nsid = True
        at = end
    return Edns(size, ttl >> 16 & 0xFF, bool(ttl & 0x8000), cookie, asks_nsid)
