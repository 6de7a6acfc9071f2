"""Hosts are asked for as often as somebody waits for the answer, and never so often that a resolver minds."""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from appliance.model.askings import MOST_PROMPT, MOST_SLOW, Askings, Outcome

SETTLED, WRONG, UNANSWERED = Outcome.SETTLED, Outcome.WRONG, Outcome.UNANSWERED


def moments(outcomes: Iterable[Outcome]) -> list[float]:
    """When one host is asked for, each asking ending at once like this."""
    askings, now, found = Askings(), 0.0, []
    askings.want(["a.org"])
    for outcome in outcomes:
        now += askings.pause(now) or 0.0
        assert askings.take(now) == "a.org"
        found.append(now)
        askings.answered("a.org", outcome, now)
    return found


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([SETTLED] * 3, [0, 300, 600]),
        ([WRONG] * 3, [0, 5, 10]),
        ([UNANSWERED] * 7, [0, 5, 15, 35, 75, 135, 195]),
        ([WRONG, SETTLED, WRONG, WRONG], [0, 5, 305, 310]),
        ([UNANSWERED, UNANSWERED, WRONG, WRONG, UNANSWERED, WRONG], [0, 5, 15, 20, 25, 30]),
    ],
)
def test_how_often_a_host_is_asked_for(outcomes: list[Outcome], expected: list[float]) -> None:
    assert moments(outcomes) == expected


def test_a_host_that_has_long_been_wrong_is_asked_for_every_ten_seconds() -> None:
    """Whoever mends it then still sees its certificate ordered within seconds."""
    found = moments([WRONG] * 200)
    assert found[:61] == [5.0 * number for number in range(61)]
    assert {round(later - earlier, 6) for earlier, later in itertools.pairwise(found[61:])} == {10.0}


def simulate(count: int, outcome: Callable[[str], Outcome], takes: float, seconds: float) -> Counter[str]:
    """How often each of many hosts is asked for, when each asking takes so many seconds."""
    askings, asked = Askings(), Counter[str]()
    askings.want(f"h{number}" for number in range(count))
    now, running = 0.0, list[tuple[float, str]]()
    while now <= seconds:
        while (host := askings.take(now)) is not None:
            asked[host] += 1
            heapq.heappush(running, (now + takes, host))
        pause = askings.pause(now)
        ends = [running[0][0]] if running else []
        now = min(ends if pause is None else [*ends, now + pause])
        while running and running[0][0] <= now:
            ended = heapq.heappop(running)[1]
            askings.answered(ended, outcome(ended), now)
    return asked


@pytest.mark.parametrize(("count", "most"), [(10, 10 * 420 + 10), (100, 100 * 420 + 100), (1000, 20 * 3600 + 3000)])
def test_wrong_hosts_have_a_number_of_questions_a_second_together(count: int, most: int) -> None:
    asked = simulate(count, lambda _: WRONG, 0.01, 3600)
    assert asked.total() <= most
    assert min(asked.values()) >= 0.8 * max(asked.values()), "each has its share"


def test_hosts_that_nobody_answers_for_leave_room_for_the_others() -> None:
    """A thousand black holes, each of which takes five seconds: those that are answered for are asked for in time."""
    asked = simulate(1010, lambda host: WRONG if int(host[1:]) >= 1000 else UNANSWERED, 5.0, 1200)
    answered = [asked[f"h{number}"] for number in range(1000, 1010)]
    assert min(answered) >= 60
    assert max(asked[f"h{number}"] for number in range(1000)) <= 1 + 1200 / 60 + 5


def test_so_many_are_under_way_at_once() -> None:
    askings = Askings()
    askings.want(f"h{number}" for number in range(100))
    first = [askings.take(0.0) for _ in range(MOST_SLOW + 1)]
    assert first[-1] is None
    assert askings.pause(0.0) is None
    for host in first[:-1]:
        askings.answered(str(host), WRONG, 0.0)
    assert askings.pause(0.0) == 0.0
    taken = [askings.take(5.0) for _ in range(MOST_PROMPT + MOST_SLOW + 1)]
    assert taken[-1] is None
    assert None not in taken[:-1]


def test_what_is_no_longer_wanted_is_not_asked_for() -> None:
    askings = Askings()
    assert askings.want(["a", "b"]) == set()
    assert askings.want(["b"]) == {"a"}
    assert askings.take(0.0) == "b"
    assert askings.want([]) == {"b"}
    assert askings.answered("b", SETTLED, 1.0) is False
    assert askings.pause(1.0) is None


def test_a_host_that_is_wanted_again_while_it_is_under_way_is_not_asked_for_twice() -> None:
    askings = Askings()
    askings.want(["a"])
    assert askings.take(0.0) == "a"
    askings.want([])
    askings.want(["a"])
    assert askings.take(0.0) is None
    assert askings.answered("a", WRONG, 1.0) is True
    assert askings.take(1.0) is None
    assert askings.take(6.0) == "a"


def test_whatever_came_of_it_before_all_are_asked_for_at_once_when_somebody_else_answers() -> None:
    askings = Askings()
    outcomes = {"here": SETTLED, "wrong": WRONG, "silent": UNANSWERED}
    askings.want([*outcomes, "under-way"])
    assert {askings.take(0.0) for _ in range(4)} == {*outcomes, "under-way"}
    for host, outcome in outcomes.items():
        askings.answered(host, outcome, 1.0)
    askings.begin_anew()
    assert {askings.take(2.0) for _ in outcomes} == set(outcomes)
    assert askings.take(2.0) is None
    askings.answered("under-way", SETTLED, 3.0)  # by whom was asked before
    assert askings.take(3.0) == "under-way"
    askings.answered("under-way", SETTLED, 4.0)
    for host in outcomes:
        askings.answered(host, UNANSWERED, 4.0)
    assert askings.pause(4.0) == 5.0, "silence is counted anew"
    askings.want(["under-way"])
    assert askings.pause(4.0) == 300.0


def test_hosts_that_come_and_go_leave_nothing_behind() -> None:
    askings = Askings()
    for number in range(50):
        askings.want([f"h{number}"])
        assert askings.take(float(number)) == f"h{number}"
        askings.answered(f"h{number}", WRONG, float(number))
    askings.want([])
    assert askings.take(1e6) is None
    askings.want(["last"])
    assert askings.take(1e6) == "last"
    askings.answered("last", WRONG, 1e6)
    assert askings.pause(1e6) == 5.0
