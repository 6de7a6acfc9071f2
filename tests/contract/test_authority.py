"""The Protocol `Authority`, on the fake that tests use and on the real server over real sockets.

And what only the real one promises: starting, stopping, ports, and both transports.
"""

import errno
import json
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from appliance.adapters.dns import DnsServer, sockets
from appliance.adapters.dns.table import Reply, Table
from appliance.adapters.dns.udp import Sighting
from appliance.control.ports import Authority, Load
from appliance.model import zone_documents
from appliance.model.errors import Unavailable
from appliance.model.zones import Zone, wire_name
from tests.contract import servers
from tests.contract.servers import APEX, TIMEOUT, ZONES, tcp, udp, values_of
from tests.fakes import FakeAuthority, until
from tests.unit.dns_messages import question

Ask = Callable[[str], tuple[str, ...] | None]
"""The TXT values at a name; None: not answered with authority."""


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with servers.running() as running:
        yield running


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
            for ask in (udp, tcp):
                assert values_of(ask(server, dns.message.make_query(APEX, "TXT"), at)) == ("v",)
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


def test_the_counters_tell_type_rcode_transport_and_rrsets(server: DnsServer) -> None:
    server.set_zones(ZONES)
    server.publish(1, {APEX: ("v",)})
    for _ in range(3):
        udp(server, dns.message.make_query(APEX, "TXT"))
    udp(server, dns.message.make_query(f"x.{APEX}", "HTTPS"))
    tcp(server, dns.message.make_query("example.org", "TYPE65300"))
    until(lambda: server.counters().timed == {"udp": 4, "tcp": 1})  # an answer is timed once it is on its way
    counters = server.counters()
    assert counters.queries == {
        ("TXT", "NOERROR", "udp"): 3,
        ("HTTPS", "NXDOMAIN", "udp"): 1,
        ("other", "REFUSED", "tcp"): 1,
    }
    assert counters.rrsets == 3
    assert counters.rate_limited == {"dropped": 0, "slipped": 0}
    assert 0 < counters.slowest_seconds["udp"] <= counters.seconds["udp"]
    assert json.loads(json.dumps(counters.document()))["queries"] == [
        {"type": "HTTPS", "rcode": "NXDOMAIN", "transport": "udp", "count": 1},
        {"type": "TXT", "rcode": "NOERROR", "transport": "udp", "count": 3},
        {"type": "other", "rcode": "REFUSED", "transport": "tcp", "count": 1},
    ]


def test_addresses_of_a_name_server_inside_its_zone_are_answered_shown_and_counted(server: DnsServer) -> None:
    inside = Zone(APEX, f"ns1.{APEX}", ("203.0.113.10", "203.0.113.11", "2001:db8::10"))
    elsewhere = Zone(f"x.{APEX}", f"ns1.{APEX}", inside.addresses)
    server.set_zones([inside, elsewhere])
    first, second = zone_documents.documents([inside, elsewhere], 1, {})
    assert first["rrsets"][2:] == [
        {"name": f"ns1.{APEX}", "type": "A", "ttl": 60, "values": ["203.0.113.10", "203.0.113.11"]},
        {"name": f"ns1.{APEX}", "type": "AAAA", "ttl": 60, "values": ["2001:db8::10"]},
    ]
    for shown in (*first["rrsets"], *second["rrsets"]):
        (rrset,) = udp(server, dns.message.make_query(shown["name"], shown["type"])).answer
        assert (rrset.ttl, len(rrset)) == (shown["ttl"], len(shown["values"]))
    assert server.counters().rrsets == len(first["rrsets"]) + len(second["rrsets"])


