"""Workload files that vanish many at once: more likely a lost mount than a decision.

A plan that would delete more than 30 % of more than 20 workloads because their files are gone is held: the routes stay,
and the operator is told. Deletions asked for one by one never count.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Self

_FEWEST = 20
_LARGEST_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Vanished:
    """What has vanished without anybody saying so. Never changed: each observation gives the next value."""

    held: frozenset[str] = frozenset()
    """Ids whose files are gone and whose routes are kept."""
    total: int = 0
    """How many workloads there were when they vanished."""
    is_forced: bool = False
    """The operator has said that whatever is gone is meant to be."""
    _meant: frozenset[str] = frozenset()

    def meant(self, identity: str) -> Self:
        """With one that is being deleted on purpose."""
        return replace(self, _meant=self._meant | {identity})

    def forced(self) -> Self:
        """The next observation is believed whatever it is."""
        return replace(self, is_forced=True)

    def after(self, gone: AbstractSet[str], seen: AbstractSet[str], total: int) -> Self:
        """The value after a look at the files: `gone` are missing, `seen` are there, `total` were known before."""
        vanished = (self.held | gone) - self._meant - seen
        is_suspicious = total > _FEWEST and len(vanished) > _LARGEST_SHARE * total
        kept = frozenset(vanished) if is_suspicious and not self.is_forced else frozenset[str]()
        return type(self)(held=kept, total=total, _meant=self._meant - gone - seen)

    def reason(self) -> str | None:
        """Why a plan is held, and what to do; None when none is."""
        if not self.held:
            return None
        return (
            f"{len(self.held)} of {self.total} workload files vanished at once; their routes are kept, in case a mount "
            "was lost: bring the files back, or confirm with `gateway route prune`"
        )
