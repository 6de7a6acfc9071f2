"""Traefik in FATAL ends the appliance; any other program is started again, with longer and longer pauses."""

import io
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.control.ports import Program
from appliance.launch import guard
from appliance.launch.guard import Guard, fatal_program, pause_seconds
from appliance.layout import Root
from appliance.model.errors import Unavailable


class FakeSupervisor:
    """supervisord's RPC as the guard uses it."""

    def __init__(self, states: dict[str, str] | None = None) -> None:
        self.states = states or {}
        self.calls: list[str] = []
        self.silent = False

    def programs(self) -> Sequence[Program]:
        if self.silent:
            raise Unavailable("silent")
        return [Program(name, state, None) for name, state in self.states.items()]

    def start(self, name: str) -> None:
        self.calls.append(f"start {name}")
        if self.silent:
            raise Unavailable("silent")

    def shutdown(self) -> None:
        self.calls.append("shutdown")


class AtOnce:
    """A timer whose time has come."""

    pauses: list[float]
    daemon = False

    def __init__(self, pause: float, call: object, arguments: list[str]) -> None:
        self.pauses.append(pause)
        self._call, self._arguments = call, arguments

    def start(self) -> None:
        assert callable(self._call)
        self._call(*self._arguments)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    monkeypatch.setattr(AtOnce, "pauses", [], raising=False)
    monkeypatch.setattr(threading, "Timer", AtOnce)
    return AtOnce.pauses


def test_traefik_in_fatal_leaves_the_mark_and_ends_the_appliance(tmp_path: Path) -> None:
    supervisor = FakeSupervisor()
    Guard(supervisor, tmp_path / "fatal").on_fatal("traefik")
    assert supervisor.calls == ["shutdown"]
    assert (tmp_path / "fatal").exists()


def test_a_mark_that_cannot_be_left_does_not_keep_a_dead_appliance(tmp_path: Path) -> None:
    supervisor = FakeSupervisor()
    with pytest.raises(FileNotFoundError):
        Guard(supervisor, tmp_path / "missing" / "fatal").on_fatal("traefik")
    assert supervisor.calls == ["shutdown"]


def test_any_other_program_is_started_again_and_the_appliance_stays(tmp_path: Path, pauses: list[float]) -> None:
    supervisor = FakeSupervisor()
    watching = Guard(supervisor, tmp_path / "fatal")
    for program in ("gateway", "gateway", "other", "gateway"):
        watching.on_fatal(program)
    assert supervisor.calls == ["start gateway", "start gateway", "start other", "start gateway"]
    assert pauses == [5.0, 10.0, 5.0, 20.0]
    assert not (tmp_path / "fatal").exists()


def test_a_supervisor_that_does_not_answer_is_borne(tmp_path: Path) -> None:
    supervisor = FakeSupervisor()
    supervisor.silent = True
    Guard(supervisor, tmp_path / "fatal").on_fatal("gateway")
    assert supervisor.calls == ["start gateway"]


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 5), (1, 10), (2, 20), (5, 160), (6, 300), (7, 300), (1000, 300), (10**9, 300)]
)
def test_pauses_double_up_to_five_minutes(failures: int, seconds: float) -> None:
    assert pause_seconds(failures) == seconds


FATAL = "processname:traefik groupname:traefik from_state:BACKOFF"


@pytest.mark.parametrize(
    ("event", "payload", "expected"),
    [
        ("PROCESS_STATE_FATAL", FATAL, "traefik"),
        ("PROCESS_STATE_FATAL", FATAL.replace("processname:traefik", "processname:gateway"), "gateway"),
        ("PROCESS_STATE_RUNNING", FATAL, None),
        ("PROCESS_STATE_FATAL", "", None),
        ("PROCESS_STATE_FATAL", "rubbish", None),
        ("TICK_5", "when:1700000000", None),
    ],
)
def test_an_event_says_which_program_is_in_fatal(event: str, payload: str, expected: str | None) -> None:
    assert fatal_program({"eventname": event}, payload) == expected


def event(payload: str, name: str = "PROCESS_STATE_FATAL") -> str:
    return f"ver:3.0 server:supervisor serial:1 pool:guard poolserial:1 eventname:{name} len:{len(payload)}\n{payload}"


def listen(supervisor: FakeSupervisor, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the listener answers to these events, up to the end of the line."""
    (tmp_path / "run").mkdir(exist_ok=True)
    monkeypatch.setattr(guard, "SupervisorRpc", lambda _: supervisor)
    answers = io.StringIO()
    assert guard.listen(Root(tmp_path), io.StringIO(text), answers) == 0
    return answers.getvalue()


def test_the_listener_speaks_supervisords_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = FakeSupervisor({"traefik": "RUNNING", "gateway": "STARTING"})
    text = event(FATAL.replace("traefik", "gateway")) + event("when:1", "TICK_5") + event(FATAL)
    assert listen(supervisor, tmp_path, text, monkeypatch) == "READY\nRESULT 2\nOK" * 3 + "READY\n"
    assert supervisor.calls == ["start gateway", "shutdown"]


def test_what_fell_while_the_guard_was_away_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = FakeSupervisor({"traefik": "FATAL", "gateway": "FATAL"})
    listen(supervisor, tmp_path, "", monkeypatch)
    assert supervisor.calls == ["shutdown", "start gateway"]


def test_a_supervisor_that_is_silent_at_the_start_is_borne(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = FakeSupervisor()
    supervisor.silent = True
    assert listen(supervisor, tmp_path, "", monkeypatch) == "READY\n"
