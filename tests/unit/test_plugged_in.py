"""What runs inside supervisord hears its events, and never stops its loop."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from supervisor import events
from supervisor.options import ServerOptions
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.states import SupervisorStates
from supervisor.xmlrpc import Faults, RPCError

from appliance.launch import plugged_in
from appliance.layout import Root
from appliance.model.errors import Unavailable
from appliance.render import supervision


class Supervisord:
    """supervisord, as far as its own RPC reaches into it from the inside; `fails` is what a start comes to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.options = SimpleNamespace(mood=SupervisorStates.RUNNING)
        self.started: list[tuple[str, bool]] = []
        self.fails: RPCError | None = None
        monkeypatch.setattr(SupervisorNamespaceRPCInterface, "startProcess", self._start)

    def _start(self, name: str, wait: bool = True) -> bool:
        self.started.append((name, wait))
        if self.fails is not None:
            raise self.fails
        return True


@pytest.fixture
def supervisord(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisord]:
    events.clear()
    yield Supervisord(monkeypatch)
    events.clear()


def fatal(name: str) -> Any:
    process = SimpleNamespace(config=SimpleNamespace(name=name))
    return events.ProcessStateFatalEvent(process, 0)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        one.listen()
        one.settimeout(5)
        yield one


def plug_in(supervisord: Supervisord, directory: Path) -> object:
    return plugged_in.plug_in(supervisord, fatal_mark=str(directory / "fatal"), socket_path=str(directory / "s"))


def test_traefik_in_fatal_shuts_supervisord_down(supervisord: Supervisord, tmp_path: Path) -> None:
    plug_in(supervisord, tmp_path)
    events.notify(fatal("traefik"))
    assert supervisord.options.mood == SupervisorStates.SHUTDOWN
    assert (tmp_path / "fatal").read_text() == "traefik\n"


def test_a_program_in_fatal_is_started_at_a_later_tick_without_waiting_for_it(
    supervisord: Supervisord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.launch.guard._FIRST_PAUSE_SECONDS", 0.0)
    plug_in(supervisord, tmp_path)
    events.notify(fatal("gateway"))
    assert supervisord.started == []
    events.notify(events.Tick5Event(0, supervisord))
    events.notify(events.Tick5Event(5, supervisord))
    assert supervisord.started == [("gateway", False)]


def test_a_failure_of_ours_does_not_reach_supervisord(supervisord: Supervisord, tmp_path: Path) -> None:
    """Neither a mark that cannot be left, which ends the appliance all the same, nor a socket nobody listens to."""
    plug_in(supervisord, tmp_path / "missing")
    events.notify(events.SupervisorRunningEvent())
    events.notify(fatal("traefik"))
    assert supervisord.options.mood == SupervisorStates.SHUTDOWN


def test_it_starts_its_programs_at_once(supervisord: Supervisord, tmp_path: Path, listener: socket.socket) -> None:
    """Somebody calls it as soon as it runs: it need not wait for that."""
    plug_in(supervisord, tmp_path)
    events.notify(events.SupervisorRunningEvent())
    listener.accept()[0].close()
    assert supervisord.options.mood == SupervisorStates.RUNNING


def test_a_signal_held_back_comes_once_it_listens_and_no_program_is_started(
    supervisord: Supervisord, tmp_path: Path
) -> None:
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.raise_signal(signal.SIGTERM)
        plug_in(supervisord, tmp_path)
        assert came == []
        events.notify(events.SupervisorRunningEvent())
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    assert came == [signal.SIGTERM]
    assert supervisord.options.mood == SupervisorStates.SHUTDOWN


@pytest.mark.parametrize(("fault", "is_borne"), [(Faults.ALREADY_STARTED, True), (Faults.SPAWN_ERROR, False)])
def test_a_start_that_supervisord_refuses_is_told_unless_it_runs_already(
    supervisord: Supervisord, fault: int, is_borne: bool
) -> None:
    supervisord.fails = RPCError(fault, "gateway")
    inside = plugged_in.Within(supervisord)
    if is_borne:
        inside.start("gateway")
    else:
        with pytest.raises(Unavailable, match=r"refuses to start gateway: SPAWN_ERROR"):
            inside.start("gateway")


def test_supervisord_finds_it_in_its_configuration(tmp_path: Path) -> None:
    """By supervisord's own reading: a name that is wrong would be found at the next start of an appliance only."""
    Root(tmp_path).create()
    conf = Root(tmp_path).supervisor_configuration
    conf.write_text(supervision.text(supervision.Programs(["/bin/true"], ["/bin/true"], {}, 1024, 10, None), tmp_path))
    options = cast("Any", ServerOptions())
    options.realize(["-c", str(conf)])
    found = {name: (factory, values) for name, factory, values in options.rpcinterface_factories}
    values = {"fatal_mark": f"{tmp_path}/run/fatal", "socket_path": f"{tmp_path}/run/supervisor.sock"}
    assert found["appliance"] == (plugged_in.plug_in, values)
