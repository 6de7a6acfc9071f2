"""What every order log promises: the fake, and the one that follows Traefik's lines in the kept log."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from appliance.adapters.traefik_log import TraefikLog
from appliance.control.ports_acme import OrderLog
from appliance.kept_log import KeptLog
from appliance.model import log_lines
from appliance.model.acme_log import Event, Obtained
from tests.fakes import until
from tests.fakes_acme import FakeOrderLog


class Spoken(Protocol):
    """An order log, and the means to let Traefik say something."""

    @property
    def log(self) -> OrderLog:
        """The order log."""

    def say(self, name: str, at: float) -> None:
        """A certificate for a name came at a time (Unix seconds)."""


class SpokenFake:
    def __init__(self) -> None:
        self.log = FakeOrderLog()

    def say(self, name: str, at: float) -> None:
        self.log.say(Obtained(at, (name,)))


class SpokenFiles:
    def __init__(self, directory: Path) -> None:
        self.log = TraefikLog(directory, pause_seconds=0.002)
        self.kept = KeptLog(directory, largest_bytes=2000)

    def say(self, name: str, at: float) -> None:
        self.write(name, at, "traefik")

    def write(self, name: str, at: float, program: str, **changes: object) -> None:
        when = log_lines.rfc3339(dt.datetime.fromtimestamp(at, dt.UTC))
        head = {"time": when, "level": "info", "program": program, "logger": "lego"}
        line = {**head, "message": "Server responded with a certificate.", "domains": name, **changes}
        self.kept.append(log_lines.encoded(line))


@pytest.fixture(params=["fake", "files"])
def spoken(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spoken]:
    one: Spoken = SpokenFake() if request.param == "fake" else SpokenFiles(tmp_path)
    yield one
    one.log.stop()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[SpokenFiles]:
    one = SpokenFiles(tmp_path)
    yield one
    one.log.stop()


def fail(error: BaseException) -> None:
    raise AssertionError("the order log ended") from error


def names(events: list[Event]) -> list[str]:
    return [event.domains[0] for event in events if isinstance(event, Obtained)]


def test_what_is_kept_is_told_first_then_what_comes(spoken: Spoken) -> None:
    events: list[Event] = []
    spoken.say("a.test", 1000.0)
    spoken.log.start(events.append, fail)
    spoken.say("b.test", 1001.0)
    until(lambda: names(events) == ["a.test", "b.test"])
    assert [event.at for event in events] == [1000.0, 1001.0]
    assert spoken.log.unreadable == 0


def test_what_is_older_than_asked_for_is_left_out(spoken: Spoken) -> None:
    """Whoever remembers the past is not told it again."""
    events: list[Event] = []
    spoken.say("a.test", 1000.0)
    spoken.say("b.test", 2000.0)
    spoken.log.start(events.append, fail, since=1500.0)
    spoken.say("c.test", 3000.0)
    until(lambda: names(events) == ["b.test", "c.test"])


def test_what_comes_is_told_though_the_clock_was_set_back(files: SpokenFiles) -> None:
    """Else no failure is heard of until the clock is again where it was."""
    events: list[Event] = []
    files.say("a.test", 5000.0)
    files.log.start(events.append, fail, since=5000.0)
    until(lambda: names(events) == ["a.test"])
    files.say("b.test", 1400.0)
    until(lambda: names(events) == ["a.test", "b.test"])


def test_stop_may_be_repeated_and_nothing_is_told_afterwards(spoken: Spoken) -> None:
    events: list[Event] = []
    spoken.log.start(events.append, fail)
    spoken.log.stop()
    spoken.log.stop()
    spoken.say("a.test", 1000.0)
    assert events == []


def test_nothing_is_missed_across_rotations(files: SpokenFiles) -> None:
    events: list[Event] = []
    files.log.start(events.append, fail)
    for number in range(60):
        files.say(f"host-{number}.test", 1000.0 + number)
        if number % 5 == 4:
            until(lambda: len(events) == number + 1)  # noqa: B023 - called at once
    assert names(events) == [f"host-{number}.test" for number in range(60)]


def test_other_programs_and_rubbish_are_passed_over(files: SpokenFiles) -> None:
    events: list[Event] = []
    files.write("not-traefik.test", 1000.0, "gateway", about="traefik")
    files.kept.append(b'"program": "traefik" \xff\n\n{"program": "traefik", "half\n[]\n')
    files.log.start(events.append, fail)
    files.say("a.test", 1000.0)
    until(lambda: names(events) == ["a.test"])


def test_a_line_that_cannot_be_read_is_counted_and_no_event(files: SpokenFiles) -> None:
    """A newer Traefik may word its failures so that not even the names are found."""
    events: list[Event] = []
    files.log.start(events.append, fail)
    files.write("", 1000.0, "traefik", logger="x", level="error", providerName="resolver.acme", message="new words")
    files.say("a.test", 1001.0)
    until(lambda: names(events) == ["a.test"])
    assert files.log.unreadable == 1


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    log, events = TraefikLog(tmp_path / "later", pause_seconds=0.002), list[Event]()
    log.start(events.append, fail)
    (tmp_path / "later").mkdir()
    SpokenFiles(tmp_path / "later").say("a.test", 1000.0)
    until(lambda: names(events) == ["a.test"])
    log.stop()


def test_an_end_that_nobody_asked_for_is_told(files: SpokenFiles) -> None:
    def refuse(event: Event) -> None:
        raise ValueError(event)

    failures: list[BaseException] = []
    files.log.start(refuse, failures.append)
    files.say("a.test", 1000.0)
    until(lambda: len(failures) == 1)
    assert isinstance(failures[0], ValueError)
