"""The look at one's own authority: on the real one it finds nothing, on one that is half there what is missing."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from appliance.adapters import dns_probe
from appliance.adapters.dns import DnsServer
from appliance.adapters.dns_probe import DnsProbe
from appliance.model.rate_limits import RateLimit
from appliance.model.zones import zones_of

DOMAIN = "gw.example.com"
APEX = f"_acme-challenge.{DOMAIN}"


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
        assert DnsProbe(lambda: served.bound, lambda: [APEX] if has_zone else []).problems() == []


def test_a_zone_that_is_not_served_is_a_problem_of_both_transports() -> None:
    with authority() as served:
        found = DnsProbe(lambda: served.bound, lambda: ["_acme-challenge.other.example.com"]).problems()
    assert len(found) == 2


def test_the_rate_limit_of_ones_own_network_is_no_problem() -> None:
    with authority(limit=RateLimit(per_second=1, slip=1)) as served:
        for _ in range(5):
            assert DnsProbe(lambda: served.bound, lambda: [APEX]).problems() == []


def test_a_stopped_authority_is_a_problem() -> None:
    with authority() as served:
        served.stop()
        assert DnsProbe(lambda: served.bound, lambda: [APEX]).problems() == ["the DNS authority does not listen"]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_transport_that_is_silent_is_named(kind: socket.SocketKind) -> None:
    """The other one is answered by a relay to the real authority."""
    with authority() as served, _half(kind, served.bound[0]) as where:
        (problem,) = DnsProbe(lambda: [where], lambda: [APEX]).problems()
    assert ("TCP" if kind == socket.SOCK_STREAM else "UDP") in problem
    assert str(where[1]) in problem


def test_an_answer_is_used_for_a_second() -> None:
    with authority() as served:
        probe = DnsProbe(lambda: served.bound, lambda: [APEX])
        assert probe.problems() == []
        asked = sum(served.counters().queries.values())
        probe.problems()
        assert sum(served.counters().queries.values()) == asked


@pytest.mark.parametrize(("has_ipv6", "problems"), [(True, 2), (False, 0)])
def test_every_address_is_asked_where_there_are_any(
    has_ipv6: bool, problems: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container without IPv6 one may listen on `::`, and nobody can come."""
    monkeypatch.setattr(dns_probe, "_has_ipv6", lambda: has_ipv6)
    monkeypatch.setattr(dns_probe, "_SECONDS", 0.05)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
    assert len(DnsProbe(lambda: [("::", nobody)], lambda: [APEX]).problems()) == problems


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


def _relay_datagram(_: socket.socket, datagrams: socket.socket, real: tuple[str, int]) -> None:
    question, client = datagrams.recvfrom(4096)
    with socket.socket(type=socket.SOCK_DGRAM) as upstream:
        upstream.settimeout(5)
        upstream.sendto(question, real)
        datagrams.sendto(upstream.recv(4096), client)
