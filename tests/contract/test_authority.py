"""The Protocol `Authority`, on the fake that tests use and on the real server over real sockets.

And what only the real one promises: starting, stopping, ports, and both transports.
"""

import contextlib
import errno
import json
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from appliance.adapters.dns import DnsServer
from appliance.adapters.dns.cookies import Cookies
from appliance.adapters.dns.table import Table
from appliance.adapters.dns.tallies import Tallies
from appliance.adapters.dns.tcp import TcpServer
from appliance.control.ports import Authority, Counters
from appliance.model.errors import Unavailable
from appliance.model.histories import Fetch
from appliance.model.rate_limits import Budget, RateLimit
from appliance.model.zones import Contents, Zone
from tests.unit.dns_messages import header, question

APEX = "_acme-challenge.gw.example.com"
ZONES = (Zone(APEX, "gw.example.com"),)
TIMEOUT = 5.0

Ask = Callable[[str], tuple[str, ...] | None]
"""The TXT values at a name; None: not answered with authority."""


class FakeAuthority:
    """What tests of the use cases may put in the server's place."""

    def __init__(self) -> None:
        self.zones: tuple[Zone, ...] = ()
        self.values: dict[str, tuple[str, ...]] = {}
        self.seen: list[Fetch] = []

    def set_zones(self, zones: Iterable[Zone]) -> None:
        self.zones = tuple(zones)

    def publish(self, serial: int, values: Mapping[str, tuple[str, ...]]) -> None:
        self.values = dict(values)

    def fetches(self) -> Sequence[Fetch]:
        seen, self.seen = self.seen, []
        return seen

    def counters(self) -> Counters:
        nothing = {"udp": 0, "tcp": 0}
        return Counters({}, {"dropped": 0, "slipped": 0}, dict(nothing), nothing, dict(nothing), len(self.values))

    def ask(self, name: str) -> tuple[str, ...] | None:
        if not any(name == zone.apex or name.endswith("." + zone.apex) for zone in self.zones):
            return None
        if values := self.values.get(name, ()):
            self.seen.append(Fetch(name, 1.0, "127.0.0.1"))
        return values


@pytest.fixture
def server() -> Iterator[DnsServer]:
    running = DnsServer([("127.0.0.1", 0)])
    running.start()
    yield running
    running.stop()


def udp(server: DnsServer, message: dns.message.Message, at: int = 0) -> dns.message.Message:
    return dns.query.udp(message, server.bound[at][0], port=server.bound[at][1], timeout=TIMEOUT)


def tcp(server: DnsServer, message: dns.message.Message) -> dns.message.Message:
    return dns.query.tcp(message, server.bound[0][0], port=server.bound[0][1], timeout=TIMEOUT)


def values_of(response: dns.message.Message) -> tuple[str, ...] | None:
    if not response.flags & dns.flags.AA:
        return None
    return tuple(b"".join(record.strings).decode() for rrset in response.answer for record in rrset)


@pytest.fixture(params=["fake", "udp", "tcp"])
def authority(request: pytest.FixtureRequest, server: DnsServer) -> tuple[Authority, Ask]:
    if request.param == "fake":
        fake = FakeAuthority()
        return fake, fake.ask
    send = udp if request.param == "udp" else tcp
    return server, lambda name: values_of(send(server, dns.message.make_query(name, "TXT")))


def test_nothing_is_answered_without_zones(authority: tuple[Authority, Ask]) -> None:
    promise, ask = authority
    promise.publish(1, {APEX: ("v",)})
    assert ask(APEX) is None


def test_what_was_published_is_answered_when_publish_returns(authority: tuple[Authority, Ask]) -> None:
    promise, ask = authority
    promise.set_zones(ZONES)
    for number in range(1, 50):
        promise.publish(number, {APEX: (f"value {number}", "second")})
        assert ask(APEX) == (f"value {number}", "second")
    promise.publish(50, {})
    assert ask(APEX) == ()


def test_zones_come_and_go_and_values_stay(authority: tuple[Authority, Ask]) -> None:
    promise, ask = authority
    promise.set_zones(ZONES)
    promise.publish(1, {APEX: ("v",), "other.example": ("w",)})
    promise.set_zones([Zone("other.example", "example")])
    assert ask(APEX) is None
    assert ask("other.example") == ("w",)
    promise.set_zones(ZONES)
    assert ask(APEX) == ("v",)