def test_what_several_addresses_took_is_told_together_and_by_address() -> None:
    with servers.running(addresses=("127.0.0.1", "::1")) as server:
        server.set_zones(ZONES)
        for at in (0, 1, 1):
            udp(server, dns.message.make_query(APEX, "SOA"), at)
            tcp(server, dns.message.make_query(APEX, "NS"), at)
        assert server.counters().queries == {("SOA", "NOERROR", "udp"): 3, ("NS", "NOERROR", "tcp"): 3}
        until(lambda: server.counters().timed == {"udp": 3, "tcp": 3})
        until(lambda: [server.loads()[where] for where in server.bound] == [Load(1, 0), Load(2, 0)])
    assert server.loads() == {}


class Endless(deque[Sighting]):
    """Fills as fast as it is emptied, as under a flood."""

    def popleft(self) -> Sighting:
        self.append(self[0])
        return super().popleft()


def test_the_history_waits_for_no_flood_of_fetches(server: DnsServer) -> None:
    server._sightings = Endless([(1.0, b"\x7f\0\0\1", wire_name(APEX))] * 3)
    assert [fetch.source for fetch in server.fetches()] == ["127.0.0.1"] * 3


def test_an_address_that_is_left_out_takes_nobodys_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """`::` on a host without IPv6: the sockets that are there, and TCP, each have their own table and counters."""
    pair = sockets._pair
    monkeypatch.setattr(sockets, "_pair", lambda *listen: _raise_no_ipv6() if listen[0] == "::" else pair(*listen))
    with servers.running(addresses=("::", "127.0.0.1")) as server:
        server.set_zones(ZONES)
        for ask in (udp, tcp):
            assert ask(server, dns.message.make_query(APEX, "SOA")).answer
        until(lambda: server.counters().timed == {"udp": 1, "tcp": 1})
        until(lambda: list(server.loads().values()) == [Load(1, 0)])


def _raise_no_ipv6() -> sockets.Pair:
    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")


def test_a_question_that_fails_is_reported_and_the_others_are_answered(
    monkeypatch: pytest.MonkeyPatch, server: DnsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug that one question meets must not end the authority for all."""
    server.set_zones(ZONES)
    right = Table.reply

    def reply(self: Table, message: bytes, source: bytes) -> Reply | None:
        if b"\3bug" in message:
            raise ZeroDivisionError
        return right(self, message, source)

    monkeypatch.setattr(Table, "reply", reply)
    with socket.socket(type=socket.SOCK_DGRAM) as sock, servers.connected(server) as stream:
        sock.settimeout(TIMEOUT)
        for message in (question(f"bug.{APEX}", id=1), question(id=2)):
            sock.sendto(message, server.bound[0])
        stream.sendall(servers.framed(question(f"bug.{APEX}", id=1), question(id=2)))
        assert sock.recv(512)[:2] == servers.read_frames(stream, 1)[0][:2] == b"\0\2"
    assert caplog.text.count("question not answered, please report it") == 2


def test_it_tells_how_many_questions_it_answers_a_second(server: DnsServer) -> None:
    server.set_zones(ZONES)
    assert server.per_second() == 0.0
    deadline = time.monotonic() + TIMEOUT
    while server.per_second() < 1:
        assert time.monotonic() < deadline
        udp(server, dns.message.make_query(APEX, "TXT"))
    assert server.per_second() < 1_000_000


def test_the_server_tells_its_id_to_who_asks() -> None:
    """RFC 5001 §2.3."""
    asked = dns.message.make_query(APEX, "SOA", use_edns=0, options=[dns.edns.NSIDOption(b"")])
    with servers.running(nsid=b"gateway-1") as server:
        for send in (udp, tcp):
            assert b"gateway-1" in [option.to_wire() for option in send(server, asked).options]


@pytest.mark.parametrize("run", [lambda _: 1 / 0, lambda _: None], ids=["by an error", "by itself"])
def test_a_transport_that_ends_by_surprise_is_told(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[object], object]
) -> None:
    told: list[str] = []
    server = DnsServer([("127.0.0.1", 0)], failed=told.append)
    monkeypatch.setattr("appliance.adapters.dns.udp.UdpServer.run", run)
    server.start()
    until(lambda: bool(told))
    server.stop()
    assert told == ["dns-udp-0"]
