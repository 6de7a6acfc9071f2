"""Reads the desired state: what is new, changed or gone among the workload files since the last look.

What cannot be read is no news, and files that vanish many at once are held back. Used under the applier's lock.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from appliance import logs
from appliance.control.ports import WorkloadStore
from appliance.model.admission import Desired
from appliance.model.errors import Unavailable
from appliance.model.vanishing import Vanished

log = logs.logger(__name__)

_ABSENT = object()


class Reading:
    """Keeps which files to look at, and what is held back."""

    def __init__(self, store: WorkloadStore) -> None:
        self._store = store
        self._is_everything_due = True
        self._due: set[str] = set()
        self._vanished = Vanished()
        self._problem: str | None = None

    def request(self, identities: Iterable[str] | None) -> None:
        """Look at these workloads' files the next time, or (None) at all."""
        if identities is None:
            self._is_everything_due = True
        else:
            self._due.update(identities)

    def expect_gone(self, identity: str) -> None:
        """Let this one go: it is being deleted on purpose, and does not count as vanished."""
        self._vanished = self._vanished.meant(identity)

    def believe(self) -> None:
        """Whatever is gone at the next look is meant to be."""
        self._vanished = self._vanished.forced()
        self._is_everything_due = True

    def is_held(self, identity: str) -> bool:
        """Whether a workload is kept although its file vanished."""
        return identity in self._vanished.held

    def is_blocked(self) -> bool:
        """Whether the last look failed, and what was due is still due."""
        return self._problem is not None

    def trouble(self) -> str | None:
        """Why the desired state is not taken over as it lies there, and what to do; None when it is."""
        return self._problem or self._vanished.reason()

    def take(self, desired: Mapping[str, Desired], live: AbstractSet[str]) -> dict[str, Desired | None]:
        """The changes against `desired`, None for a workload that is gone. `live` are the ids that have a route."""
        known = desired.keys() | live
        try:
            changes = self._look(known)
        except Unavailable as error:
            if self._problem is None:
                log.error("the desired state cannot be read", reason=str(error))
            self._problem = str(error)
            return {}
        self._problem = None
        self._is_everything_due = False
        self._due.clear()
        changes |= self._hold_back(changes, known)
        return {
            identity: item
            for identity, item in changes.items()
            if identity not in self._vanished.held and desired.get(identity, _ABSENT) != item
        }

    def _look(self, known: AbstractSet[str]) -> dict[str, Desired | None]:
        """The files that may have changed; or all, and those that are missing. Raises Unavailable."""
        if not self._is_everything_due:
            return dict(self._store.read(self._due))
        found = {item.id: item for item in self._store.load()}
        return {**found, **dict.fromkeys(known - found.keys())}

    def _hold_back(self, changes: Mapping[str, Desired | None], known: AbstractSet[str]) -> dict[str, Desired | None]:
        """Decide what is held back; returns what was held before and is now let go."""
        gone = {identity for identity, item in changes.items() if item is None}
        before = self._vanished.held
        self._vanished = self._vanished.after(gone & known, changes.keys() - gone, len(known))
        if self._vanished.held - before:
            log.error("plan held", reason=self._vanished.reason())
        return dict.fromkeys(before - self._vanished.held - changes.keys())
