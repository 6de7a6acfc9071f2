"""How often routes are written: at once after quiet, and in a burst no more than Traefik can well bear."""

import pytest

from appliance.control.pace import Pace


class Writer:
    """Writes what is asked for whenever it may, into a Traefik that takes `cost` seconds for each reload."""

    def __init__(self, cost: float) -> None:
        self.now = 100.0
        self.pace = Pace(lambda: self.now)
        self.written: list[float] = []
        self._cost = cost
        self._is_asked = False

    def ask(self) -> None:
        self._is_asked = True
        self._look()

    def pass_time(self, seconds: float) -> None:
        """In steps of a hundredth of a second."""
        for _ in range(round(seconds * 100)):
            self.now += 0.01
            self._look()

    def _look(self) -> None:
        if not self.written or self.now >= self.written[-1] + self._cost:
            self.pace.settled()
        if self._is_asked and self.pace.is_free():
            self._is_asked = False
            self.written.append(self.now)
            self.pace.looked(has_written=True)

    def gaps(self) -> list[float]:
        return [round(later - earlier, 1) for earlier, later in zip(self.written, self.written[1:], strict=False)]


def test_the_first_change_is_written_at_once() -> None:
    writer = Writer(cost=2.0)
    writer.ask()
    assert writer.written == [100.0]


def test_each_change_after_quiet_is_written_at_once() -> None:
    writer = Writer(cost=2.0)
    for _ in range(3):
        writer.ask()
        writer.pass_time(2.1)
    assert writer.gaps() == [2.1, 2.1]


def test_what_comes_while_traefik_works_is_written_when_it_is_done() -> None:
    writer = Writer(cost=2.0)
    writer.ask()
    writer.pass_time(0.5)
    writer.ask()
    writer.pass_time(5.0)
    assert writer.gaps() == [2.0]


@pytest.mark.parametrize(("cost", "gaps"), [(2.0, [2.0, 6.0, 6.0]), (0.1, [0.1, 0.3, 0.3]), (30.0, [10.0, 10.0, 10.0])])
def test_a_burst_leaves_traefik_two_thirds_of_its_time_and_waits_ten_seconds_at_most(
    cost: float, gaps: list[float]
) -> None:
    writer = Writer(cost)
    while len(writer.written) < 4:
        writer.ask()
        writer.pass_time(0.01)
    assert writer.gaps() == gaps


def test_a_burst_that_lasts_four_reloads_costs_three() -> None:
    writer = Writer(cost=1.5)
    for _ in range(500):
        writer.ask()
        writer.pass_time(0.01)
    writer.pass_time(20.0)
    assert len(writer.written) == 3


def test_after_a_burst_and_its_rest_a_change_is_written_at_once_again() -> None:
    writer = Writer(cost=1.0)
    for _ in range(3):
        writer.ask()
        writer.pass_time(0.3)
    writer.pass_time(4.0)
    for _ in range(2):
        writer.ask()
        assert writer.written[-1] == writer.now
        writer.pass_time(1.1)


def test_a_look_that_finds_nothing_to_write_is_no_burst() -> None:
    """The watcher tells of each change once more, when it was written already."""
    writer = Writer(cost=1.0)
    writer.ask()
    assert not writer.pace.is_free()
    writer.pass_time(1.1)
    writer.pace.looked(has_written=False)
    writer.ask()
    writer.pass_time(1.1)
    assert writer.pace.is_free()