def test_fetches_are_told_once(authority: tuple[Authority, Ask]) -> None:
    promise, ask = authority
    promise.set_zones(ZONES)
    promise.publish(1, {APEX: ("v",)})
    ask(APEX)
    ask(f"nothing.{APEX}")
    assert [(fetch.name, fetch.source) for fetch in promise.fetches()] == [(APEX, "127.0.0.1")]
    assert list(promise.fetches()) == []


# The real server only


def test_starting_and_stopping_may_be_repeated() -> None:
    server = DnsServer([("127.0.0.1", 0), ("::1", 0)])
    server.set_zones(ZONES)
    server.publish(1, {APEX: ("v",)})
    for _ in range(3):
        server.start()
        server.start()
        for at in (0, 1):
            assert values_of(udp(server, dns.message.make_query(APEX, "TXT"), at)) == ("v",)
        server.stop()
        server.stop()
        assert server.bound == []


def test_udp_and_tcp_have_the_same_port(server: DnsServer) -> None:
    server.set_zones(ZONES)
    assert (
        tcp(server, dns.message.make_query(APEX, "SOA")).answer
        == udp(server, dns.message.make_query(APEX, "SOA")).answer
    )


def test_a_taken_port_is_named(server: DnsServer) -> None:
    ((_, port),) = server.bound
    with pytest.raises(Unavailable, match=f"127.0.0.1 port {port}"):
        DnsServer([("127.0.0.1", port)]).start()


@pytest.mark.parametrize(("wildcard", "address"), [("0.0.0.0", "127.0.0.77"), ("::", "::1")])
def test_a_wildcard_socket_answers_from_the_address_that_was_asked(wildcard: str, address: str) -> None:
    server = DnsServer([(wildcard, 0)])
    server.start()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.sendto(question(), (address, server.bound[0][1]))
        assert sock.recvfrom(512)[1][0] == address
    server.stop()


def test_sixty_values_come_truncated_and_then_whole(server: DnsServer) -> None:
    server.set_zones(ZONES)
    server.publish(1, {APEX: tuple(f"{number:043}" for number in range(60))})
    query = dns.message.make_query(APEX, "TXT")
    assert udp(server, query).flags & dns.flags.TC
    whole, used_tcp = dns.query.udp_with_fallback(query, "127.0.0.1", port=server.bound[0][1], timeout=TIMEOUT)
    assert used_tcp
    assert len(values_of(whole) or ()) == 60


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


def connected(server: DnsServer) -> socket.socket:
    return socket.create_connection(server.bound[0], timeout=TIMEOUT)


def read_frames(sock: socket.socket, count: int) -> list[bytes]:
    stream = sock.makefile("rb")
    return [stream.read(struct.unpack("!H", stream.read(2))[0]) for _ in range(count)]


def test_questions_may_be_pipelined_and_cut_anywhere(server: DnsServer) -> None:
    """RFC 7766 §6.2.1.1 and §8: no frame need come in one segment."""
    server.set_zones(ZONES)
    stream = framed(*(question(id=number) for number in range(20)))
    with connected(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(stream), 7):
            sock.sendall(stream[at : at + 7])
        assert [frame[:2] for frame in read_frames(sock, 20)] == [number.to_bytes(2, "big") for number in range(20)]


def test_a_client_that_does_not_read_holds_up_nobody_and_gets_everything_later(server: DnsServer) -> None:
    server.set_zones(ZONES)
    server.publish(1, {APEX: tuple(f"{number:0255}" for number in range(200))})
    with connected(server) as slow, connected(server) as quick:
        slow.sendall(framed(*(question(id=number) for number in range(100))))  # 5 MB of answers
        quick.sendall(framed(question(id=7)))
        assert read_frames(quick, 1)[0][:2] == b"\0\7"
        assert [frame[:2] for frame in read_frames(slow, 100)] == [number.to_bytes(2, "big") for number in range(100)]


def test_the_next_question_is_answered_after_one_that_gets_silence(server: DnsServer) -> None:
    with connected(server) as sock:
        sock.sendall(framed(b"", b"x", header(0x8000, 0, 0, 0, 0), question(id=9)))
        assert read_frames(sock, 1)[0][:2] == b"\0\x09"


