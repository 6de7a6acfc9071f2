"""What must hold for every message of a stranger, whatever its octets.

Nothing raises; the short reading and the parser's agree; a question is answered and a response is not; a datagram has
at most 1232 octets, and a rate-limited one no more than its question; every reply is well-formed to another library,
and the same whatever was asked before.
"""

import dns.message

from appliance.adapters.dns import codec, questions
from appliance.adapters.dns.cookies import Cookies
from appliance.adapters.dns.table import Table
from appliance.adapters.dns.tallies import Tallies
from appliance.model.zones import Contents, Zone

_APEX = "_acme-challenge.gw.example.com"
_CLIENT = bytes((192, 0, 2, 1))
_CONTENTS = Contents.of([Zone(_APEX, "gw.example.com")], 42, {_APEX: ("x" * 43,), f"a.b.{_APEX}": ("y",)})
_COOKIES = Cookies()
_UPDATE = 5
_COOKIE = b"\0\x0a"


def _table(name: str) -> Table:
    return Table(_CONTENTS, Tallies(name), _COOKIES, is_stream=name == "tcp")


_UDP, _TCP = _table("udp"), _table("tcp")


def check(message: bytes) -> None:
    """Raises AssertionError, or whatever the code under test lets out, when a promise is broken."""
    short = questions.read(message)
    assert short is None or short == codec.decode(message), "the two readings differ"
    truncated = _UDP.truncated(message)
    assert not truncated or len(truncated) + 2 <= len(message), "a limited answer is longer than its question"
    for table, fresh in ((_UDP, _table("udp")), (_TCP, _table("tcp"))):
        reply = table.reply(message, _CLIENT) or table.odd_reply(message, _CLIENT)
        alone = fresh.reply(message, _CLIENT) or fresh.odd_reply(message, _CLIENT)
        if reply is not None and alone is not None and _COOKIE not in message:  # a cookie holds the time
            assert reply.tail == alone.tail, "what was asked before changes the reply"
        is_question = len(message) >= questions.HEADER and not message[2] & questions.QR
        assert (reply is not None) == is_question, "questions are answered, responses are not"
        if reply is not None:
            _check_reply(message[:2] + reply.tail, is_stream=table is _TCP)


def _check_reply(wire: bytes, *, is_stream: bool) -> None:
    assert is_stream or len(wire) <= questions.LARGEST_UDP, f"a datagram of {len(wire)} octets"
    if wire[2] >> 3 & 15 != _UPDATE:  # there, dnspython wants sections of another meaning
        dns.message.from_wire(wire, continue_on_error=False)
