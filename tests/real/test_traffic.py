"""Totals are right, in both directions, whatever is killed, restarted, changed or deleted meanwhile."""

import dataclasses
import subprocess
from typing import Any

import pytest

from tests.peers import addresses, https
from tests.peers.appliance import GATEWAY, Appliance
from tests.peers.backends import Backend, MakeBackend
from tests.peers.launching import PeerError
from tests.peers.metered import metered

HTTP, RAW = "1-7-http", "1-7_Raw"
TOLERANCE = 0.01


@dataclasses.dataclass
class Sent:
    """What really went through, counted by the client."""

    up: int = 0
    down: int = 0
    requests: int = 0

    def classes(self) -> dict[str, int]:
        """Requests by status class."""
        return {"2xx": self.requests} if self.requests else {}

    def post(self, host: str, size: int, times: int = 1) -> None:
        """Requests with a body of `size` bytes; the backend's answer holds it too."""
        for _ in range(times):
            answer = https.fetch(host, method="POST", body=b"x" * size)
            assert answer.status == 200
            self.up, self.down, self.requests = self.up + size, self.down + len(answer.body), self.requests + 1

    def pass_through(self, host: str, size: int, times: int = 1) -> None:
        """The same, counted as TCP payload, a connection each."""
        for _ in range(times):
            with metered(host) as connection:
                connection.post(b"x" * size)
            self.up, self.down = self.up + connection.sent, self.down + connection.received


def told(appliance: Appliance, identity: str) -> dict[str, Any]:
    """One workload's entry of `gateway metrics`."""
    return dict(appliance.must("metrics")[identity])


def until_http(appliance: Appliance, sent: Sent, identity: str = HTTP) -> dict[str, Any]:
    """The totals once they are exactly what was sent: Traefik counts a request after its answer has gone out."""

    def exact() -> dict[str, Any]:
        entry = told(appliance, identity)
        if (entry["request_bytes"], entry["response_bytes"], entry["requests"]) != (sent.up, sent.down, sent.classes()):
            raise PeerError(f"{entry}, sent {sent}")
        return entry

    return appliance.program.until(exact, "the totals are right", seconds=10)


def until_raw(appliance: Appliance, sent: Sent, identity: str = RAW) -> dict[str, Any]:
    """The totals once they are within 1 % of what was sent: a connection's end takes its time to get through."""

    def within() -> dict[str, Any]:
        entry = told(appliance, identity)
        for key, truth in (("request_bytes", sent.up), ("response_bytes", sent.down)):
            if entry[key] is None or abs(entry[key] - truth) > TOLERANCE * truth:
                raise PeerError(f"{key}: {entry[key]}, sent {truth}")
        return entry

    return appliance.program.until(within, "the totals are within 1 %", seconds=10)


@pytest.fixture
def plain(appliance: Appliance, backend: MakeBackend) -> Backend:
    """A terminated workload's backend."""
    server = backend("plain")
    appliance.must("route", "name", HTTP, "plain", server.url)
    return server


@pytest.fixture
def raw(appliance: Appliance, backend: MakeBackend) -> Backend:
    """A passthrough workload's backend."""
    server = backend("raw", tls_names=("raw.gw.test",))
    appliance.must("route", "name", RAW, "raw", server.host_port, "--tls-passthrough")
    return server


@pytest.mark.usefixtures("plain")
def test_bodies_are_counted_to_the_byte(appliance: Appliance) -> None:
    sent = Sent()
    until_http(appliance, sent)
    sent.post("plain.gw.test", 100_000, times=3)
    sent.post("plain.gw.test", 7)
    entry = until_http(appliance, sent)
    assert (entry["host"], entry["reason"], entry["deleted"]) == ("plain.gw.test", "", None)
    assert https.fetch("plain.gw.test", method="BREW").status == 501
    by_class = {"2xx": 4, "5xx": 1}
    appliance.program.until(lambda: told(appliance, HTTP)["requests"] == by_class, "the failure is counted too")


@pytest.mark.usefixtures("raw")
def test_passthrough_is_counted_for_short_and_for_open_connections(appliance: Appliance) -> None:
    sent = Sent()
    sent.pass_through("raw.gw.test", 50, times=60)
    entry = until_raw(appliance, sent)
    assert entry["requests"] is None
    assert "passthrough" in entry["reason"]
    with metered("raw.gw.test") as connection:
        connection.post(b"x" * 1_000_000)
        while_open = Sent(sent.up + connection.sent, sent.down + connection.received)
        until_raw(appliance, while_open)
        connection.post(b"x" * 1_000_000)
    until_raw(appliance, Sent(sent.up + connection.sent, sent.down + connection.received))


@pytest.mark.usefixtures("plain", "raw")
def test_a_killed_traefik_takes_nothing_away(appliance: Appliance) -> None:
    http, passed = Sent(), Sent()
    for _ in range(2):
        http.post("plain.gw.test", 20_000, times=2)
        passed.pass_through("raw.gw.test", 20_000, times=2)
        until_http(appliance, http)
        old = appliance.kill_program("traefik")
        appliance.until_replaced("traefik", old)
        appliance.program.until(lambda: https.certificate_served("other.gw.test"), "it serves again")
        appliance.until_state(HTTP, "applied")
    until_http(appliance, http)
    until_raw(appliance, passed)