def test_a_frame_larger_than_any_question_ends_the_connection(server: DnsServer) -> None:
    with connected(server) as sock:
        sock.sendall(b"\xff\xff" + bytes(100))
        assert sock.recv(1) == b""


def test_many_connections_at_once(server: DnsServer) -> None:
    server.set_zones(ZONES)
    socks = [connected(server) for _ in range(200)]
    for sock in socks:
        sock.sendall(framed(question()))
    for sock in socks:
        assert len(read_frames(sock, 1)) == 1
        sock.close()


def test_the_counters_tell_type_rcode_transport_and_rrsets(server: DnsServer) -> None:
    server.set_zones(ZONES)
    server.publish(1, {APEX: ("v",)})
    for _ in range(3):
        udp(server, dns.message.make_query(APEX, "TXT"))
    udp(server, dns.message.make_query(f"x.{APEX}", "HTTPS"))
    tcp(server, dns.message.make_query("example.org", "TYPE65300"))
    counters = server.counters()
    assert counters.queries == {
        ("TXT", "NOERROR", "udp"): 3,
        ("HTTPS", "NXDOMAIN", "udp"): 1,
        ("other", "REFUSED", "tcp"): 1,
    }
    assert counters.rrsets == 3
    assert counters.rate_limited == {"dropped": 0, "slipped": 0}
    assert 0 < counters.slowest_seconds["udp"] <= counters.seconds["udp"]
    assert counters.timed == {"udp": 4, "tcp": 1}
    assert json.loads(json.dumps(counters.document()))["queries"] == [
        {"type": "HTTPS", "rcode": "NXDOMAIN", "transport": "udp", "count": 1},
        {"type": "TXT", "rcode": "NOERROR", "transport": "udp", "count": 3},
        {"type": "other", "rcode": "REFUSED", "transport": "tcp", "count": 1},
    ]


def test_the_server_tells_its_id_to_who_asks() -> None:
    """RFC 5001 §2.3."""
    server = DnsServer([("127.0.0.1", 0)], nsid=b"gateway-1")
    server.start()
    asked = dns.message.make_query(APEX, "SOA", use_edns=0, options=[dns.edns.NSIDOption(b"")])
    for send in (udp, tcp):
        assert b"gateway-1" in [option.to_wire() for option in send(server, asked).options]
    server.stop()


def test_a_prefix_over_its_share_is_sent_to_tcp_and_counted() -> None:
    server = DnsServer([("127.0.0.1", 0)], rate_limit=RateLimit(per_second=1, slip=1))
    server.set_zones(ZONES)
    server.publish(1, {APEX: ("v",)})
    server.start()
    flags = [udp(server, dns.message.make_query(APEX, "TXT")).flags & dns.flags.TC for _ in range(5)]
    assert any(flags)
    assert values_of(tcp(server, dns.message.make_query(APEX, "TXT"))) == ("v",)
    assert server.counters().rate_limited["slipped"] == sum(map(bool, flags))
    server.stop()


def with_cookie(cookie: bytes) -> dns.message.Message:
    option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)
    return dns.message.make_query(APEX, "TXT", use_edns=0, options=[option])


def test_who_shows_a_cookie_from_here_is_not_limited() -> None:
    """Its address is no forgery (RFC 7873 §5.2.5); a cookie that was made up proves nothing."""
    server = DnsServer([("127.0.0.1", 0)], rate_limit=RateLimit(per_second=1, slip=1))
    server.set_zones(ZONES)
    server.publish(1, {APEX: ("v",)})
    server.start()
    given = tcp(server, with_cookie(b"clientck")).options[0].to_wire()
    assert [values_of(udp(server, with_cookie(given))) for _ in range(20)] == [("v",)] * 20
    made_up = given[:-8] + bytes(8)
    assert any(udp(server, with_cookie(made_up)).flags & dns.flags.TC for _ in range(5))
    server.stop()


