"""The history of challenges: bounded, and of use to whoever looks for a validation in it."""

import pytest

from appliance.model.challenges import Challenge
from appliance.model.histories import LONGEST, MOST_FETCHES, Fetch, History

NAME = "_acme-challenge.gw.example.com"


def challenge(value: str) -> Challenge:
    return Challenge(NAME, value, 1000.0, "somebody")


def test_the_history_keeps_the_last_200_and_counts_more_fetches_than_it_keeps() -> None:
    history = History()
    for number in range(LONGEST + 1):
        history = history.presented(challenge(str(number)))
    history = history.fetched([Fetch(NAME, float(number), "192.0.2.1") for number in range(MOST_FETCHES + 5)])
    assert len(history.entries) == LONGEST
    assert history.entries[0].challenge.value == "1"
    assert len(history.entries[-1].fetches) == MOST_FETCHES
    assert history.entries[-1].fetch_count == MOST_FETCHES + 5


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        pytest.param("c" + "s" * 100, {0, 1, *range(53, 101)}, id="who comes first"),
        pytest.param("s" * 30 + "c" + "s" * 70, {0, 30, *range(53, 101)}, id="who comes in between"),
        pytest.param("s" * 100 + "c", {0, *range(52, 101)}, id="who comes last"),
        pytest.param("".join(map(chr, range(200, 300))), {*range(25), *range(75, 100)}, id="forged"),
    ],
)
@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_nobody_pushes_the_fetch_of_a_validation_out_of_the_history(sources: str, kept: set[int], at_once: int) -> None:
    """Strangers ask often, before and after the certificate authority."""
    fetches = [Fetch(NAME, float(number), source) for number, source in enumerate(sources)]
    history = History().presented(challenge("v"))
    for start in range(0, len(fetches), at_once):
        history = history.fetched(fetches[start : start + at_once])
    (entry,) = history.entries
    assert {int(fetch.at) for fetch in entry.fetches} == kept
    assert [fetch.at for fetch in entry.fetches] == sorted(fetch.at for fetch in entry.fetches)
    assert entry.fetch_count == len(sources)


def test_a_history_that_is_full_takes_nothing_back_that_it_had_let_go() -> None:
    """More values may be alive than it has room for; what was presented after it was stored is new."""
    challenges = [Challenge(NAME, str(number), 1000.0 + number, "somebody") for number in range(LONGEST + 9)]
    history = History()
    for one in challenges[:-2]:
        history = history.presented(one)
    resumed = History.resumed(history.entries, challenges, 5000.0)
    assert [entry.challenge for entry in resumed.entries] == challenges[-LONGEST:]
