"""One question to one server, bounded in time, and what became of it as a value.

UDP sockets are connected: only then does the kernel tell that a port is closed, rather than nothing at all.
"""

import errno
import socket
import time

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from appliance.model.delegation import Outcome, Reply, Soa

TRY_SECONDS = 0.7
"""Servers that matter here answer in a tenth of this; a certificate authority would not wait much longer either."""
_PAYLOAD_BYTES = 1232
_NOT_FROM_HERE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_CLOSED = (ConnectionRefusedError, ConnectionResetError, ConnectionAbortedError, EOFError)


class Budget:
    """The time that a whole look may take; no question takes more than what is left of it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self, patience: float = TRY_SECONDS) -> float:
        """Seconds that one try of a question may take now."""
        return max(0.01, min(patience, self._end - time.monotonic()))


def question(name: str, kind: str, *, recurse: bool, validate: bool = True) -> dns.message.Message:
    """A question for the records of this kind. `validate` False sets CD: leave DNSSEC out (RFC 4035 §3.2.2)."""
    query = dns.message.make_query(name + ".", kind, use_edns=0, payload=_PAYLOAD_BYTES, flags=0)
    if recurse:
        query.flags |= dns.flags.RD
    if not validate:
        query.flags |= dns.flags.CD
    return query


def over_udp(
    query: dns.message.Message, address: str, port: int, budget: Budget, *, patience: float = TRY_SECONDS
) -> dns.message.Message:
    """The answer, at the second try if need be, each of `patience` seconds; a truncated one is asked for over TCP.

    Raises OSError (TimeoutError: nothing came), EOFError or DNSException (what came cannot be read).
    """
    try:
        answer = _datagram(query, address, port, budget.left(patience))
    except TimeoutError:
        answer = _datagram(query, address, port, budget.left(patience))
    return over_tcp(query, address, port, budget) if answer.flags & dns.flags.TC else answer


def over_tcp(query: dns.message.Message, address: str, port: int, budget: Budget) -> dns.message.Message:
    """The answer over TCP, in the time of both tries over UDP: TCP tries again by itself. Raises as `over_udp`."""
    try:
        return dns.query.tcp(query, address, budget.left(2 * TRY_SECONDS), port)
    except dns.exception.Timeout as error:
        raise TimeoutError(errno.ETIMEDOUT, "no answer in time") from error


def soa_of(answer: dns.message.Message) -> Soa | None:
    """The SOA in an answer: in the answer section, or in the authority section of a negative one (RFC 2308 §2)."""
    for rrset in (*answer.answer, *answer.authority):
        if rrset.rdtype == dns.rdatatype.SOA:
            return Soa(plain(rrset.name), plain(rrset[0].mname), int(rrset[0].serial))
    return None


def reply(zone: str, address: str, port: int, budget: Budget, *, is_tcp: bool) -> Reply:
    """What a server says when asked for the SOA at the zone's apex, without recursion."""
    query = question(zone, "SOA", recurse=False)
    try:
        answer = (over_tcp if is_tcp else over_udp)(query, address, port, budget)
    except TimeoutError:
        return Reply(Outcome.SILENT)
    except _CLOSED:
        return Reply(Outcome.CLOSED)
    except OSError as error:
        is_far = error.errno in _NOT_FROM_HERE
        return Reply(Outcome.UNREACHABLE if is_far else Outcome.SILENT, detail=error.strerror or "")
    except dns.exception.DNSException as error:
        return Reply(Outcome.LAME, detail=f"no DNS answer: {error}")
    soa = soa_of(answer)
    is_of_the_zone = soa is not None and soa.owner == zone
    if answer.rcode() != dns.rcode.NOERROR or not answer.flags & dns.flags.AA or not is_of_the_zone:
        return Reply(Outcome.LAME, detail=dns.rcode.to_text(answer.rcode()))
    return Reply(Outcome.AUTHORITATIVE, soa)


def plain(name: object) -> str:
    """A name as the model spells it: lower case, without the last dot."""
    return str(name).lower().removesuffix(".")


def _datagram(query: dns.message.Message, address: str, port: int, seconds: float) -> dns.message.Message:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address, port))
        try:
            return dns.query.udp(query, address, seconds, port, sock=sock, ignore_trailing=True)
        except dns.exception.Timeout as error:
            raise TimeoutError(errno.ETIMEDOUT, "no answer in time") from error