def test_cookies_have_a_share_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with a true address can flood, too."""
    monkeypatch.setattr("appliance.adapters.dns.udp.Budget", lambda _: Budget(0))
    server = DnsServer([("127.0.0.1", 0)], rate_limit=RateLimit(per_second=1, slip=1))
    server.set_zones(ZONES)
    server.start()
    given = tcp(server, with_cookie(b"clientck")).options[0].to_wire()
    assert any(udp(server, with_cookie(given)).flags & dns.flags.TC for _ in range(5))
    server.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_messages_for_the_slow_parser_have_a_share(monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    """Beyond it they get silence, and plain questions their answers."""
    monkeypatch.setattr(f"appliance.adapters.dns.{transport}.Budget", lambda _: Budget(0))
    server = DnsServer([("127.0.0.1", 0)])
    server.set_zones(ZONES)
    server.start()
    odd, plain = header(0x2000, 0, 0, 0, 0), question(id=9)
    if transport == "tcp":
        with connected(server) as sock:
            sock.sendall(framed(odd, plain))
            assert read_frames(sock, 1)[0][:2] == b"\0\x09"
    else:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.settimeout(TIMEOUT)
            for message in (odd, plain):
                sock.sendto(message, server.bound[0])
            assert sock.recv(512)[:2] == b"\0\x09"
    assert server.counters().rate_limited["dropped"] == 1
    server.stop()


# Idle clients (RFC 7766 §6.2.3)


def test_an_idle_client_is_closed(monkeypatch: pytest.MonkeyPatch, server: DnsServer) -> None:
    monkeypatch.setattr("appliance.adapters.dns.tcp.IDLE_SECONDS", 0.05)
    with connected(server) as silent, connected(server) as halting:
        halting.sendall(framed(question())[:7])
        assert silent.recv(1) == b""
        assert halting.recv(1) == b"", "half a question is no activity"


def test_at_the_bound_the_longest_idle_client_makes_room(monkeypatch: pytest.MonkeyPatch, server: DnsServer) -> None:
    monkeypatch.setattr("appliance.adapters.dns.tcp.MOST_CONNECTIONS", 3)
    socks = [connected(server) for _ in range(3)]
    for sock in (*socks, socks[0]):  # the second is the one that has been silent longest
        sock.sendall(framed(question()))
        assert len(read_frames(sock, 1)) == 1
    with connected(server) as another:
        another.sendall(framed(question(id=9)))
        assert read_frames(another, 1)[0][:2] == b"\0\x09"
        assert socks[1].recv(1) == b""
        for sock in (socks[0], socks[2]):
            sock.sendall(framed(question(id=7)))
            assert read_frames(sock, 1)[0][:2] == b"\0\7"
    for sock in socks:
        sock.close()


@pytest.mark.parametrize(
    ("number", "is_closed"),
    [
        (errno.EMFILE, True),
        (errno.ENFILE, True),
        (errno.ECONNABORTED, False),
        (errno.EAGAIN, False),
        (errno.EPERM, False),
        (errno.ENOBUFS, False),
    ],
)
def test_only_who_takes_descriptors_has_to_give_one_back(number: int, *, is_closed: bool) -> None:
    """A client that was gone before it was accepted costs no other client its connection, accept(2)."""
    failing = FailingListener(number)
    wake, bell = socket.socketpair()
    table = Table(Contents.of(ZONES, 1, {}), Tallies("tcp"), Cookies(), is_stream=True)
    with socket.create_server(("127.0.0.1", 0)) as listener, wake, bell:
        listener.setblocking(False)
        server = TcpServer([listener], wake, lambda: table, Tallies("tcp"), deque())
        with socket.create_connection(listener.getsockname(), timeout=TIMEOUT) as client:
            server._accept(listener)
            server._accept(cast("socket.socket", failing))
            client.settimeout(0 if not is_closed else TIMEOUT)
            with pytest.raises(BlockingIOError) if not is_closed else contextlib.nullcontext():
                assert client.recv(1) == b""
            bell.sendall(b"x")
            server.run()


class FailingListener:
    """A listening socket that accepts nothing."""

    def __init__(self, number: int) -> None:
        self._number = number

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        raise OSError(self._number, "no connection")


def test_a_transport_that_ends_by_surprise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    server = DnsServer([("127.0.0.1", 0)], failed=told.append)
    monkeypatch.setattr("appliance.adapters.dns.udp.UdpServer.run", lambda _: 1 / 0)
    server.start()
    server.stop()
    assert told == ["dns-udp"]
