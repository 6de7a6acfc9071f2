"""Asks this host's own authority, as a client would (dnspython): does it answer, over UDP and over TCP?

A thread that is alive is no answer. What is asked is the SOA of a zone of ours, or where there is none the root's,
which has to be refused.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

_SECONDS = 1.0
_TRIES = 3
"""Over UDP an answer may be left out: a flood from this very host uses up what its network is entitled to."""
_FRESH_SECONDS = 1.0
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked at, not listened on


class DnsProbe:
    """`bound`: the addresses and ports listened on; `zones`: the apexes of the zones served."""

    def __init__(self, bound: Callable[[], Sequence[tuple[str, int]]], zones: Callable[[], Sequence[str]]) -> None:
        self._bound = bound
        self._zones = zones
        self._lock = threading.Lock()
        self._asked: tuple[float, list[str]] | None = None

    def problems(self) -> list[str]:
        """What is wrong, a sentence for each address and transport that does not answer; not older than a second."""
        with self._lock:
            if self._asked is None or time.monotonic() - self._asked[0] > _FRESH_SECONDS:
                found = self._ask()
                self._asked = (time.monotonic(), found)
            return self._asked[1]

    def _ask(self) -> list[str]:
        apex = next(iter(self._zones()), None)
        bound = list(self._bound())
        if not bound:
            return ["the DNS authority does not listen"]
        found: list[str] = []
        for address, port in bound:
            if address == "::" and not _has_ipv6():
                continue
            where = (_EVERYWHERE.get(address, address), port)
            for transport, does_answer in (("UDP", _answers_over_udp), ("TCP", _answers_over_tcp)):
                if not does_answer(apex, where):
                    found.append(f"the DNS authority does not answer over {transport} at {address} port {port}")
        return found


def _has_ipv6() -> bool:
    """Whether anybody could ask over IPv6: in many containers one may listen on every address, and there is none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def _answers_over_udp(apex: str | None, where: tuple[str, int]) -> bool:
    for _ in range(_TRIES):
        with contextlib.suppress(OSError, dns.exception.DNSException):
            question = _question(apex)
            answer = dns.query.udp(question, where[0], port=where[1], timeout=_SECONDS / _TRIES)
            return bool(answer.flags & dns.flags.TC) or _is_right(apex, answer)
    return False


def _answers_over_tcp(apex: str | None, where: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError, dns.exception.DNSException):
        return _is_right(apex, dns.query.tcp(_question(apex), where[0], port=where[1], timeout=_SECONDS))
    return False


def _question(apex: str | None) -> dns.message.QueryMessage:
    question = dns.message.make_query(apex or ".", dns.rdatatype.SOA)
    question.flags &= ~dns.flags.RD
    return question


def _is_right(apex: str | None, answer: dns.message.Message) -> bool:
    if apex is None:
        return answer.rcode() == dns.rcode.REFUSED
    return answer.rcode() == dns.rcode.NOERROR and bool(answer.answer) and bool(answer.flags & dns.flags.AA)
