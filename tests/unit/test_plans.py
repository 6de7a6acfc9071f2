"""The difference between the files that are there and those that should be."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.plans import Create, Delete, Plan, Update, diff
from tests.fakes import FakeRouteFiles

FILES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz"))


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        ({}, {}, ()),
        ({"a": "1"}, {"a": "1"}, ()),
        ({}, {"b": "2", "a": "1"}, (Create("a", "1"), Create("b", "2"))),
        ({"a": "1"}, {"a": "2"}, (Update("a", "2"),)),
        ({"a": "1", "b": "1"}, {}, (Delete("a"), Delete("b"))),
        ({"z": "1", "m": "1"}, {"a": "1", "m": "2"}, (Create("a", "1"), Update("m", "2"), Delete("z"))),
    ],
)
def test_a_plan_names_each_change_once_and_deletions_last(
    current: Mapping[str, str], wanted: Mapping[str, str], expected: Plan
) -> None:
    assert diff(current, wanted) == expected


@given(FILES, FILES)
def test_carrying_out_a_plan_gives_what_was_wanted(current: dict[str, str], wanted: dict[str, str]) -> None:
    files = FakeRouteFiles()
    files.files = dict(current)
    files.write(diff(current, wanted))
    assert files.files == wanted
    assert diff(files.files, wanted) == ()
