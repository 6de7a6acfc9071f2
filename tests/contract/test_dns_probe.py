"""The look at one's own authority: on the real one it finds nothing, on one that is half there what is missing."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from appliance.adapters import dns_probe
from appliance.adapters.dns import DnsServer
from appliance.adapters.dns.udp import UdpServer
from appliance.adapters.dns_probe import DnsProbe, Look
from appliance.control.ports import Load
from appliance.model.rate_limits import RateLimit
from appliance.model.zones import zones_of
from tests.peers.launching import await_result
from tests.unit.dns_messages import question

DOMAIN = "gw.example.com"
APEX = f"_acme-challenge.{DOMAIN}"


def probe(served: DnsServer, *zones: str) -> DnsProbe:
    return DnsProbe(served.loads, lambda: zones)


def probe_of(where: tuple[str, int]) -> DnsProbe:
    return DnsProbe(lambda: {where: Load(0, 0)}, lambda: [APEX])


@contextlib.contextmanager
def authority(*, has_zone: bool = True, limit: RateLimit | None = None) -> Iterator[DnsServer]:
    """A real authority on a free port of loopback."""
    served = DnsServer([("127.0.0.1", 0)], rate_limit=limit, nsid=None, failed=lambda _: None)
    served.set_zones(zones_of((DOMAIN,) if has_zone else (), ("_acme-challenge",), (), None))
    served.start()
    try:
        yield served
    finally:
        served.stop()


@pytest.mark.parametrize("has_zone", [True, False])
def test_an_authority_that_answers_has_no_problem(has_zone: bool) -> None:
    with authority(has_zone=has_zone) as served:
        assert probe(served, *([APEX] if has_zone else [])).look() == Look([], [])


def test_a_zone_that_is_not_served_is_a_problem_of_both_transports() -> None:
    with authority() as served:
        found = probe(served, "_acme-challenge.other.example.com").look()
    assert (len(found.problems), found.notices) == (2, [])


def test_the_rate_limit_of_ones_own_network_is_no_problem() -> None:
    with authority(limit=RateLimit(per_second=1, slip=1)) as served:
        for _ in range(5):
            assert probe(served, APEX).look() == Look([], [])


def test_a_stopped_authority_is_a_problem() -> None:
    with authority() as served:
        served.stop()
        assert probe(served, APEX).look() == Look(["the DNS authority does not listen"], [])


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_transport_that_is_silent_is_named(kind: socket.SocketKind) -> None:
    """The other one is answered by a relay to the real authority."""
    with authority() as served, _half(kind, served.bound[0]) as where:
        (problem,) = probe_of(where).look().problems
    assert ("TCP" if kind == socket.SOCK_STREAM else "UDP") in problem
    assert str(where[1]) in problem


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set when the test ends, for whatever waits until then."""
    event = threading.Event()
    yield event
    event.set()


def test_a_flood_is_a_notice_and_no_problem(monkeypatch: pytest.MonkeyPatch, over: threading.Event) -> None:
    """Nobody shall restart what is flooded. The real server, which has become slow, and more than it can take."""
    quick = UdpServer._answer
    monkeypatch.setattr(UdpServer, "_answer", lambda *of: (over.wait(0.05), quick(*of))[1])
    with authority() as served, contextlib.ExitStack() as stack:
        flood = threading.Thread(target=_flood, args=(served.bound[0], over))
        flood.start()
        stack.callback(flood.join)
        stack.callback(over.set)
        await_result(lambda: served.counters().overflowed > 0, "the flood is too much", seconds=20)
        found = probe(served, APEX).look()
        assert found.problems == []
        (notice,) = found.notices
        assert f"port {served.bound[0][1]}" in notice


def test_an_authority_that_takes_nothing_is_a_problem_whatever_comes(
    monkeypatch: pytest.MonkeyPatch, over: threading.Event
) -> None:
    """A thread that hangs is not excused by the questions that pile up before it."""
    run = UdpServer.run
    monkeypatch.setattr(UdpServer, "run", lambda self: over.wait() and run(self))
    with authority() as served, socket.socket(type=socket.SOCK_DGRAM) as flood, contextlib.ExitStack() as stack:
        stack.callback(over.set)  # or the server would never stop
        while not served.counters().overflowed:
            flood.sendto(question(), served.bound[0])
        found = probe(served, APEX).look()
        assert served.counters().overflowed >= 10, "each try of the probe was lost, and counted"
        assert (len(found.problems), found.notices) == (1, [])


