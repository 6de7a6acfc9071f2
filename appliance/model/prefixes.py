"""Partitions names by their prefixes into groups of about equal size.

Traefik looks for a router one by one. Ten thousand names in about a hundred groups, each behind one rule on the
beginning of the name, cost a request two scans of about a hundred instead of one of ten thousand.

The groups cover exactly the names in use, each name lies in one group, and every group is a run of neighbours in
sorted order. How far a group is split depends only on the names that share its prefix: a name that comes or goes
changes its own group, and seldom a neighbouring one.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

END = ""
"""Stands for "the name ends here" among the characters that may follow a prefix."""


@dataclass(frozen=True, slots=True)
class Group:
    """The names that begin with `prefix` and go on with one of `following` (in sorted order; `END` first)."""

    prefix: str
    following: tuple[str, ...]
    names: tuple[str, ...]

    def pattern(self, rest: str, end: str) -> str:
        """A regular expression (RE2 and Python alike) for the group's names.

        `rest` matches what may come behind the distinguishing character, `end` what follows a whole name.
        """
        characters = "".join(re.escape(character) for character in self.following if character != END)
        onward = f"[{characters}]{rest}" if characters else ""
        if END in self.following:
            onward = f"(?:{onward})?" if onward else ""
        return f"^{re.escape(self.prefix)}{onward}{end}"

    @property
    def label(self) -> str:
        """A name for the group, of letters, digits, `-`, `_` and `.`; no two groups of a partition share it."""
        first, last = self.following[0] or "_", self.following[-1] or "_"
        return f"{self.prefix}.{first}{last}"


def largest_group(count: int) -> int:
    """How many of `count` names may share a group: about the square root, in powers of two so that it seldom moves."""
    return 2 ** math.ceil(math.log2(math.sqrt(count))) if count > 1 else 1


def partition(names: Sequence[str], limit: int) -> list[Group]:
    """The groups of `names` (sorted, each once), none larger than `limit`."""
    return list(_split("", names, limit))


def _split(prefix: str, names: Sequence[str], limit: int) -> Iterator[Group]:
    """Groups of the sorted `names`, which all begin with `prefix`."""
    runs = list(_runs(len(prefix), names))
    gathered: list[str] = []
    start = end = 0
    for character, begin, stop in runs:
        is_too_much = end - start + stop - begin > limit
        if gathered and is_too_much:
            yield Group(prefix, tuple(gathered), tuple(names[start:end]))
            gathered, start = [], begin
        if stop - begin > limit:
            yield from _split(prefix + character, names[begin:stop], limit)
            gathered, start = [], stop
        else:
            gathered.append(character)
        end = stop
    if gathered:
        yield Group(prefix, tuple(gathered), tuple(names[start:end]))


def _runs(position: int, names: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """(character at `position`, first index, index behind the last) of each run of names that agree there."""
    index = 0
    while index < len(names):
        character = names[index][position : position + 1]
        if character == END:
            stop = index + 1  # names are all different: only one ends here
        else:
            last = names[index][:position] + character + "\U0010ffff"
            stop = bisect_right(names, last, index)
        yield character, index, stop
        index = stop
