"""Every line written on behalf of a call bears the call's id, also where others carry the work on."""

import contextvars
import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from appliance import logs
from appliance.adapters.zbus import calls, packing
from appliance.adapters.zbus.wire import Request
from tests.fakes import PATIENCE_SECONDS
from tests.plane import Plane, name
from tests.unit.test_zbus_calls import FakeGateway

log = logs.logger("test")


class Caught(logging.Handler):
    """The lines that were logged, as they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.JsonLines())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    caught, root = Caught(), logging.getLogger("test")
    root.addHandler(caught)
    root.setLevel(logging.DEBUG)
    yield caught.lines
    root.removeHandler(caught)


@pytest.mark.parametrize("proposed", ["a", "4bf92f3577b34da6a3ce929d0e0e4736", "A-b_c.d:1", "x" * 64])
def test_a_sane_id_of_the_caller_s_is_taken(proposed: str) -> None:
    assert logs.request_id(proposed) == proposed


@pytest.mark.parametrize("proposed", [None, "", " a", "-a", "a b", "a\nb", "x" * 65, '"', "ä", "a\x00"])
def test_any_other_is_replaced(proposed: str | None) -> None:
    """Nobody writes into the log, or into an answer's headers, by way of an id."""
    made = logs.request_id(proposed)
    assert made != proposed
    assert logs.request_id(made) == made
    assert logs.request_id(proposed) != made


def test_lines_inside_bear_the_id_and_others_do_not(lines: list[dict[str, Any]]) -> None:
    log.info("before")
    with logs.on_behalf_of("one"):
        log.info("inside", workload="w")
        with logs.on_behalf_of("two"):
            log.info("deeper")
        threading.Thread(target=contextvars.copy_context().run, args=(log.info, "carried on")).start()
        thread = threading.Thread(target=log.info, args=["somebody else"])
        thread.start()
        thread.join()
    log.info("after")
    found = {line["message"]: line.get("request") for line in lines}
    assert found | {"carried on": "one"} == {
        "before": None,
        "inside": "one",
        "deeper": "two",
        "carried on": "one",
        "somebody else": None,
        "after": None,
    }


def test_a_line_has_the_field_set(lines: list[dict[str, Any]]) -> None:
    with logs.on_behalf_of("one"):
        log.warning("words", workload="w", count=2)
    (line,) = lines
    assert list(line) == ["time", "level", "program", "logger", "message", "request", "workload", "count"]
    assert line["time"].endswith("Z")


def test_what_others_do_about_a_workload_bears_the_id_of_who_asked(lines: list[dict[str, Any]]) -> None:
    with logs.on_behalf_of("one"):
        logs.ask_for(["asked-for-by-one", "asked-for-by-both"])
    with logs.on_behalf_of("two"):
        logs.ask_for(["asked-for-by-both"])
    logs.ask_for(["nobody's"])
    log.info("a", workload="asked-for-by-one")
    log.info("b", workload="asked-for-by-both")
    log.info("c", workload="nobody's")
    assert [line.get("request") for line in lines] == ["one", "two", None]


def test_what_is_done_for_several_names_them_all_within_reason(lines: list[dict[str, Any]]) -> None:
    workloads = [f"several-{number}" for number in range(30)]
    for workload in workloads:
        with logs.on_behalf_of(f"id-{workload}"):
            logs.ask_for([workload])
    with logs.on_behalf_of(*logs.askers(workloads)):
        log.info("routes written")
        log.info("about one", workload="several-7")
    with logs.on_behalf_of(*logs.askers(workloads[:1])):
        log.info("routes written")
    with logs.on_behalf_of(*logs.askers(["unheard-of"])):
        log.info("routes written")
    assert lines[0]["requests"] == [f"id-{workload}" for workload in workloads[:10]]
    assert lines[1]["request"] == "id-several-7"
    assert lines[2]["request"] == "id-several-0"
    assert not {"request", "requests"} & lines[3].keys()


def test_a_call_from_the_bus_bears_the_id_of_its_request(lines: list[dict[str, Any]]) -> None:
    class Logging(FakeGateway):
        def delete_proxy(self, identity: str, *, timeout_seconds: float) -> tuple[bool, bool]:
            log.info("deleted", workload=identity)
            return super().delete_proxy(identity, timeout_seconds=timeout_seconds)

    for sent in ("4bf92f35-77b3", "not sane\n"):
        request = Request(sent, (packing.pack("1-2-bus"),), calls.OBJECTS[0], "reply", "DeleteNamedProxy")
        assert calls.answer(request, Logging(), 1.0).error is None
    assert lines[0]["request"] == "4bf92f35-77b3"
    assert re.fullmatch("[0-9a-f]{16}", lines[1]["request"])


def test_what_the_applier_does_for_a_call_bears_its_id() -> None:
    """It works on a thread of its own, for many calls at once: writing, confirming, and telling a refusal."""
    caught = Caught()
    control = logging.getLogger("appliance.control")
    before = control.level
    control.addHandler(caught)
    control.setLevel(logging.DEBUG)  # by this way alone loggers below it learn of it that have logged before
    plane = Plane()
    plane.start()
    try:
        for request, workload in (("good-call", name("good")), ("bad-call", name("bad", backend="http://127.0.0.1"))):
            plane.store.put(workload)
            with logs.on_behalf_of(request):
                cycle = plane.applier.request({workload.id})
            assert plane.applier.wait(workload.id, cycle, time.monotonic() + PATIENCE_SECONDS)
    finally:
        plane.stop()
        control.removeHandler(caught)
        control.setLevel(before)
    asked = {(line["message"], line.get("workload"), line.get("request")) for line in caught.lines}
    assert ("routes written", None, "good-call") in asked
    assert ("workload applied", "good", "good-call") in asked
    assert ("workload quarantined", "bad", "bad-call") in asked


def test_debugging_is_of_ours_and_not_of_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library's debug lines may hold anything, or be about the log's own file."""
    root, ours = logging.getLogger(), logging.getLogger("appliance")
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    before = root.level, ours.level
    try:
        logs.configure("debug")
        assert logging.getLogger("appliance.control").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("watchdog.observers").isEnabledFor(logging.DEBUG)
        assert logging.getLogger("watchdog.observers").isEnabledFor(logging.INFO)
        logs.configure("error")
        assert not logging.getLogger("watchdog.observers").isEnabledFor(logging.WARNING)
        assert not logging.getLogger("appliance.control").isEnabledFor(logging.WARNING)
    finally:
        root.setLevel(before[0])
        ours.setLevel(before[1])
