"""The accounts follow the routes: read before a service goes, saved before a total is told, kept over restarts."""

from collections.abc import Callable, Iterator

import pytest

from appliance.control.traffic import Traffic
from appliance.model import workloads
from appliance.model.admission import Route
from tests.fakes import until
from tests.fakes_traffic import FakeConnections, FakeServiceCounters, RefusingTrafficStore

END = ("10.0.0.2", 443)


def route(identity: str, *backends: str, tls_passthrough: bool = False) -> Route:
    rest = {"backends": list(backends), "tls_passthrough": tls_passthrough}
    workload = workloads.parse(identity, {"type": "gateway-name-proxy", "name": identity, **rest})
    return Route(workload, f"{identity}.gw.example.com", "gw.example.com", workload.backends)


HTTP = {"http": route("http", "http://10.0.0.1:80")}
RAW = {"raw": route("raw", "10.0.0.2:443", tls_passthrough=True)}

StartTraffic = Callable[[], Traffic]


@pytest.fixture
def counters() -> FakeServiceCounters:
    return FakeServiceCounters()


@pytest.fixture
def connections() -> FakeConnections:
    return FakeConnections()


@pytest.fixture
def store() -> RefusingTrafficStore:
    return RefusingTrafficStore()


@pytest.fixture
def start(
    counters: FakeServiceCounters, connections: FakeConnections, store: RefusingTrafficStore
) -> Iterator[StartTraffic]:
    started: list[Traffic] = []
    failures: list[BaseException] = []

    def begin() -> Traffic:
        """A control plane's; the one before, if any, was killed: nobody stops it."""
        started.append(Traffic(counters, connections, store, lambda: 1000.0))
        started[-1].start(failures.append)
        return started[-1]

    yield begin
    for one in started:
        one.stop()
        one.stop()
    assert failures == []


def told(traffic: Traffic, identity: str) -> tuple[int | None, int | None]:
    traffic._read_at = 0.0  # as if it were a moment later
    entry = traffic.report()[identity]
    return entry["request_bytes"], entry["response_bytes"]


def test_what_was_told_is_saved_and_there_after_a_restart(
    start: StartTraffic, counters: FakeServiceCounters, connections: FakeConnections, store: RefusingTrafficStore
) -> None:
    first = start()
    first.follow(HTTP | RAW)
    counters.count("http", 10)
    connections.carry(1, END, 5, 7)
    assert (told(first, "http"), told(first, "raw")) == ((10, 0), (5, 7))
    assert store.saved[0].accounts["raw"].request_bytes == 5
    counters.count("http", 10)
    connections.carry(1, END, 50, 70)
    second = start()
    second.follow(HTTP | RAW)
    assert (told(second, "http"), told(second, "raw")) == ((20, 0), (50, 70))
    assert "control plane was not running" in second.report()["raw"]["note"]
    assert second.report()["http"]["note"] == ""


def test_a_restart_of_traefik_and_of_the_host(
    start: StartTraffic, counters: FakeServiceCounters, connections: FakeConnections
) -> None:
    first = start()
    first.follow(HTTP | RAW)
    counters.count("http", 10)
    connections.carry(1, END, 5)
    assert (told(first, "http"), told(first, "raw")) == ((10, 0), (5, 0))
    counters.restart()
    counters.count("http", 30)
    assert told(first, "http") == (40, 0)
    counters.restart()
    counters.count("http", 50)
    connections.kernel = "another"
    connections.carry(1, END, 8)
    second = start()
    second.follow(HTTP | RAW)
    assert (told(second, "http"), told(second, "raw")) == ((90, 0), (13, 0))


