"""What becomes of workloads and programs is told once, in order, with how long it took."""

from typing import Any

from appliance.control.chronicle import Chronicle
from appliance.control.events import Events
from appliance.control.programs import ProgramsWatch
from appliance.model.standings import Standing, State
from tests.fakes import FakePrograms

PENDING, APPLIED = Standing(State.PENDING, "written"), Standing(State.APPLIED)
REFUSED = Standing(State.QUARANTINED, "because")


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(events: Events) -> list[Any]:
    return [event.content for event in events.after(0)[0]]


def count(chronicle: Chronicle) -> tuple[float, float]:
    """How many were applied, and the seconds it took them together."""
    *_, total, number = chronicle.durations().samples
    return number.value, total.value


def test_each_state_is_told_once() -> None:
    """Looking again at what did not change is no event; a reason that changed is one."""
    events = Events()
    chronicle = Chronicle(events)
    other = Standing(State.PENDING, "Traefik does not answer")
    for standing in (PENDING, PENDING, other, APPLIED, APPLIED, REFUSED, None, None):
        chronicle.look(["blog"], lambda _, one=standing: one)  # type: ignore[misc]
    assert [(item["state"], item["reason"]) for item in told(events)] == [
        ("pending", "written"),
        ("pending", "Traefik does not answer"),
        ("applied", ""),
        ("quarantined", "because"),
        ("deleted", ""),
    ]


def test_the_time_runs_from_the_wish_to_the_service() -> None:
    """From when somebody asked, through cycles and looks, until Traefik served it."""
    clock = Clock()
    chronicle = Chronicle(Events(), clock)
    chronicle.asked(["blog"])
    clock.now += 2
    chronicle.asked(["blog"])
    chronicle.taken_in(["blog"])
    chronicle.look(["blog"], lambda _: PENDING)
    clock.now += 3
    chronicle.look(["blog"], lambda _: APPLIED)
    assert count(chronicle) == (1, 5)


def test_a_look_at_what_stands_is_no_application() -> None:
    """A file that was touched and did not change was not applied anew; a version that was refused not at all."""
    clock = Clock()
    chronicle = Chronicle(Events(), clock)
    for standing in (APPLIED, APPLIED, REFUSED):
        chronicle.asked(["blog"])
        chronicle.taken_in(["blog"])
        clock.now += 1
        chronicle.look(["blog"], lambda _, one=standing: one)  # type: ignore[misc]
    assert count(chronicle)[0] == 1


def test_what_is_asked_for_in_vain_is_not_kept() -> None:
    """Ids that never were a workload leave nothing behind."""
    chronicle = Chronicle(Events())
    for number in range(1000):
        chronicle.asked([f"w{number}"])
        chronicle.taken_in([f"w{number}"])
        chronicle.look([f"w{number}"], lambda _: None)
    assert (chronicle._asked, chronicle._begun, chronicle._told) == ({}, {}, {})


def test_programs_are_told_when_they_change_and_restarts_are_counted() -> None:
    """The first look is no news; a state is, and a new process is a restart, too."""
    programs, events = FakePrograms(), Events()
    watch = ProgramsWatch(programs, events, lambda _: None)
    watch.look()
    watch.look()
    assert told(events) == []
    programs.states = {"new": "RUNNING", **programs.states}  # every program has another pid now
    watch.look()
    programs.states["traefik"] = "BACKOFF"
    watch.look()
    programs.silent = True
    watch.look()
    assert [(item["program"], item["state"]) for item in told(events)] == [
        ("traefik", "RUNNING"),
        ("gateway", "RUNNING"),
        ("traefik", "BACKOFF"),
    ]
    restarts = next(family for family in watch.families() if family.name == "gateway_program_restarts_total")
    assert {sample.labels["program"]: sample.value for sample in restarts.samples} == {
        "new": 0,
        "traefik": 1,
        "gateway": 1,
    }
