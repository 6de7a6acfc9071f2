"""Plans: the difference between the files that are there and the files that should be, as values."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Create:
    """A file that is not there yet."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Update:
    """A file whose content differs."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A file nobody wants any more."""

    name: str


Change = Create | Update | Delete
Plan = tuple[Change, ...]


def diff(current: Mapping[str, str], wanted: Mapping[str, str]) -> Plan:
    """What turns `current` into `wanted` (file name -> text).

    Deletions come last: a route that moves from one file to another is then never without a file.
    """
    deletes = [Delete(name) for name in sorted(current.keys() - wanted.keys())]
    writes: list[Change] = []
    for name, text in sorted(wanted.items()):
        if name not in current:
            writes.append(Create(name, text))
        elif current[name] != text:
            writes.append(Update(name, text))
    return (*writes, *deletes)
