"""The partition of names by prefix: every name in one group, no group too large, and one name moves little."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.prefixes import Group, largest_group, partition

_LABEL_REST, _END = "[a-z0-9-]*", r"\.gw\.test$"
_names = st.sets(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True), min_size=1, max_size=80)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, 1), (1, 1), (2, 2), (4, 2), (5, 4), (100, 16), (501, 32), (1000, 32), (10000, 128)]
)
def test_a_group_holds_about_the_square_root(count: int, expected: int) -> None:
    assert largest_group(count) == expected


def test_names_that_fit_are_one_group() -> None:
    assert partition(["a", "b"], 2) == [Group("", ("a", "b"), ("a", "b"))]


def test_a_crowded_prefix_is_split_and_its_neighbours_are_not() -> None:
    found = partition(["a", "b1", "b2", "b3", "c"], 2)
    assert [(group.prefix, group.following) for group in found] == [
        ("", ("a",)),
        ("b", ("1", "2")),
        ("b", ("3",)),
        ("", ("c",)),
    ]


def test_a_name_that_ends_where_others_go_on_has_its_place() -> None:
    (first, second) = partition(["w", "w1", "w2"], 2)
    assert first.names == ("w", "w1")
    assert second.names == ("w2",)
    assert re.search(first.pattern(_LABEL_REST, _END), "w.gw.test")
    assert not re.search(second.pattern(_LABEL_REST, _END), "w.gw.test")


@given(_names, st.integers(1, 20))
def test_every_name_is_in_exactly_one_group_and_only_its_pattern_matches(names: set[str], limit: int) -> None:
    groups = partition(sorted(names), limit)
    assert [name for group in groups for name in group.names] == sorted(names)
    assert all(1 <= len(group.names) <= limit for group in groups)
    assert len({group.label for group in groups}) == len(groups)
    patterns = [re.compile(group.pattern(_LABEL_REST, _END)) for group in groups]
    for group, own in zip(groups, patterns, strict=True):
        for name in group.names:
            assert [pattern for pattern in patterns if pattern.search(f"{name}.gw.test")] == [own]


@given(_names, st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True), st.integers(2, 20))
def test_one_name_more_leaves_the_groups_of_other_first_letters_alone(names: set[str], fresh: str, limit: int) -> None:
    """A crowded first letter is split by itself: what happens below it is nobody else's business."""
    crowded = {f"{letter}{number:03d}" for letter in "mx" for number in range(limit + 1)}
    before = {
        group.names for group in partition(sorted(names | crowded), limit) if group.prefix[:1] not in ("", fresh[0])
    }
    after = {group.names for group in partition(sorted(names | crowded | {fresh}), limit)}
    assert before <= after
