"""The sources of traffic accounts on the real thing: HTTP that misbehaves, and this host's own kernel."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from appliance.adapters.connections import KernelConnections
from appliance.adapters.metrics import TraefikMetrics
from appliance.model.errors import Unavailable
from appliance.model.flows import Flow, FlowReading
from tests.fakes import until

LINE = b'traefik_service_requests_total{code="200",method="GET",protocol="http",service="a@file"} 3\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@contextmanager
def answering(answer: bytes) -> Iterator[TraefikMetrics]:
    """A server that gives one answer and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield TraefikMetrics(*listening.getsockname())
        thread.join(5)


def sized(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    blocks = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + blocks + end


@pytest.mark.parametrize(
    "answer", [sized(LINE), chunked(LINE), chunked(LINE[:40], LINE[40:]), chunked(*[b"#\n"] * 9, LINE)]
)
def test_a_whole_page_is_read(answer: bytes) -> None:
    with answering(answer) as metrics:
        assert metrics.scrape(5.0).services == {"a": {"requests:200:GET:http": 3}}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"Content-Length: 500\r\n\r\n" + LINE,
        chunked(LINE, end=b""),
        chunked(LINE, end=b"20\r\nhalf a chu"),
        sized(LINE + b"traefik_service_requ"),
        sized(LINE.replace(b"3", b"three")),
        sized(b"x" * 70_000),
    ],
)
def test_anything_less_is_no_page_at_all(answer: bytes) -> None:
    with answering(answer) as metrics, pytest.raises(Unavailable):
        metrics.scrape(5.0)


def test_a_server_that_says_nothing_costs_the_patience_and_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match="does not answer"):
        TraefikMetrics(*silent.getsockname()).scrape(0.05)


@pytest.fixture
def kernel() -> Iterator[KernelConnections]:
    failures: list[BaseException] = []
    connections = KernelConnections()
    connections.start(failures.append)
    yield connections
    connections.stop()
    connections.stop()
    assert failures == []


@contextmanager
def serving(address: str) -> Iterator[socket.socket]:
    """Answers every connection with 5000 bytes once the client has finished, and closes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listening:
        thread = threading.Thread(target=_serve, args=(listening,))
        thread.start()
        yield listening
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A server on either family."""
    with serving(request.param) as listening:
        yield listening


def _serve(listening: socket.socket) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            while connection.recv(65536):
                pass
            connection.sendall(b"y" * 5000)


def exchange(address: tuple[str, int], size: int) -> None:
    with socket.create_connection(address) as client:
        client.sendall(b"x" * size)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass


def ended(kernel: KernelConnections, count: int) -> list[Flow]:
    found: list[Flow] = []

    def enough() -> bool:
        found.extend(kernel.read().ended)
        return len(found) >= count

    until(enough)
    return found


def test_every_short_connection_is_told_to_the_byte(kernel: KernelConnections, server: socket.socket) -> None:
    address = server.getsockname()[:2]
    kernel.watch(frozenset({address}))
    for size in (0, 1, 1000, 300_000):
        exchange(address, size)
    flows = ended(kernel, 4)
    # Each core tells the ends that it saw in turn, so those of two cores may come in either order.
    assert sorted(flow.sent_bytes for flow in flows) == [0, 1, 1000, 300_000]
    assert all(0 <= flow.received_bytes - 5000 <= 1 for flow in flows)  # the kernel counts the end as a byte
    assert {flow.endpoint for flow in flows} == {address}
    assert len({flow.cookie for flow in flows}) == 4


def test_an_open_connection_is_told_and_keeps_its_number_to_the_end(
    kernel: KernelConnections, server: socket.socket
) -> None:
    address = server.getsockname()[:2]
    kernel.watch(frozenset({address}))
    with socket.create_connection(address) as client:
        client.sendall(b"x" * 1234)
        (listed,) = read_of(kernel, lambda reading: bool(reading.still_open)).still_open
        assert (listed.sent_bytes, listed.received_bytes) == (1234, 0)
    (last,) = ended(kernel, 1)
    assert (last.cookie, last.sent_bytes) == (listed.cookie, 1234)


def test_nothing_is_told_of_endpoints_that_are_not_watched(kernel: KernelConnections, server: socket.socket) -> None:
    address = server.getsockname()[:2]
    kernel.watch(frozenset({address}))
    with serving(address[0]) as other:
        watched = other.getsockname()[:2]
        kernel.watch(frozenset({watched, ("10.0.0.1", address[1])}))  # the same port elsewhere passes the filter
        exchange(address, 10)
        exchange(watched, 11)
        assert [flow.sent_bytes for flow in ended(kernel, 1)] == [11]


def test_more_ports_than_a_filter_takes_are_watched_all_the_same(
    kernel: KernelConnections, server: socket.socket
) -> None:
    address = server.getsockname()[:2]
    kernel.watch(frozenset({address} | {(str(ipaddress.ip_address("10.0.0.1")), port) for port in range(1, 400)}))
    exchange(address, 10)
    assert [flow.sent_bytes for flow in ended(kernel, 1)] == [10]


def test_numbers_are_of_this_kernel(kernel: KernelConnections) -> None:
    assert kernel.numbering() == KernelConnections().numbering()
    assert "net:[" in kernel.numbering()


def read_of(kernel: KernelConnections, condition: Callable[[FlowReading], bool]) -> FlowReading:
    found: list[FlowReading] = []

    def holds() -> bool:
        found.append(kernel.read())
        return condition(found[-1])

    until(holds)
    return found[-1]
