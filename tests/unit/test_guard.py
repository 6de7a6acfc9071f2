"""Traefik in FATAL ends the appliance; any other program is started again, with longer and longer pauses."""

from pathlib import Path

import pytest

from appliance.launch.guard import Guard, pause_seconds
from appliance.model.errors import Unavailable


class FakeSupervisor:
    """supervisord as the guard uses it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.refuses = False

    def start(self, name: str) -> None:
        self.calls.append(f"start {name}")
        if self.refuses:
            raise Unavailable("refused")

    def shutdown(self) -> None:
        self.calls.append("shutdown")


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


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


def test_any_other_program_is_started_again_and_the_appliance_stays(tmp_path: Path) -> None:
    """After its pause, once, and not before."""
    supervisor, clock = FakeSupervisor(), Clock()
    guard = Guard(supervisor, tmp_path / "fatal", clock)
    for pause in (5, 10, 20):
        guard.on_fatal("gateway")
        clock.now += pause - 0.1
        guard.look()
        assert supervisor.calls == []
        clock.now += 0.1
        guard.look()
        guard.look()
        assert supervisor.calls == ["start gateway"]
        supervisor.calls.clear()
    assert not (tmp_path / "fatal").exists()


def test_each_program_has_pauses_of_its_own_and_they_are_forgotten_in_time(tmp_path: Path) -> None:
    supervisor, clock = FakeSupervisor(), Clock()
    guard = Guard(supervisor, tmp_path / "fatal", clock)
    for program in ("gateway", "gateway", "other"):
        guard.on_fatal(program)
    clock.now += 5
    guard.look()
    assert supervisor.calls == ["start other"]
    clock.now += 601
    guard.on_fatal("gateway")
    clock.now += 5
    guard.look()
    assert supervisor.calls == ["start other", "start gateway"]


def test_a_start_that_is_refused_is_borne(tmp_path: Path) -> None:
    supervisor, clock = FakeSupervisor(), Clock()
    supervisor.refuses = True
    guard = Guard(supervisor, tmp_path / "fatal", clock)
    guard.on_fatal("gateway")
    clock.now += 5
    guard.look()
    assert supervisor.calls == ["start gateway"]


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 5), (1, 10), (2, 20), (5, 160), (6, 300), (7, 300), (1000, 300), (10**9, 300)]
)
def test_pauses_double_up_to_five_minutes(failures: int, seconds: float) -> None:
    assert pause_seconds(failures) == seconds
