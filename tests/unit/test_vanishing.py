"""Files that vanish many at once are held, deletions on purpose never."""

import pytest

from appliance.model.vanishing import Vanished


def ids(count: int, start: int = 0) -> set[str]:
    return {f"w{number}" for number in range(start, start + count)}


@pytest.mark.parametrize(
    ("gone", "total", "is_held"),
    [
        (20, 20, False),
        (6, 21, False),
        (7, 21, True),
        (30, 100, False),
        (31, 100, True),
        (100, 100, True),
        (0, 100, False),
    ],
)
def test_more_than_30_percent_of_more_than_20(gone: int, total: int, is_held: bool) -> None:
    after = Vanished().after(ids(gone), set(), total)
    assert after.held == (ids(gone) if is_held else frozenset())
    assert (after.reason() is not None) == is_held


def test_what_comes_back_is_no_longer_held() -> None:
    held = Vanished().after(ids(40), set(), 100)
    assert held.after(set(), ids(5), 100).held == ids(35, start=5)
    assert held.after(set(), ids(20), 100).held == frozenset()


def test_what_is_confirmed_goes() -> None:
    assert Vanished().after(ids(40), set(), 100).forced().after(ids(40), set(), 100).held == frozenset()


def test_a_deletion_on_purpose_does_not_count_and_ends_a_hold() -> None:
    assert Vanished().meant("w0").after({"w0"}, set(), 21).held == frozenset()
    held = Vanished().after(ids(40), set(), 100)
    assert held.meant("w3").after({"w3"}, set(), 100).held == ids(40) - {"w3"}
