"""Events over HTTP: as they happen, from where a reader left off, and never at anybody's cost."""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from appliance.adapters.admin import streams
from appliance.control.events import KEPT
from tests.fakes import until
from tests.plane import Plane, name
from tests.served import TcpServed


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcpServed]:
    plane = Plane()
    plane.start()
    with TcpServed(plane, tmp_path_factory.mktemp("tokens")).running() as served:
        yield served
    plane.stop()


class Stream:
    """A reader of `/v1/events`."""

    def __init__(self, served: TcpServed, last: int | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", served.api.port, timeout=10)
        headers = {"Authorization": f"Bearer {served.read}"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self._connection.request("GET", "/v1/events", headers=headers)
        self.answer = self._connection.getresponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self.answer.close()

    def block(self) -> dict[str, Any]:
        """The next block: its fields, `data` parsed; a comment as `comment`."""
        found: dict[str, Any] = {}
        while line := self.answer.readline().decode().rstrip("\n"):
            key, _, value = line.partition(": ")
            found[key or "comment"] = json.loads(value) if key == "data" else value
        return found

    def event(self) -> dict[str, Any]:
        """The next block that is an event."""
        while True:
            found = self.block()
            if "event" in found:
                return found


def test_what_happens_is_told_as_it_happens(served: TcpServed) -> None:
    """A workload's states in order, each with its number, kind and content."""
    plane = served.plane
    with Stream(served) as stream:
        assert stream.answer.getheader("Content-Type") == "text/event-stream; charset=utf-8"
        assert stream.block() == {"retry": "2000"}
        plane.put(name("blog"))
        first, second = stream.event(), stream.event()
        plane.gateway.delete_proxy("blog", timeout_seconds=5)
        third = stream.event()
    assert [item["event"] for item in (first, second, third)] == ["workload"] * 3
    assert [item["data"]["state"] for item in (first, second, third)] == ["pending", "applied", "deleted"]
    assert first["data"]["workload"] == "blog"
    assert int(first["id"]) == first["data"]["id"] == second["data"]["id"] - 1
    assert abs(first["data"]["at"] - time.time()) < 60


def test_a_reader_goes_on_where_it_left_off(served: TcpServed) -> None:
    """Last-Event-ID: what came since, without a gap and without a repetition."""
    events = served.plane.events
    seen = events.last()
    for number in range(250):
        events.publish("settings", {"state": str(number)})
    with Stream(served, seen) as stream:
        found = [stream.event()["data"]["state"] for _ in range(250)]
        events.publish("settings", {"state": "live"})
        assert stream.event()["data"]["state"] == "live"
    assert found == [str(number) for number in range(250)]


def test_a_gap_is_told(served: TcpServed) -> None:
    """`missed` first, then the last thousand."""
    events = served.plane.events
    seen = events.last()
    for number in range(KEPT + 5):
        events.publish("settings", {"state": str(number)})
    for last in (seen, 0):
        with Stream(served, last) as stream:
            assert stream.event() == {"event": "missed", "data": {}}
            assert stream.event()["data"]["state"] == "5"


@pytest.mark.parametrize("last", ["x", "-1", "1" * 30, "1.5"])
def test_a_number_that_is_none_is_told(served: TcpServed, last: str) -> None:
    """And not taken for a gap."""
    reply = served.ask("GET", "/v1/events", served.read, headers={"Last-Event-ID": last})
    assert (reply.status, reply.content["title"]) == (422, "InvalidInput")


def test_streams_are_bounded(served: TcpServed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of two is told to come back; when one ends there is a place."""
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(Stream(served)).block()
        assert served.ask("GET", "/v1/events", served.read).status == 503
    until(lambda: is_open(served))


def is_open(served: TcpServed) -> bool:
    with Stream(served) as stream:
        return stream.answer.status == 200


def test_a_reader_that_is_overtaken_is_dropped(tmp_path: Path) -> None:
    """One that takes nothing is left behind by the ring, and its stream ends; nothing is kept for it."""
    plane = Plane()
    plane.start()
    with TcpServed(plane, tmp_path).running() as served, Stream(served) as stream:
        stream.block()
        until(lambda: len(plane.events._wakers) == 1)
        filler = "x" * 20_000
        for _ in range(40):
            for _ in range(KEPT):
                plane.events.publish("settings", {"state": filler})
            time.sleep(0)
        assert len(plane.events.after(0)[0]) == KEPT
        while stream.answer.read(1 << 20):
            pass  # it ends
    until(lambda: not plane.events._wakers)
    plane.stop()


def test_a_stop_does_not_wait_for_readers(tmp_path: Path) -> None:
    """The control plane's restart ends every stream at once."""
    plane = Plane()
    plane.start()
    with TcpServed(plane, tmp_path).running() as served, Stream(served) as stream:
        stream.block()
        begun = time.monotonic()
        served.api.stop()
        assert time.monotonic() - begun < 3
        with pytest.raises(http.client.IncompleteRead):  # it has no end of its own
            stream.answer.read()
    plane.stop()
