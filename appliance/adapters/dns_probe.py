"""Asks this host's own authority, as a client would (dnspython): does it answer, over UDP and over TCP?

A thread that is alive is no answer. What is asked is the SOA of a zone of ours, or where there is none the root's,
which has to be refused.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from appliance.control.ports import Load

_SECONDS = 1.0
_TRIES = 10
"""Over UDP a question or its answer may be lost, under a flood most are; whichever answer comes is one."""
_TCP_SECONDS = 2.5
"""A segment that a flood has crowded out is sent again after a second (RFC 6298 §2)."""
_FRESH_SECONDS = 1.0
_NOTHING = Load(0, 0)
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked at, not listened on


class Look(NamedTuple):
    """What was found: sentences for the operator. A problem makes the appliance unhealthy, a notice does not."""

    problems: list[str]
    notices: list[str]


class DnsProbe:
    """`loads`: what came so far to each address and port listened on; `zones`: the apexes of the zones served.

    An authority that is flooded is not ill, even if the probe drowns: who restarts what is ill would help the flood.
    """

    def __init__(self, loads: Callable[[], Mapping[tuple[str, int], Load]], zones: Callable[[], Sequence[str]]) -> None:
        self._loads = loads
        self._zones = zones
        self._lock = threading.Lock()
        self._asked: tuple[float, Look] | None = None

    def look(self) -> Look:
        """What is wrong, a sentence for each address and transport that does not answer; not older than a second."""
        with self._lock:
            if self._asked is None or time.monotonic() - self._asked[0] > _FRESH_SECONDS:
                found = self._ask()
                self._asked = (time.monotonic(), found)
            return self._asked[1]

    def _ask(self) -> Look:
        apex = next(iter(self._zones()), None)
        found = Look([], [])
        bound = list(self._loads())
        if not bound:
            found.problems.append("the DNS authority does not listen")
        for address, port in bound:
            if address == "::" and not _has_ipv6():
                continue
            where = (_EVERYWHERE.get(address, address), port)
            before = self._loads().get((address, port), _NOTHING)
            if not _answers_over_udp(apex, where):
                self._explain(address, port, before, found)
            if not _answers_over_tcp(apex, where):
                found.problems.append(f"the DNS authority does not answer over TCP at {address} port {port}")
        return found

    def _explain(self, address: str, port: int, before: Load, found: Look) -> None:
        """Why there was no answer over UDP: it is flooded when it took questions and left others out meanwhile."""
        now = self._loads().get((address, port), _NOTHING)
        left_out = now.left_out - before.left_out
        if now.taken > before.taken and left_out > 0:
            found.notices.append(
                f"more questions come over UDP at {address} port {port} than the DNS authority answers: "
                f"{left_out} were left out within {_SECONDS:g} s"
            )
        else:
            found.problems.append(f"the DNS authority does not answer over UDP at {address} port {port}")


def _has_ipv6() -> bool:
    """Whether anybody could ask over IPv6: in many containers one may listen on every address, and there is none."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def _answers_over_udp(apex: str | None, where: tuple[str, int]) -> bool:
    question = _question(apex)
    with socket.socket(socket.AF_INET6 if ":" in where[0] else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for _ in range(_TRIES):
            with contextlib.suppress(OSError, dns.exception.DNSException):
                answer = dns.query.udp(question, where[0], port=where[1], timeout=_SECONDS / _TRIES, sock=sock)
                return bool(answer.flags & dns.flags.TC) or _is_right(apex, answer)
    return False


def _answers_over_tcp(apex: str | None, where: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError, dns.exception.DNSException):
        return _is_right(apex, dns.query.tcp(_question(apex), where[0], port=where[1], timeout=_TCP_SECONDS))
    return False


def _question(apex: str | None) -> dns.message.QueryMessage:
    question = dns.message.make_query(apex or ".", dns.rdatatype.SOA)
    question.flags &= ~dns.flags.RD
    return question


def _is_right(apex: str | None, answer: dns.message.Message) -> bool:
    if apex is None:
        return answer.rcode() == dns.rcode.REFUSED
    return answer.rcode() == dns.rcode.NOERROR and bool(answer.answer) and bool(answer.flags & dns.flags.AA)
