"""Steps: how a long loop goes through its items, so that whoever starts it can have it rest between two of them."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Steps(Protocol):
    """Goes through items, each once and in their order."""

    def __call__(self, items: Iterable[Item]) -> Iterable[Item]:
        """`items`, one by one."""


def at_once(items: Iterable[Item]) -> Iterable[Item]:
    """Without a rest."""
    return items
