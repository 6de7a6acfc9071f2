"""Tables are for terminals; a pipe gets one row a line."""

from appliance.cli import tables

HEADING = ("NAME", "COUNT", "REMARKS")
ROWS = [("a", "10", ""), ("longer", "2", "well, \twell\nwell")]


def test_a_terminal_gets_a_heading_and_columns() -> None:
    assert tables.text(HEADING, ROWS[:1], "none", right=(1,)).splitlines() == ["NAME  COUNT  REMARKS", "a        10"]
    assert tables.text(HEADING, ROWS, "none").splitlines()[1] == "a       10"
    assert tables.text(HEADING, [], "none") == "none"


def test_notes_stand_below_their_row() -> None:
    shown = tables.text(HEADING, ROWS, "none", notes=[["one", "two"], []]).splitlines()
    assert shown[2:4] == ["  one", "  two"]


def test_a_pipe_gets_as_many_cells_in_every_line() -> None:
    assert tables.text(HEADING, ROWS, "none", is_table=False) == "a\t10\t\nlonger\t2\twell, well well"
    noted = tables.text(HEADING, ROWS, "none", notes=[["one", "two"], []], is_table=False)
    assert noted == "a\t10\t\tone; two\nlonger\t2\twell, well well\t"
    assert tables.text(HEADING, [], "none", is_table=False) == ""