def test_the_last_bytes_of_a_deleted_workload_are_read_before_its_route_goes(
    start: StartTraffic, counters: FakeServiceCounters
) -> None:
    traffic = start()
    traffic.follow(HTTP)
    for total in (10, 20, 30):
        counters.count("http", 10)
        traffic.follow({})
        counters.remove("http")
        assert told(traffic, "http") == (total, 0)
        assert traffic.report()["http"]["deleted"] == 1000.0
        until(lambda: not traffic._ledger.accounts["http"].seen)
        traffic.follow(HTTP)
    assert traffic.report()["http"]["deleted"] is None


def test_a_change_that_removes_nothing_reads_nothing(start: StartTraffic, counters: FakeServiceCounters) -> None:
    traffic = start()
    before = counters.scrapes
    traffic.follow(HTTP)
    traffic.follow(HTTP)
    assert counters.scrapes == before


def test_only_what_a_change_touched_is_looked_at(start: StartTraffic) -> None:
    traffic = start()
    traffic.follow(HTTP, {"http", "other"}, {"http"})
    traffic.follow({}, {"http"}, {"other"})
    assert set(traffic.report()) == {"http"}
    traffic.follow({}, set(), {"http"})
    assert traffic.report()["http"]["deleted"] is not None


def test_a_workload_that_lost_its_route_is_not_deleted(start: StartTraffic) -> None:
    traffic = start()
    traffic.follow(HTTP)
    traffic.follow({}, {"http"})
    assert traffic.report()["http"]["deleted"] is None


def test_connections_of_the_time_of_termination_are_not_counted_twice(
    start: StartTraffic, counters: FakeServiceCounters, connections: FakeConnections
) -> None:
    traffic = start()
    traffic.follow({"raw": route("raw", "https://10.0.0.2:443")})
    counters.count("raw", 10)
    connections.carry(1, END, 1000)
    traffic.follow(RAW)
    connections.carry(2, END, 5)
    connections.end(1)
    assert told(traffic, "raw") == (15, 0)


def test_an_ipv4_address_in_ipv6_clothes_is_watched_as_it_is_dialled(
    start: StartTraffic, connections: FakeConnections
) -> None:
    traffic = start()
    traffic.follow({"raw": route("raw", "[::ffff:10.0.0.2]:443", tls_passthrough=True)})
    connections.carry(1, END, 5)
    assert told(traffic, "raw") == (5, 0)


def test_a_host_that_cannot_tell_connections(start: StartTraffic, connections: FakeConnections) -> None:
    connections.problem = "the kernel will not tell"
    traffic = start()
    traffic.follow(HTTP | RAW)
    assert told(traffic, "raw") == (None, None)
    assert traffic.report()["raw"]["reason"] == "the kernel will not tell"
    assert told(traffic, "http") == (0, 0)


def test_counters_that_never_answered_are_null_and_later_they_are_told(
    start: StartTraffic, counters: FakeServiceCounters
) -> None:
    counters.problem = "Traefik does not answer"
    traffic = start()
    traffic.follow(HTTP)
    assert told(traffic, "http") == (None, None)
    assert traffic.report()["http"]["reason"] == "Traefik does not answer"
    counters.problem = ""
    counters.count("http", 10)
    assert told(traffic, "http") == (10, 0)
    counters.problem = "Traefik does not answer"
    assert told(traffic, "http") == (10, 0)
    assert "Traefik does not answer" in traffic.report()["http"]["note"]


def test_a_burst_that_was_lost_is_noted(start: StartTraffic, connections: FakeConnections) -> None:
    traffic = start()
    traffic.follow(RAW)
    connections.is_whole = False
    traffic._read_at = 0.0
    assert "burst" in traffic.report()["raw"]["note"]


def test_a_disk_that_refuses_is_tried_again(
    start: StartTraffic, counters: FakeServiceCounters, store: RefusingTrafficStore
) -> None:
    store.problem = "the disk is full"
    traffic = start()
    traffic.follow(HTTP)
    counters.count("http", 10)
    assert told(traffic, "http") == (10, 0)
    store.problem = ""
    traffic.stop()
    assert store.saved[0].accounts["http"].request_bytes == 10
