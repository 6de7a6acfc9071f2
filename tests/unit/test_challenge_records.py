"""The records of challenges: what a value is, how many there may be, how long they live."""

import pytest

from appliance.model.challenges import (
    LIFETIME_SECONDS,
    MOST_NAMES,
    MOST_VALUES_PER_NAME,
    Challenge,
    Records,
    check_value,
    next_serial,
)
from appliance.model.errors import InvalidInput, Refused

NAME = "_acme-challenge.gw.example.com"


def challenge(value: str = "v", name: str = NAME, presented: float = 1000.0) -> Challenge:
    return Challenge(name, value, presented, "test")


@pytest.mark.parametrize(
    ("previous", "now", "expected"),
    [(0, 1000.9, 1000), (1000, 1000.0, 1001), (5000, 1000.0, 5001), (2**32 - 1, 0.0, 0)],
)
def test_the_serial_always_rises_and_follows_the_time(previous: int, now: float, expected: int) -> None:
    assert next_serial(previous, now) == expected


def test_values_of_one_name_stand_side_by_side() -> None:
    records = Records().present(challenge("one")).present(challenge("two"))
    assert records.values == {NAME: ("one", "two")}


def test_clean_up_takes_only_its_own_value_and_may_be_repeated() -> None:
    both = Records().present(challenge("one")).present(challenge("two"))
    one = both.clean_up(NAME, "one", 1001.0)
    assert one.values == {NAME: ("two",)}
    assert one.serial > both.serial
    assert one.clean_up(NAME, "one", 1002.0) is one
    assert one.clean_up(NAME, "two", 1003.0).values == {}


def test_presenting_again_only_prolongs() -> None:
    records = Records().present(challenge(presented=0.0)).present(challenge(presented=LIFETIME_SECONDS - 1))
    assert records.values == {NAME: ("v",)}
    assert records.expire(LIFETIME_SECONDS) is records


@pytest.mark.parametrize(("age", "is_there"), [(0.0, True), (LIFETIME_SECONDS - 0.1, True), (LIFETIME_SECONDS, False)])
def test_a_value_lives_an_hour(age: float, is_there: bool) -> None:
    records = Records().present(challenge(presented=1000.0)).expire(1000.0 + age)
    assert (NAME in records.values) is is_there


def test_a_store_gives_back_what_was_kept() -> None:
    records = Records().present(challenge("one")).present(challenge("two"))
    assert Records.of(records.serial, records.challenges.values()) == records


def test_a_name_has_a_bounded_number_of_values() -> None:
    records = Records()
    for number in range(MOST_VALUES_PER_NAME):
        records = records.present(challenge(str(number)))
    with pytest.raises(Refused, match=f"already has {MOST_VALUES_PER_NAME} values"):
        records.present(challenge("one too many"))
    records.present(challenge("0"))  # one that is there still may be presented again


def test_the_number_of_names_is_bounded() -> None:
    records = Records.of(1, [challenge(name=f"{number}.{NAME}") for number in range(MOST_NAMES)])
    with pytest.raises(Refused, match=f"{MOST_NAMES} names"):
        records.present(challenge())


@pytest.mark.parametrize("value", ["x", "a" * 255, 'with "quotes" and \\', " "])
def test_a_value_is_any_printable_ascii(value: str) -> None:
    assert check_value(value) == value


@pytest.mark.parametrize("value", ["", "a" * 256, "tab\t", "new\nline", "ä", "\x7f", "\0"])
def test_what_is_no_value_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        check_value(value)
