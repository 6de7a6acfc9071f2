"""What names resolve to is looked up aside, told when it changes, and never forgotten because nobody answered."""

import ipaddress
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from appliance.control.lookups import Watch
from appliance.model import askings
from appliance.model.errors import NotFound, Unavailable
from appliance.model.resolution import Resolution
from tests.fakes import PATIENCE_SECONDS, FakeLookups, until

HERE = frozenset({ipaddress.ip_address("203.0.113.10")})
THERE = frozenset({ipaddress.ip_address("198.51.100.7")})
SILENCE = Unavailable("nobody answered")

Changes = queue.Queue[frozenset[str]]
Start = Callable[[FakeLookups], tuple[Watch, Changes]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Watch] = []

    def begin(fake: FakeLookups) -> tuple[Watch, Changes]:
        changes: Changes = queue.Queue()
        watch = Watch(fake, changes.put)
        started.append(watch)
        watch.start(lambda error: pytest.fail(str(error)))
        return watch, changes

    yield begin
    for watch in started:
        watch.stop()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is asked for again and again, without a pause."""
    monkeypatch.setattr(askings, "_SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(askings, "_WRONG_SECONDS", 0.0)
    monkeypatch.setattr(askings, "_WRONG_PER_SECOND", 1e9)


def told(changes: Changes, *hosts: str) -> None:
    """Wait until a change of each of these hosts was told."""
    missing = set(hosts)
    while missing:
        missing -= changes.get(timeout=PATIENCE_SECONDS)


def test_an_answer_is_told_and_known(start: Start) -> None:
    watch, changes = start(FakeLookups({"a.org": HERE, "b.org": THERE}))
    assert watch.known() == {}
    watch.watch(["a.org", "b.org", "gone.org"], HERE)
    told(changes, "a.org", "b.org", "gone.org")
    assert watch.known() == {
        "a.org": Resolution(HERE, None),
        "b.org": Resolution(THERE, None),
        "gone.org": Resolution(frozenset(), "gone.org does not exist in the DNS"),
    }


def test_more_hosts_than_are_asked_for_at_once_are_all_known(start: Start) -> None:
    hosts = [f"host{number}.org" for number in range(50)]
    watch, changes = start(FakeLookups(dict.fromkeys(hosts, HERE)))
    watch.watch(hosts, HERE)
    told(changes, *hosts)
    assert watch.known().keys() == set(hosts)


def test_a_host_that_nobody_depends_on_any_more_is_forgotten(start: Start) -> None:
    watch, changes = start(FakeLookups({"a.org": HERE, "b.org": HERE}))
    watch.watch(["a.org"], HERE)
    told(changes, "a.org")
    watch.watch(["b.org"], HERE)
    told(changes, "b.org")
    assert watch.known().keys() == {"b.org"}


def test_a_good_answer_is_not_asked_for_again_at_once(start: Start) -> None:
    fake = FakeLookups({"a.org": HERE, "b.org": HERE})
    watch, changes = start(fake)
    watch.watch(["a.org"], HERE)
    told(changes, "a.org")
    watch.watch(["a.org", "b.org"], HERE)
    told(changes, "b.org")
    assert sorted(fake.asked) == ["a.org", "b.org"]


def test_a_good_answer_is_asked_for_again_when_somebody_else_answers(start: Start) -> None:
    fake = FakeLookups({"a.org": HERE})
    watch, changes = start(fake)
    watch.watch(["a.org"], HERE)
    told(changes, "a.org")
    fake.answers["a.org"] = THERE
    watch.ask_anew()
    told(changes, "a.org")
    assert watch.known() == {"a.org": Resolution(THERE, None)}


@pytest.mark.usefixtures("at_once")
def test_a_new_answer_is_told_and_the_same_one_is_not(start: Start) -> None:
    fake = FakeLookups({"a.org": THERE})
    watch, changes = start(fake)
    watch.watch(["a.org"], HERE)
    told(changes, "a.org")
    until(lambda: len(fake.asked) > 3)
    assert changes.empty()
    fake.answers["a.org"] = HERE
    told(changes, "a.org")
    assert watch.known() == {"a.org": Resolution(HERE, None)}


@pytest.mark.usefixtures("at_once")
def test_a_resolver_that_does_not_answer_takes_nothing_back(start: Start) -> None:
    fake = FakeLookups({"a.org": HERE})
    watch, changes = start(fake)
    watch.watch(["a.org"], HERE)
    told(changes, "a.org")
    fake.answers["a.org"] = SILENCE
    asked = len(fake.asked)
    until(lambda: len(fake.asked) > asked + 2)
    assert watch.known() == {"a.org": Resolution(HERE, None)}
    assert changes.empty()
    fake.answers["a.org"] = NotFound("a.org does not exist in the DNS")
    told(changes, "a.org")
    assert watch.known()["a.org"].problem == "a.org does not exist in the DNS"


def test_what_nobody_could_say_is_known_as_uncertain(start: Start) -> None:
    watch, changes = start(FakeLookups({"a.org": SILENCE}))
    watch.watch(["a.org"], HERE)
    told(changes, "a.org")
    assert watch.known() == {"a.org": Resolution(frozenset(), "nobody answered", is_certain=False)}


class HoledLookups(FakeLookups):
    """Some hosts' name servers are black holes: a look-up takes until the test ends."""

    def __init__(self, answers: dict[str, frozenset[Any]], holes: set[str]) -> None:
        super().__init__(answers)
        self.holes = holes
        self.release = threading.Event()

    def addresses(self, host: str) -> frozenset[Any]:
        if host in self.holes:
            self.asked.append(host)
            self.release.wait(PATIENCE_SECONDS)
            raise SILENCE
        return super().addresses(host)


def test_hosts_that_nobody_answers_for_delay_nobody_else(start: Start) -> None:
    """A look-up that hangs holds up no answer to another one, and all that hang together never take every place."""
    holes = {f"hole{number}.org" for number in range(100)}
    fake = HoledLookups({"a.org": THERE}, holes)
    watch, changes = start(fake)
    watch.watch(["a.org"], HERE)
    told(changes, "a.org")
    watch.watch(["a.org", *holes], HERE)
    until(lambda: len(fake.asked) == 1 + askings.MOST_SLOW)
    watch.watch(["a.org", "b.org", *holes], HERE)
    assert watch.answer("a.org") == Resolution(THERE, None)
    fake.release.set()
    told(changes, "b.org", *holes)


def test_a_look_up_that_fails_in_an_unknown_way_is_told() -> None:
    failures: queue.Queue[BaseException] = queue.Queue()
    fake = FakeLookups()
    fake.addresses = lambda host: 1 // 0  # type: ignore[method-assign,return-value,assignment]
    watch = Watch(fake, lambda _: None)
    watch.start(failures.put)
    watch.watch(["a.org"], HERE)
    assert isinstance(failures.get(timeout=PATIENCE_SECONDS), ZeroDivisionError)
    watch.stop()


def test_stopping_may_be_repeated_and_needs_no_start() -> None:
    watch = Watch(FakeLookups(), lambda _: None)
    watch.stop()
    watch.stop()
