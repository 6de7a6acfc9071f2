"""Rehearsals: who is tried when, how challenges are led there, and what is told, over a fake of the throw-away one."""

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import pytest
import yaml

from appliance.control import rehearsals as module
from appliance.control.additions import Together
from appliance.control.rehearsals import Rehearsals
from appliance.model.acme_log import Cause, OrderFailed, Problem
from appliance.model.errors import Unavailable
from appliance.model.issuance import Failure, Weight
from appliance.render import dynamic, rehearsal
from tests.fakes import FakeRouteFiles, FakeTraefik, until

SHOP = "shop.customer.com"
LATE = "late.customer.com"
WILDCARD = "*.gw.example.com"
STAGING = "https://staging.example/dir"
EPOCH = 1_800_000_000.0


class RestartedTraefik(FakeTraefik):
    """One that lets others before its own router for challenges, unless it was not started anew yet."""

    is_restarted = True

    def routers(self, protocol: str) -> Mapping[str, Mapping[str, Any]]:
        own = {rehearsal.BYPASS_ROUTER: {"status": "enabled"}} if self.is_restarted else {}
        return {**super().routers(protocol), **own}


class FakeUnderstudy:
    """Answers as it is told: `outcomes` waits until each subject has an answer."""

    directory = STAGING

    def __init__(self, answers: dict[str, OrderFailed | None], asked: list[list[str]]) -> None:
        self._answers = answers
        self._asked = asked
        self.broken: str | None = None
        self.is_closed = False

    def listen(self) -> int:
        return 4321

    def outcomes(
        self, subjects: Sequence[str], is_over: Callable[[], bool]
    ) -> Generator[tuple[str, OrderFailed | None]]:
        self._asked.append(list(subjects))
        if self.broken:
            raise Unavailable(self.broken)
        waiting = set(subjects)
        pause = threading.Event()
        while waiting and not is_over():
            for subject in sorted(waiting & self._answers.keys()):
                waiting.remove(subject)
                yield subject, self._answers[subject]
            pause.wait(0.01)

    def close(self) -> None:
        self.is_closed = True


class Stage:
    """Rehearsals whose file is in the fake Traefik's directory as soon as it changes."""

    def __init__(self) -> None:
        self.route_files = FakeRouteFiles()
        self.traefik = RestartedTraefik(self.route_files)
        self.is_wanted = True
        self.answers: dict[str, OrderFailed | None] = {}
        self.asked: list[list[str]] = []
        self.understudies: list[FakeUnderstudy] = []
        self.broken: str | None = None
        self.told: list[tuple[str, str, Failure | None]] = []
        self.led_when_told: list[str] = []
        self.failures: list[BaseException] = []
        self.rehearsals = Rehearsals(
            understudy=self._understudy,
            is_wanted=lambda: self.is_wanted,
            proxy=self.traefik,
            on_files=self._write,
            clock=lambda: EPOCH,
        )
        self._write()
        self.rehearsals.start(self.failures.append, self._tell)

    def _understudy(self) -> FakeUnderstudy | None:
        if not self.is_wanted:
            return None
        found = FakeUnderstudy(self.answers, self.asked)
        found.broken = self.broken
        self.understudies.append(found)
        return found

    def _write(self) -> None:
        self.route_files.files = dict(self.rehearsals.files())

    def _tell(self, subject: str, directory: str, failure: Failure | None) -> None:
        self.led_when_told.append(self.rule())
        self.told.append((subject, directory, failure))

    def rule(self) -> str:
        found = self.traefik.router("http", f"{rehearsal.ROUTER}@file")
        return str(found["rule"]) if found else ""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)


@pytest.fixture
def stage() -> Iterator[Stage]:
    found = Stage()
    yield found
    found.rehearsals.stop()
    assert found.failures == []


def refused(host: str) -> OrderFailed:
    problem = Problem("unauthorized", 403, "404", host, None)
    return OrderFailed(EPOCH, "resolver", (host,), Cause.PROBLEM, (problem,), "raw words", is_renewal=False)


def test_challenges_are_led_there_only_while_it_lasts_and_never_for_whom_is_told(stage: Stage) -> None:
    assert stage.rule() == ""
    stage.rehearsals.ask([SHOP, LATE, WILDCARD])
    until(lambda: stage.asked == [[SHOP, LATE, WILDCARD]])
    assert SHOP in stage.rule()
    assert LATE in stage.rule()
    stage.answers[SHOP] = None
    until(lambda: stage.told == [(SHOP, STAGING, None)])
    assert SHOP not in stage.led_when_told[0]
    assert LATE in stage.led_when_told[0]
    stage.answers[LATE] = refused(LATE)
    stage.answers[WILDCARD] = None
    until(lambda: len(stage.told) == 3)
    at, failure = next((at, failure) for at, (subject, _, failure) in enumerate(stage.told) if subject == LATE)
    assert stage.led_when_told[at] == ""
    assert failure is not None
    assert failure.weight is Weight.LASTING
    until(lambda: stage.understudies[0].is_closed)
    assert stage.route_files.files == {}


