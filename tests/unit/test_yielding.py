"""Whoever goes through thousands of workloads rests in between while the authority is asked a lot, and only then."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters.dns.tallies import Tallies
from appliance.adapters.files import AcceptedFiles, WorkloadFiles
from appliance.control.yielding import Yielding
from appliance.model import workloads
from appliance.model.admission import Desired
from appliance.model.errors import InvalidInput
from appliance.model.register import Register
from appliance.model.steps import Item
from appliance.render.dynamic import Decision
from appliance.render.layouts import Documented, Layout, Tree
from tests.plane import RULES, Plane


class Work:
    """A loop whose every item takes `milliseconds`; a clock that only work and rests move.

    `changes`: from which moment on how many questions come a second.
    """

    def __init__(self, per_second: float, milliseconds: float) -> None:
        self.now = 100.0
        self.rests: list[float] = []
        self.changes = {self.now: per_second}
        self._cost = milliseconds / 1000
        self._through = Yielding(self._per_second, clock=lambda: self.now, sleep=self._sleep)

    def go_through(self, count: int) -> list[int]:
        done = []
        for item in self._through(range(count)):
            self.now += self._cost
            done.append(item)
        return done

    def _per_second(self) -> float:
        return next((rate for since, rate in reversed(self.changes.items()) if since <= self.now), 0.0)

    def _sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("per_second", "milliseconds", "rests"),
    [
        pytest.param(0, 0.026, 0, id="nobody asks"),
        pytest.param(4999, 0.026, 0, id="few ask"),
        pytest.param(5000, 0.026, 50, id="many ask: a rest every 50 microseconds"),
        pytest.param(20_000, 0.026, 50, id="more of them change nothing"),
        pytest.param(20_000, 0.011, 20, id="quick items share a turn"),
        pytest.param(20_000, 3, 100, id="a slow item is followed by a rest"),
        pytest.param(20_000, 0, 0, id="what takes no time needs no rest"),
    ],
)
def test_a_loop_rests_by_how_many_questions_are_asked(per_second: float, milliseconds: float, rests: int) -> None:
    work = Work(per_second, milliseconds)
    assert work.go_through(100) == list(range(100))
    assert work.rests == pytest.approx([0.00075] * rests)


def test_nobody_can_hold_a_loop_up_for_longer_by_asking() -> None:
    """Ten seconds with rests, and what is left then at full speed."""
    work = Work(20_000, milliseconds=1)
    assert work.go_through(20_000) == list(range(20_000))
    assert len(work.rests) == pytest.approx(10 / (0.001 + 0.00075), abs=2)


def test_a_flood_that_begins_within_a_loop_is_heeded_until_it_ends() -> None:
    work = Work(0, milliseconds=1)
    work.changes = {100.010: 20_000.0, 100.050: 0.0}
    work.go_through(100)
    assert len(work.rests) == pytest.approx(0.040 / (0.001 + 0.00075), abs=2)


@pytest.mark.parametrize(
    ("batches", "asked_at", "expected"),
    [
        pytest.param([], 0.0, 0.0, id="none"),
        pytest.param([(0.0, 0.03, 300)], 0.04, 10_000.0, id="one window"),
        pytest.param([(0.0, 0.01, 100), (0.01, 0.02, 100)], 0.02, 10_000.0, id="two batches in a window"),
        pytest.param([(0.0, 0.02, 200), (0.02, 0.03, 7)], 0.03, 10_000.0, id="a window that is not over"),
        pytest.param([(0.0, 0.02, 200), (0.02, 0.05, 30)], 0.06, 1000.0, id="the last window counts"),
        pytest.param([(0.0, 0.02, 200)], 1.2, 0.0, id="long ago"),
    ],
)
def test_questions_a_second_are_those_of_the_last_moments(
    batches: list[tuple[float, float, int]], asked_at: float, expected: float
) -> None:
    tallies = Tallies("udp")
    for started, ended, questions in batches:
        tallies.took(started, ended, questions)
    assert tallies.per_second(asked_at) == pytest.approx(expected)


class Recorded:
    """Steps that remember what they went through."""

    def __init__(self) -> None:
        self.seen: list[list[Any]] = []

    def __call__(self, items: Iterable[Item]) -> Iterable[Item]:
        found = list(items)
        self.seen.append(list(found))
        return found


def _desired(count: int) -> dict[str, Desired]:
    document = {"type": "gateway-name-proxy", "backends": ["http://10.1.2.3:80"]}
    return {
        f"{number}-w": Desired(f"{number}-w", workloads.parse(f"{number}-w", {**document, "name": f"w{number}"}), 0.0)
        for number in range(count)
    }


@pytest.mark.parametrize("layout", [Documented, Tree])
def test_admission_and_rendering_go_through_each_workload_in_steps(layout: type[Documented | Tree]) -> None:
    steps, desired = Recorded(), _desired(5)
    register = Register(RULES, steps=steps)
    register.update(desired)
    assert sorted(desired) in steps.seen
    steps.seen.clear()
    decisions = {identity: Decision(route, orders_certificate=True) for identity, route in register.routes.items()}
    laid_out: Layout = layout(steps)
    files = laid_out.update(decisions)
    assert list(decisions.items()) in steps.seen
    assert files == layout().update(decisions)


def test_the_applier_plans_in_steps() -> None:
    plane, steps = Plane(), Recorded()
    plane.steps = steps
    for desired in _desired(5).values():
        assert not isinstance(desired.content, InvalidInput)
        plane.store.put(desired.content)
    plane.start()
    try:
        decided = [seen for seen in steps.seen if set(map(str, seen)) == set(_desired(5))]
        assert len(decided) >= len(("admission", "decisions"))
    finally:
        plane.stop()


def test_files_are_read_in_steps(tmp_path: Path) -> None:
    steps = Recorded()
    for identity in _desired(5):
        (tmp_path / f"{identity}.yaml").write_text(
            f"type: gateway-name-proxy\nname: w{identity[0]}\nbackends: [http://10.1.2.3:80]\n"
        )
    assert len(WorkloadFiles(tmp_path, steps).load()) == 5
    assert len(WorkloadFiles(tmp_path, steps).read(_desired(5))) == 5
    assert len(AcceptedFiles(tmp_path, steps).load()) == 5
    assert [len(seen) for seen in steps.seen] == [5, 5, 5]
