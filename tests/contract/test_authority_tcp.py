"""The authority over TCP (RFC 7766): pipelining, many, slow, idle and rude clients."""

import contextlib
import errno
import select
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

import pytest

from appliance.adapters.dns import DnsServer
from appliance.adapters.dns.cookies import Cookies
from appliance.adapters.dns.table import Table
from appliance.adapters.dns.tallies import Tallies
from appliance.adapters.dns.tcp import TcpServer
from appliance.model.zones import Contents
from tests.contract import servers
from tests.contract.servers import APEX, TIMEOUT, ZONES, connected, framed, read_frames
from tests.unit.dns_messages import header, question


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with servers.running() as running:
        yield running


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


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize(("opcode", "rcode"), [(0, 1), (5, 5), (6, 4)])
def test_a_frame_larger_than_any_question_is_answered_by_its_header_and_ends_the_connection(
    server: DnsServer, count: int, opcode: int, rcode: int
) -> None:
    """Behind the answers to what came before it: FORMERR for a query, REFUSED for an update, NOTIMP (RFC 8906)."""
    with connected(server) as sock:
        sock.sendall(framed(*(question(id=number) for number in range(count))) + b"\xff\xff")
        sock.sendall(header(opcode << 11, 1, 0, 9, 1) + bytes(100))
        *before, last = read_frames(sock, count + 1)
        assert [frame[:2] for frame in before] == [number.to_bytes(2, "big") for number in range(count)]
        assert last == struct.pack("!HHHHHH", 0x1234, 0x8000 | opcode << 11 | rcode, 0, 0, 0, 0)
        assert sock.recv(1) == b""


def test_a_response_larger_than_any_question_is_met_with_silence(server: DnsServer) -> None:
    with connected(server) as sock:
        sock.sendall(b"\xff\xff" + header(0x8000, 1, 0, 0, 0) + bytes(100))
        assert sock.recv(1) == b""


def test_answers_that_are_due_come_however_much_rubbish_follows_them(server: DnsServer) -> None:
    """Closing with octets unread would reset the connection, and take what is under way along."""
    server.set_zones(ZONES)
    server.publish(1, {APEX: tuple(f"{number:0255}" for number in range(200))})
    with connected(server) as sock:
        sock.sendall(framed(question(id=1), question(id=2)) + b"\xff\xff" + bytes(65535))
        assert [frame[:2] for frame in read_frames(sock, 3)] == [b"\0\1", b"\0\2", b"\0\0"]
        assert sock.recv(1) == b""


def test_who_makes_room_and_speaks_in_the_same_moment_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its event comes after it was closed, and is nobody's."""
    monkeypatch.setattr("appliance.adapters.dns.tcp.MOST_CONNECTIONS", 1)
    table = Table(Contents.of(ZONES, 1, {}), Tallies("tcp"), Cookies(), is_stream=True)
    wake, bell = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener, wake, bell:
        listener.setblocking(False)
        server = TcpServer([listener], wake, lambda: table, Tallies("tcp"), deque())
        for sock in (listener, wake):
            server._selector.register(sock, selectors.EVENT_READ)
        address = listener.getsockname()
        with socket.create_connection(address) as first:
            assert server._turn()
            with socket.create_connection(address, timeout=TIMEOUT) as second:
                first.sendall(b"x")
                assert server._turn()
                second.sendall(framed(question(id=9)))
                while server._turn() and not select.select([second], [], [], 0)[0]:
                    pass
                assert read_frames(second, 1)[0][:2] == b"\0\x09"
        for sock in (listener, *(connection.sock for connection in server._connections.values())):
            sock.close()
        server._selector.close()