def test_one_throw_away_traefik_at_a_time_orders_for_all_that_wait(stage: Stage) -> None:
    stage.rehearsals.ask([SHOP])
    until(lambda: stage.asked == [[SHOP]])
    stage.rehearsals.ask([WILDCARD])
    stage.rehearsals.ask([LATE, WILDCARD])
    assert stage.asked == [[SHOP]]
    stage.answers.update({SHOP: None, LATE: None, WILDCARD: None})
    until(lambda: stage.asked == [[SHOP], [WILDCARD, LATE]])
    until(lambda: len(stage.told) == 3)


def test_a_traefik_that_was_not_started_anew_is_waited_for_and_nobody_validated_in_vain(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.traefik.is_restarted = False
    stage.rehearsals.ask([SHOP])
    until(lambda: SHOP in stage.rule())
    assert stage.asked == []
    stage.traefik.is_restarted = True
    until(lambda: stage.asked == [[SHOP]])
    stage.answers[SHOP] = None
    until(lambda: len(stage.told) == 1)
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    stage.traefik.is_restarted = False
    stage.answers[WILDCARD] = None
    stage.rehearsals.ask([LATE, WILDCARD])
    until(lambda: len(stage.told) == 3)
    assert stage.asked[1:] == [[WILDCARD]]
    (failure,) = (failure for subject, _, failure in stage.told if subject == LATE)
    assert failure is not None
    assert failure.weight is Weight.PASSING
    assert "acme.rehearsal" in failure.words


def test_silence_is_a_failure_in_the_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.05)
    stage.rehearsals.ask([WILDCARD])
    until(lambda: len(stage.told) == 1)
    ((_, directory, failure),) = stage.told
    assert directory == STAGING
    assert failure is not None
    assert failure.weight is Weight.LASTING
    assert "neither a certificate nor a reason" in failure.words


def test_a_throw_away_traefik_that_does_not_work_is_told_and_tried_again_soon(stage: Stage) -> None:
    stage.broken = "no memory"
    stage.rehearsals.ask([SHOP, WILDCARD])
    until(lambda: len(stage.told) == 2)
    for _, _, failure in stage.told:
        assert failure is not None
        assert failure.weight is Weight.PASSING
        assert "no memory" in failure.words
    assert stage.rule() == ""
    stage.broken = None
    stage.answers[SHOP] = None
    stage.rehearsals.ask([SHOP])
    until(lambda: stage.told[2:] == [(SHOP, STAGING, None)])


def test_nothing_is_rehearsed_once_that_is_switched_off(stage: Stage) -> None:
    stage.rehearsals.ask([SHOP])
    until(lambda: stage.asked == [[SHOP]])
    stage.is_wanted = False
    until(lambda: stage.understudies[0].is_closed)
    stage._write()
    assert stage.route_files.files == {}
    stage.rehearsals.ask([WILDCARD])
    stage.rehearsals.stop()
    assert stage.asked == [[SHOP]]


def test_the_files_are_the_same_object_until_they_change(stage: Stage) -> None:
    before = stage.rehearsals.files()
    assert stage.rehearsals.files() is before
    stage.rehearsals.ask([SHOP])
    until(lambda: stage.asked == [[SHOP]])
    led = stage.rehearsals.files()
    assert stage.rehearsals.files() is led
    stage.is_wanted = False
    assert stage.rehearsals.files() == {}


def test_the_way_to_it_stands_before_traefiks_own_and_is_for_these_hosts_alone() -> None:
    (text,) = rehearsal.files([SHOP, LATE], 4321).values()
    assert dynamic.is_sealed(text)
    assert yaml.safe_load(text)["http"] == {
        "routers": {
            "_rehearsal": {
                "entryPoints": ["web"],
                "rule": f"(Host(`{SHOP}`) || Host(`{LATE}`)) && PathPrefix(`/.well-known/acme-challenge/`)",
                "priority": 9223372036854774807,
                "service": "_rehearsal",
            },
        },
        "services": {"_rehearsal": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:4321"}]}}},
    }


class Source:
    """A part of what is wanted beside the routes."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.given = files
        self.heard: list[Mapping[str, str]] = []

    def files(self) -> Mapping[str, str]:
        return self.given

    def written(self, files: Mapping[str, str]) -> None:
        self.heard.append(files)


def test_sources_of_files_together_are_as_one() -> None:
    first, second = Source({"a": "1", "b": "1"}), Source({"b": "2", "c": "2"})
    both = Together(first, second)
    found = both.files()
    assert found == {"a": "1", "b": "1", "c": "2"}
    assert both.files() is found
    both.written(found)
    assert first.heard[0] is first.given
    assert second.heard[0] is second.given
    second.given = {}
    fresh = both.files()
    assert fresh == {"a": "1", "b": "1"}
    both.written(found)  # of before: nobody hears that what is wanted now is there
    assert len(first.heard) == 1
