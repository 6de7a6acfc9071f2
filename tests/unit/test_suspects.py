"""What Traefik does not report is tried in a throw-away one; only what that one will not have either is to blame."""

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from appliance.control import suspects as suspects_module
from appliance.control.suspects import Refusals, Suspects
from appliance.model.fragments import Complaint
from appliance.render.dynamic import Decision
from tests.fakes import PATIENCE_SECONDS, until
from tests.fakes_fragments import FakeTrial
from tests.unit.test_confirmation import decision

Start = Callable[[FakeTrial], tuple[Suspects, "queue.Queue[Refusals]"]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Suspects] = []

    def begin(trial: FakeTrial) -> tuple[Suspects, "queue.Queue[Refusals]"]:
        refused: queue.Queue[Refusals] = queue.Queue()
        suspects = Suspects(trial, refused.put)
        suspects.start(lambda error: pytest.fail(str(error)))
        started.append(suspects)
        return suspects, refused

    yield begin
    for one in started:
        one.stop()
        one.stop()


def overdue(*identities: str) -> dict[str, Decision]:
    return {identity: decision(identity) for identity in identities}


def against(*names: str) -> Callable[[Mapping[str, str]], Sequence[Complaint]]:
    """A fault in the files of these, which Traefik names one at a time."""

    def fault(texts: Mapping[str, str]) -> Sequence[Complaint]:
        found = [name for name in names if name in texts]
        return [Complaint(f"field not found in {found[0]}", frozenset(found[:1]))] if found else []

    return fault


def test_who_is_to_blame_is_told_with_the_words_and_the_others_go_on_waiting(start: Start) -> None:
    suspects, refused = start(FakeTrial(against("bad", "worse")))
    items = overdue("good", "bad", "worse")
    suspects.examine(items)
    assert refused.get(timeout=PATIENCE_SECONDS) == {
        "bad": (items["bad"], "field not found in bad"),
        "worse": (items["worse"], "field not found in worse"),
    }
    assert "1 route(s) although nothing is wrong with them" in (suspects.trouble() or "")
    suspects.examine({})
    assert suspects.trouble() is None


def test_where_nobody_is_at_fault_nobody_is_refused_and_the_operator_is_told(start: Start) -> None:
    """Somebody else's file is in Traefik's way, or it is deaf: no workload pays for that."""
    trial = FakeTrial()
    suspects, refused = start(trial)
    items = overdue(*(f"w{number}" for number in range(250)))
    suspects.examine(items)
    until(lambda: "250 route(s)" in (suspects.trouble() or ""))
    assert refused.empty()
    assert [len(names) for names in trial.asked] == [100, 100, 50]


def test_each_version_is_tried_once(start: Start) -> None:
    trial = FakeTrial()
    suspects, _ = start(trial)
    suspects.examine(overdue("blog"))
    until(lambda: suspects.trouble() is not None)
    for _ in range(3):
        suspects.examine(overdue("blog"))
    suspects.examine({"blog": decision("blog", "http://10.9.9.9")})
    until(lambda: len(trial.asked) == 2)
    until(lambda: suspects.trouble() is not None)
    assert trial.asked == [("blog",), ("blog",)]


def test_a_trial_that_cannot_be_held_is_no_verdict_and_held_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects_module, "_RETRY_SECONDS", 0.01)
    trial = FakeTrial(against("bad"))
    trial.silent = True
    suspects, refused = start(trial)
    suspects.examine(overdue("bad"))
    until(lambda: len(trial.asked) > 2)
    assert refused.empty()
    assert suspects.trouble() is None
    trial.silent = False
    assert set(refused.get(timeout=PATIENCE_SECONDS)) == {"bad"}


def test_a_failure_inside_is_told(start: Start) -> None:
    def fail(texts: Mapping[str, str]) -> Sequence[Complaint]:
        raise ZeroDivisionError

    failures: queue.Queue[BaseException] = queue.Queue()
    suspects = Suspects(FakeTrial(fail), lambda _: None)
    suspects.start(failures.put)
    suspects.examine(overdue("blog"))
    assert isinstance(failures.get(timeout=PATIENCE_SECONDS), ZeroDivisionError)
    suspects.stop()