def test_among_networks_with_as_many_the_one_that_was_silent_longest_makes_room(
    server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that came first: it may be asking all the time."""
    monkeypatch.setattr("appliance.adapters.dns.tcp.MOST_CONNECTIONS", 20)
    with contextlib.ExitStack() as stack:
        first, *others = (
            stack.enter_context(
                socket.create_connection(server.bound[0], timeout=TIMEOUT, source_address=(f"127.{number}.0.1", 0))
            )
            for number in range(1, 21)
        )
        for sock in (*others, first):
            sock.sendall(framed(question(id=1)))
            assert read_frames(sock, 1)
        newest = stack.enter_context(connected(server))
        for sock in (newest, first):
            sock.sendall(framed(question(id=2)))
            assert read_frames(sock, 1)
        assert others[0].recv(1) == b""


def test_who_sends_no_more_still_gets_every_answer(server: DnsServer) -> None:
    """RFC 1035 §4.2.2: a half-closed connection is closed when all is answered. Part of a question is dropped."""
    server.set_zones(ZONES)
    server.publish(1, {APEX: tuple(f"{number:0255}" for number in range(200))})
    with connected(server) as sock:
        sock.sendall(framed(*(question(id=number) for number in range(30))) + b"\0\x30part")
        sock.shutdown(socket.SHUT_WR)
        assert [frame[:2] for frame in read_frames(sock, 30)] == [number.to_bytes(2, "big") for number in range(30)]
        assert sock.recv(1) == b""


def test_a_client_that_asks_more_than_it_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its questions wait in its own kernel, as its answers do."""
    contents = Contents.of(ZONES, 1, {APEX: tuple(f"{number:0255}" for number in range(60))})
    table = Table(contents, Tallies("tcp"), Cookies(), is_stream=True)
    wake, bell = socket.socketpair()
    longest = 0
    with socket.create_server(("127.0.0.1", 0)) as listener, wake, bell:
        listener.setblocking(False)
        server = TcpServer([listener], wake, lambda: table, Tallies("tcp"), deque())
        watch = server._watch

        def watch_measured(connection: Any) -> None:
            nonlocal longest
            longest = max(longest, len(connection.received))
            watch(connection)

        monkeypatch.setattr(server, "_watch", watch_measured)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        with socket.create_connection(listener.getsockname(), timeout=TIMEOUT) as sock:
            asking = threading.Thread(target=sock.sendall, args=[framed(*([question()] * 3000))], daemon=True)
            asking.start()
            assert len(read_frames(sock, 3000)) == 3000
            asking.join()
        bell.sendall(b"x")
        thread.join()
    assert 0 < longest < 16384


def test_everybody_who_waits_is_let_in_at_once() -> None:
    """Not one for each turn, which a few busy clients could make long."""
    wake, bell = socket.socketpair()
    table = Table(Contents.of(ZONES, 1, {}), Tallies("tcp"), Cookies(), is_stream=True)
    with contextlib.ExitStack() as stack:
        for sock in (wake, bell, listener := socket.create_server(("127.0.0.1", 0))):
            stack.enter_context(sock)
        listener.setblocking(False)
        server = TcpServer([listener], wake, lambda: table, Tallies("tcp"), deque())
        clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(20)]
        server._accept(listener)
        assert 1 < len(server._connections) <= len(clients)
        bell.sendall(b"x")
        server.run()


def test_without_a_descriptor_and_without_clients_it_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(time, "sleep", rests.append)
    table = Table(Contents.of(ZONES, 1, {}), Tallies("tcp"), Cookies(), is_stream=True)
    wake, bell = socket.socketpair()
    with wake, bell:
        server = TcpServer([], wake, lambda: table, Tallies("tcp"), deque())
        server._accept(cast("socket.socket", FailingListener(errno.EMFILE)))
        bell.sendall(b"x")
        server.run()
    assert len(rests) == 1


def test_many_connections_at_once(server: DnsServer) -> None:
    server.set_zones(ZONES)
    socks = [connected(server) for _ in range(200)]
    for sock in socks:
        sock.sendall(framed(question()))
    for sock in socks:
        assert len(read_frames(sock, 1)) == 1
        sock.close()


# Idle clients (RFC 7766 §6.2.3)


def test_an_idle_client_is_closed(monkeypatch: pytest.MonkeyPatch, server: DnsServer) -> None:
    monkeypatch.setattr("appliance.adapters.dns.tcp.IDLE_SECONDS", 0.05)
    with connected(server) as silent, connected(server) as halting:
        with contextlib.suppress(ConnectionError):
            halting.sendall(framed(question())[:7])
        assert silent.recv(1) == b""
        with contextlib.suppress(ConnectionError):
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
            select.select([listener], [], [], TIMEOUT)
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