def test_the_share_of_ones_own_network_used_up_by_others_is_a_notice() -> None:
    """A forged neighbour's questions leave none to the probe, and TC=1 goes to others."""
    with authority(limit=RateLimit(per_second=1, slip=0)) as served:
        looking = probe(served, APEX)
        while not served.loads()[served.bound[0]].left_out:
            with socket.socket(type=socket.SOCK_DGRAM) as neighbour:
                neighbour.sendto(question(), served.bound[0])
        found = looking.look()
        assert found.problems == []


def _flood(where: tuple[str, int], over: threading.Event) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        while not over.is_set():
            for _ in range(500):
                sock.sendto(question(), where)


def test_a_late_answer_is_an_answer() -> None:
    """The question is sent again and again over one socket: whichever answer comes first will do."""
    with authority() as served, socket.socket(type=socket.SOCK_DGRAM) as slow:
        slow.bind(("127.0.0.1", 0))
        relay = threading.Thread(target=_relay_third, args=(slow, served.bound[0]), daemon=True)
        relay.start()
        found = probe_of(slow.getsockname()).look()
        relay.join(timeout=5)
    assert [problem for problem in found.problems if "UDP" in problem] == []


def test_an_answer_is_used_for_a_second() -> None:
    with authority() as served:
        looking = probe(served, APEX)
        assert looking.look() == Look([], [])
        asked = sum(served.counters().queries.values())
        looking.look()
        assert sum(served.counters().queries.values()) == asked


@pytest.mark.parametrize(("has_ipv6", "problems"), [(True, 2), (False, 0)])
def test_every_address_is_asked_where_there_are_any(
    has_ipv6: bool, problems: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container without IPv6 one may listen on `::`, and nobody can come."""
    monkeypatch.setattr(dns_probe, "_has_ipv6", lambda: has_ipv6)
    monkeypatch.setattr(dns_probe, "_SECONDS", 0.05)
    monkeypatch.setattr(dns_probe, "_TCP_SECONDS", 0.05)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
    assert len(probe_of(("::", nobody)).look().problems) == problems


@contextlib.contextmanager
def _half(silent: socket.SocketKind, real: tuple[str, int]) -> Iterator[tuple[str, int]]:
    """An address where one transport takes questions and says nothing, and the other asks the real authority."""
    with socket.socket(type=socket.SOCK_STREAM) as stream:
        stream.bind(("127.0.0.1", 0))
        stream.listen()
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(stream.getsockname())
            run = _relay_stream if silent == socket.SOCK_DGRAM else _relay_datagram
            relay = threading.Thread(target=run, args=(stream, datagrams, real), daemon=True)
            relay.start()
            yield stream.getsockname()
            relay.join(timeout=5)


def _relay_stream(stream: socket.socket, _: socket.socket, real: tuple[str, int]) -> None:
    client, _ = stream.accept()
    with client, socket.create_connection(real, timeout=5) as upstream:
        upstream.sendall(client.recv(4096))
        client.sendall(upstream.recv(4096))


def _relay_third(datagrams: socket.socket, real: tuple[str, int]) -> None:
    """The third question answers the first."""
    first = datagrams.recvfrom(4096)[0]
    client = [datagrams.recvfrom(4096) for _ in range(2)][-1][1]
    with socket.socket(type=socket.SOCK_DGRAM) as upstream:
        upstream.settimeout(5)
        upstream.sendto(first, real)
        datagrams.sendto(upstream.recv(4096), client)


def _relay_datagram(_: socket.socket, datagrams: socket.socket, real: tuple[str, int]) -> None:
    question, client = datagrams.recvfrom(4096)
    with socket.socket(type=socket.SOCK_DGRAM) as upstream:
        upstream.settimeout(5)
        upstream.sendto(question, real)
        datagrams.sendto(upstream.recv(4096), client)
