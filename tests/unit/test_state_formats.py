"""The format of the state: a newer one is refused before anything is touched, an older one brought up to date."""

from pathlib import Path

import pytest

from appliance.adapters import state_format
from appliance.layout import Root
from appliance.model import state_formats
from appliance.model.errors import GatewayError, InvalidInput, Refused


@pytest.mark.parametrize(
    ("text", "found"), [(None, 1), ("1", 1), ("1\n", 1), ("2\n", 2), ("0", None), ("-1", None), ("x", None), ("", None)]
)
def test_the_format_file_is_a_number(text: str | None, found: int | None) -> None:
    if found is None:
        with pytest.raises(InvalidInput):
            state_formats.parse(text)
    else:
        assert state_formats.parse(text) == found


def test_a_newer_format_is_refused_and_an_older_one_gets_steps() -> None:
    assert list(state_formats.steps(state_formats.CURRENT)) == []
    with pytest.raises(Refused, match="newer"):
        state_formats.steps(state_formats.CURRENT + 1)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(tmp_path / "root")
    made.create()
    return made


def test_a_root_without_a_number_gets_it(root: Root) -> None:
    state_format.bring_up_to_date(root)
    assert root.format.read_text() == f"{state_formats.CURRENT}\n"
    assert state_format.check(root) == state_formats.CURRENT


def test_a_root_that_is_not_there_yet_is_fine(tmp_path: Path) -> None:
    assert state_format.check(Root(tmp_path / "none")) == 1


@pytest.mark.parametrize("text", ["2\n", "999999", "latest", "", "1.0"])
def test_what_this_version_cannot_use_is_refused_in_one_line_and_left_as_it_is(root: Root, text: str) -> None:
    root.format.write_text(text)
    with pytest.raises(GatewayError) as refused:
        state_format.bring_up_to_date(root)
    assert str(root.path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert root.format.read_text() == text


def test_a_directory_in_the_numbers_place_is_named(root: Root) -> None:
    root.format.mkdir()
    with pytest.raises(GatewayError, match="Is a directory"):
        state_format.check(root)


def test_half_a_restore_is_not_started_on(root: Root) -> None:
    root.unfinished_restore.touch()
    with pytest.raises(Refused, match="gateway restore FILE"):
        state_format.check(root)
