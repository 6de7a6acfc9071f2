"""Presenting, cleaning up and expiring: the order in which the use case keeps its promise."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import pytest

from appliance.control.challenges import Challenges
from appliance.control.ports import Counters
from appliance.model.challenges import (
    LIFETIME_SECONDS,
    Challenge,
)
from appliance.model.errors import Refused, Unavailable
from appliance.model.histories import Entry, Fetch
from appliance.model.zones import Zone
from tests.fakes import FakeAuthority, FakeChallengeStore

NAME = "_acme-challenge.gw.example.com"
ZONES = (Zone(NAME, "gw.example.com"),)


def challenge(value: str = "v", name: str = NAME, presented: float = 1000.0) -> Challenge:
    return Challenge(name, value, presented, "test")


class Recorder:
    """An authority and a store that note in which order they were used."""

    def __init__(self, serial: int = 0, kept: Iterable[Challenge] = ()) -> None:
        self.events: list[tuple[object, ...]] = []
        self.kept = (serial, tuple(kept))
        self.history: tuple[Entry, ...] = ()
        self.seen: list[Fetch] = []
        self.is_full = False

    def set_zones(self, zones: Iterable[Zone]) -> None:
        self.events.append(("zones", *(zone.apex for zone in zones)))

    def publish(self, serial: int, values: Mapping[str, tuple[str, ...]]) -> None:
        self.events.append(("publish", serial, dict(values)))

    def fetches(self) -> Sequence[Fetch]:
        seen, self.seen = self.seen, []
        return seen

    def counters(self) -> Counters:
        raise NotImplementedError

    def load(self) -> tuple[int, tuple[Challenge, ...]]:
        return self.kept

    def save(self, serial: int, challenges: Iterable[Challenge]) -> None:
        if self.is_full:
            raise Unavailable("no space left")
        self.kept = (serial, tuple(challenges))
        self.events.append(("save", serial, *(one.value for one in self.kept[1])))

    def load_history(self) -> Sequence[Entry]:
        return self.history

    def save_history(self, entries: Iterable[Entry]) -> None:
        if self.is_full:
            raise Unavailable("no space left")
        self.history = tuple(entries)
        self.events.append(("save history", *(one.state for one in self.history)))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def outside() -> Recorder:
    return Recorder()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def challenges(outside: Recorder, clock: Clock) -> Challenges:
    use_case = Challenges(outside, outside, clock)
    use_case.set_zones(ZONES)
    outside.events.clear()
    return use_case


def test_the_answer_changes_before_it_is_stored(challenges: Challenges, outside: Recorder) -> None:
    challenges.present(NAME.upper() + ".", "v", "me")
    challenges.clean_up(NAME, "v", "me")
    assert outside.events == [
        ("publish", 1001, {NAME: ("v",)}),
        ("save", 1001, "v"),
        ("publish", 1002, {}),
        ("save", 1002),
    ]


def test_a_new_process_answers_what_was_stored_and_its_serial_rises(outside: Recorder, clock: Clock) -> None:
    outside.kept = (5000, (challenge("kept"), challenge("old", presented=-9000.0)))
    Challenges(outside, outside, clock).set_zones(ZONES)
    assert outside.events == [
        ("publish", 5257, {NAME: ("kept",)}),
        ("zones", NAME),
        ("publish", 5258, {NAME: ("kept",)}),
        ("save", 5258, "kept"),
    ]


def test_no_serial_that_was_answered_and_not_stored_comes_again(outside: Recorder, clock: Clock) -> None:
    """The answer changes first: a process may be killed in between, or the disk take nothing for a while."""
    before = Challenges(outside, outside, clock)
    before.set_zones(ZONES)
    stored = outside.kept
    for number in range(100):
        before.present(NAME, f"v{number}", "me")
    answered = max(published(outside))
    outside.kept = stored
    outside.events.clear()
    Challenges(outside, outside, clock).set_zones(ZONES)
    assert min(published(outside)) > answered


def published(outside: Recorder) -> list[int]:
    return [cast("int", event[1]) for event in outside.events if event[0] == "publish"]


def test_a_value_whose_zone_is_gone_can_be_cleaned_up(challenges: Challenges, outside: Recorder) -> None:
    """A zone may come back within the hour, and must not bring it back."""
    challenges.present(NAME, "v", "me")
    challenges.set_zones(())
    challenges.clean_up(NAME, "v", "me")
    assert outside.events[-1][0] == "save"
    assert outside.events[-2][2] == {}
    with pytest.raises(Refused, match="no zone"):
        challenges.clean_up(NAME, "v", "me")


@pytest.mark.parametrize("name", ["gw.example.com", "x" + NAME, "example.org"])
def test_a_name_outside_every_zone_is_refused_and_the_zones_are_named(challenges: Challenges, name: str) -> None:
    with pytest.raises(Refused, match=f"in no zone of this gateway: it has {NAME}"):
        challenges.present(name, "v", "me")
    with pytest.raises(Refused, match="no zone"):
        challenges.clean_up(name, "v", "me")


def test_without_any_zone_the_refusal_names_the_setting(outside: Recorder, clock: Clock) -> None:
    with pytest.raises(Refused, match=r"public\.domains is empty"):
        Challenges(outside, outside, clock).present(NAME, "v", "me")


def test_a_full_disk_is_told_to_the_caller(challenges: Challenges, outside: Recorder) -> None:
    outside.is_full = True
    with pytest.raises(Unavailable, match="no space left"):
        challenges.present(NAME, "v", "me")


def test_expiry_takes_the_value_from_authority_and_store(
    challenges: Challenges, outside: Recorder, clock: Clock
) -> None:
    challenges.present(NAME, "v", "me")
    clock.now += LIFETIME_SECONDS
    challenges.expire()
    assert outside.events[-3][2] == {}
    assert outside.kept[1] == ()
    assert [entry.state for entry in challenges.history()] == ["expired"]


def test_the_history_tells_who_presented_who_fetched_and_how_it_ended(
    challenges: Challenges, outside: Recorder, clock: Clock
) -> None:
    challenges.present(NAME, "v", "uid 0 pid 1")
    outside.seen = [Fetch(NAME, 1000.5, "192.0.2.1"), Fetch("else.where", 1000.6, "192.0.2.2")]
    clock.now = 1001.0
    challenges.clean_up(NAME, "v", "uid 0 pid 2")
    outside.seen = [Fetch(NAME, 1001.5, "192.0.2.3")]
    (entry,) = challenges.history()
    assert (entry.challenge.by, entry.challenge.presented) == ("uid 0 pid 1", 1000.0)
    assert entry.fetches == (Fetch(NAME, 1000.5, "192.0.2.1"),)
    assert (entry.state, entry.ended) == ("cleaned up", 1001.0)


def test_the_history_is_stored_by_the_housekeeping_when_it_changed(challenges: Challenges, outside: Recorder) -> None:
    """No hook waits for it."""
    challenges.present(NAME, "v", "me")
    outside.events.clear()
    outside.seen = [Fetch(NAME, 1000.5, "192.0.2.1")]
    for _ in range(3):
        challenges.expire()
    assert outside.events == [("save history", "fetched")]
    challenges.clean_up(NAME, "v", "me")
    outside.events.clear()
    challenges.expire()
    assert outside.events == [("save history", "cleaned up")]


def test_a_new_process_goes_on_with_the_history(outside: Recorder, clock: Clock) -> None:
    """Also where the process before was killed in the seconds between a change and the housekeeping."""
    fetches = (Fetch(NAME, 901.0, "192.0.2.1"),)
    outside.history = (
        Entry(challenge("ended", presented=800.0), "cleaned up", fetches, 1, 810.0),
        Entry(challenge("alive", presented=900.0), "fetched", fetches, 1),
        Entry(challenge("cleaned up meanwhile", presented=900.0), "fetched", fetches, 1),
        Entry(challenge("expired meanwhile", presented=-9000.0)),
    )
    alive, old = outside.history[1].challenge, outside.history[3].challenge
    outside.kept = (5, (old, alive, challenge("presented meanwhile", presented=902.0)))
    use_case = Challenges(outside, outside, clock)
    assert [(one.challenge.value, one.state, one.ended, one.fetch_count) for one in use_case.history()] == [
        ("ended", "cleaned up", 810.0, 1),
        ("alive", "fetched", None, 1),
        ("cleaned up meanwhile", "gone", 1000.0, 1),
        ("expired meanwhile", "expired", 1000.0, 0),
        ("presented meanwhile", "presented", None, 0),
    ]
    outside.events.clear()
    use_case.expire()
    assert outside.events == [("save history", "cleaned up", "fetched", "gone", "expired", "presented")]


class FullStore(FakeChallengeStore):
    """A store on a disk that is full."""

    is_full = True

    def save(self, serial: int, challenges: Iterable[Challenge]) -> None:
        if self.is_full:
            raise Unavailable("no space left on device")
        super().save(serial, challenges)

    def save_history(self, entries: Iterable[Entry]) -> None:
        if self.is_full:
            raise Unavailable("no space left on device")
        super().save_history(entries)


def test_a_full_disk_does_not_silence_the_authority() -> None:
    """Only who waits for an answer is told; zones and expiry go on, and what was not stored is stored later."""
    store, authority = FullStore(), FakeAuthority()
    challenges = Challenges(authority, store, lambda: 1000.0)
    challenges.set_zones([Zone("_acme-challenge.gw.example.com", "gw.example.com")])
    with pytest.raises(Unavailable, match="no space left"):
        challenges.present("_acme-challenge.gw.example.com", "value", "somebody")
    assert authority.values == {"_acme-challenge.gw.example.com": ("value",)}
    assert [entry.challenge.value for entry in challenges.history()] == ["value"]
    challenges.expire()
    assert "no space left" in (challenges.trouble() or "")
    store.is_full = False
    challenges.expire()
    assert challenges.trouble() is None
    assert [challenge.value for challenge in store.saved[1]] == ["value"]
    assert [entry.challenge.value for entry in store.history] == ["value"]


@pytest.mark.parametrize("verb", ["present", "clean up"])
def test_what_could_not_be_stored_for_a_caller_is_told_and_stored_later(verb: str) -> None:
    """Else a value that was cleaned up would come back with the next start."""
    store, authority = FullStore(), FakeAuthority()
    store.is_full = False
    challenges = Challenges(authority, store, lambda: 1000.0)
    challenges.set_zones([Zone("_acme-challenge.gw.example.com", "gw.example.com")])
    challenges.present("_acme-challenge.gw.example.com", "old", "somebody")
    store.is_full = True
    call = challenges.present if verb == "present" else challenges.clean_up
    value = "new" if verb == "present" else "old"
    for _ in range(2):  # the second time there is nothing to change, and still it is not stored
        with pytest.raises(Unavailable, match="no space left"):
            call("_acme-challenge.gw.example.com", value, "somebody")
    assert "no space left" in (challenges.trouble() or "")
    store.is_full = False
    challenges.expire()
    assert challenges.trouble() is None
    assert [challenge.value for challenge in store.saved[1]] == (["old", "new"] if verb == "present" else [])
