"""Rows as a table with a heading on a terminal; elsewhere as lines for programs, their cells apart by tabs."""

import sys
from collections.abc import Collection, Sequence

Row = Sequence[str]


def is_wanted() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def text(
    heading: Row,
    rows: Sequence[Row],
    nothing: str,
    *,
    notes: Sequence[Sequence[str]] = (),
    right: Collection[int] = (),
    is_table: bool = True,
) -> str:
    """All rows, or what to say when there are none; columns in `right` are aligned there.

    `notes`, if there are any, are sentences about each row: they stand below it, or in a cell of their own.
    """
    told = notes or [()] * len(rows)
    if not is_table:
        return "\n".join(
            _line([*row, *(["; ".join(note)] if notes else [])]) for row, note in zip(rows, told, strict=True)
        )
    if not rows:
        return nothing
    widths = [max(len(row[column]) for row in (heading, *rows)) for column in range(len(heading) - 1)]
    lines = [_aligned(heading, widths, right)]
    for row, note in zip(rows, told, strict=True):
        lines += [_aligned(row, widths, right), *(f"  {sentence}" for sentence in note)]
    return "\n".join(lines)


def _line(cells: Row) -> str:
    return "\t".join(" ".join(cell.split()) for cell in cells)


def _aligned(row: Row, widths: Sequence[int], right: Collection[int]) -> str:
    cells = [
        cell.rjust(width) if place in right else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=False))
    ]
    return "  ".join([*cells, row[-1]]).rstrip()
