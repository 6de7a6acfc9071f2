"""A real authority that tests ask over real sockets."""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.query

from appliance.adapters.dns import DnsServer
from appliance.model.rate_limits import RateLimit
from appliance.model.zones import Zone

APEX = "_acme-challenge.gw.example.com"
ZONES = (Zone(APEX, "gw.example.com"),)
TIMEOUT = 5.0


@contextmanager
def running(
    rate_limit: RateLimit | None = None, nsid: bytes | None = None, addresses: Sequence[str] = ("127.0.0.1",)
) -> Iterator[DnsServer]:
    """A server on free ports of loopback, until the block ends."""
    server = DnsServer([(address, 0) for address in addresses], rate_limit=rate_limit, nsid=nsid)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def udp(server: DnsServer, message: dns.message.Message, at: int = 0) -> dns.message.Message:
    """The answer over UDP, from the address of this number."""
    return dns.query.udp(message, server.bound[at][0], port=server.bound[at][1], timeout=TIMEOUT)


def tcp(server: DnsServer, message: dns.message.Message, at: int = 0) -> dns.message.Message:
    """The answer over TCP, from the address of this number."""
    return dns.query.tcp(message, server.bound[at][0], port=server.bound[at][1], timeout=TIMEOUT)


def values_of(response: dns.message.Message) -> tuple[str, ...] | None:
    """The TXT values of an answer; None: not with authority."""
    if not response.flags & dns.flags.AA:
        return None
    return tuple(b"".join(record.strings).decode() for rrset in response.answer for record in rrset)


def framed(*messages: bytes) -> bytes:
    """Messages as they travel over TCP (RFC 1035 §4.2.2)."""
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


def connected(server: DnsServer) -> socket.socket:
    """A TCP connection to it."""
    return socket.create_connection(server.bound[0], timeout=TIMEOUT)


def read_frames(sock: socket.socket, count: int) -> list[bytes]:
    """So many messages from a TCP connection."""
    stream = sock.makefile("rb")
    return [stream.read(struct.unpack("!H", stream.read(2))[0]) for _ in range(count)]