@pytest.mark.usefixtures("plain", "raw")
def test_a_killed_control_plane_takes_nothing_away(appliance: Appliance) -> None:
    http, passed = Sent(), Sent()
    http.post("plain.gw.test", 10_000, times=2)
    passed.pass_through("raw.gw.test", 10_000, times=2)
    with metered("raw.gw.test") as lasting:
        lasting.post(b"x" * 100_000)
        until_raw(appliance, Sent(passed.up + lasting.sent, passed.down + lasting.received))
        old = appliance.kill_program("gateway")
        http.post("plain.gw.test", 30_000, times=2)
        lasting.post(b"x" * 100_000)
        appliance.until_replaced("gateway", old)
        http.post("plain.gw.test", 40_000)
        lasting.post(b"x" * 100_000)
    passed.up, passed.down = passed.up + lasting.sent, passed.down + lasting.received
    appliance.until_state(HTTP, "applied")
    until_http(appliance, http)
    entry = until_raw(appliance, passed)
    assert "when the control plane was not running" in entry["note"]


@pytest.mark.usefixtures("plain", "raw")
def test_a_restart_of_everything_takes_nothing_away(appliance: Appliance) -> None:
    http, passed = Sent(), Sent()
    for end in (appliance.stop, appliance.kill):
        http.post("plain.gw.test", 30_000, times=2)
        passed.pass_through("raw.gw.test", 30_000, times=2)
        until_http(appliance, http)
        until_raw(appliance, passed)
        appliance.program.until(lambda: saved(appliance, http), "the totals are saved")
        end()
        appliance.start()
        appliance.until_state(RAW, "applied")
    http.post("plain.gw.test", 30_000)
    passed.pass_through("raw.gw.test", 30_000)
    until_http(appliance, http)
    until_raw(appliance, passed)


@pytest.mark.usefixtures("plain", "raw")
def test_updates_take_nothing_away(appliance: Appliance, backend: MakeBackend) -> None:
    http, passed = Sent(), Sent()
    http.post("plain.gw.test", 20_000, times=2)
    passed.pass_through("raw.gw.test", 20_000, times=2)
    appliance.must("route", "name", HTTP, "plain", backend("next", address=addresses.OTHER_BACKEND).url)
    other = backend("next raw", address=addresses.OTHER_BACKEND, tls_names=("raw.gw.test",))
    with metered("raw.gw.test") as lasting:
        lasting.post(b"x" * 50_000)
        appliance.must("route", "name", RAW, "raw", other.host_port, "--tls-passthrough")
        lasting.post(b"x" * 50_000)  # goes on with the backend it was opened to
    passed.up, passed.down = passed.up + lasting.sent, passed.down + lasting.received
    http.post("plain.gw.test", 20_000, times=2)
    passed.pass_through("raw.gw.test", 20_000, times=2)
    until_http(appliance, http)
    until_raw(appliance, passed)


@pytest.mark.usefixtures("plain", "raw")
def test_the_last_bytes_of_a_deleted_workload_are_counted_and_it_may_come_back(
    appliance: Appliance, plain: Backend
) -> None:
    http, passed = Sent(), Sent()
    for _ in range(3):
        http.post("plain.gw.test", 20_000, times=2)
        appliance.must("route", "delete", HTTP)
        entry = until_http(appliance, http)
        assert entry["deleted"] is not None
        appliance.must("route", "name", HTTP, "plain", plain.url)
    assert until_http(appliance, http)["deleted"] is None
    with metered("raw.gw.test") as lasting:
        lasting.post(b"x" * 50_000)
        appliance.must("route", "delete", RAW)
        lasting.post(b"x" * 50_000)
    passed.up, passed.down = lasting.sent, lasting.received
    entry = until_raw(appliance, passed)
    assert entry["deleted"] is not None
    table = appliance_table(appliance)
    assert [line.split()[0] for line in table.splitlines()] == [HTTP, RAW]
    assert "deleted" in table.splitlines()[1]


@pytest.mark.usefixtures("raw")
def test_passthrough_of_a_shared_backend_is_null_with_the_reason(appliance: Appliance, raw: Backend) -> None:
    sent = Sent()
    sent.pass_through("raw.gw.test", 20_000)
    until_raw(appliance, sent)
    appliance.must("route", "name", "1-7-twin", "twin", raw.host_port, "--tls-passthrough")
    for identity, other in ((RAW, "1-7-twin"), ("1-7-twin", RAW)):
        entry = told(appliance, identity)
        assert (entry["request_bytes"], entry["response_bytes"], entry["requests"]) == (None, None, None)
        assert other in entry["reason"]
    appliance.must("route", "delete", "1-7-twin")
    sent.pass_through("raw.gw.test", 20_000)
    assert "not complete" in until_raw(appliance, sent)["note"]


def test_a_workload_may_change_its_kind(appliance: Appliance, backend: MakeBackend) -> None:
    server = backend("both", tls_names=("both.gw.test",))
    http, passed = Sent(), Sent()
    for _ in range(2):
        appliance.must("route", "name", RAW, "both", f"https://{server.host_port}")
        http.post("both.gw.test", 300_000)
        appliance.must("route", "name", RAW, "both", server.host_port, "--tls-passthrough")
        passed.pass_through("both.gw.test", 300_000)
    until_raw(appliance, Sent(http.up + passed.up, http.down + passed.down))


def saved(appliance: Appliance, sent: Sent) -> bool:
    """Whether the file holds what was sent."""
    return f'"request_bytes":{sent.up},' in (appliance.root / "state" / "traffic.json").read_text(encoding="utf-8")


def appliance_table(appliance: Appliance) -> str:
    """`gateway metrics` as people read it."""
    done = subprocess.run([GATEWAY, "metrics"], env=appliance.environment, capture_output=True, text=True, check=True)
    return done.stdout
