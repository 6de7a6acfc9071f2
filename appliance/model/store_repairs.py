"""What becomes of a damaged certificate store: what is taken from it, what from snapshots, and what is lost."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from appliance.model.certificate_stores import Entry, Store
from appliance.model.certificates import is_covered

_NAMES_TOLD = 10
_NOTHING_LOST = "no certificate was lost"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole store of earlier."""

    taken: float
    """Unix seconds."""
    store: Store


@dataclass(frozen=True, slots=True)
class Repair:
    """The store to go on with, and how it came about."""

    store: Store
    restored_from: float | None
    """When the newest snapshot was taken that something was taken from; None: from none."""
    lost: tuple[str, ...]
    """Names that there was a certificate for, and for which there is none any more."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A repair, as it is reported."""

    store: str
    """The store's file, like `acme.json`."""
    when: float
    """Unix seconds, like `restored_from`."""
    wrong: str
    restored_from: float | None
    ordered_anew: tuple[str, ...]

    def sentence(self) -> str:
        """For an operator."""
        source = f" from the snapshot of {_moment(self.restored_from)}" if self.restored_from is not None else ""
        lost = f"to be ordered anew: {_enumerated(self.ordered_anew)}" if self.ordered_anew else _NOTHING_LOST
        return f"{self.store} was repaired at {_moment(self.when)}{source}, because {self.wrong}; {lost}"


def repair(found: Store, snapshots: Iterable[Snapshot], known: Collection[str] = ()) -> Repair:
    """The best that can be made of a store with faults. `snapshots` come newest first, `known` are names it had.

    A store that is damaged as a whole is the newest snapshot, with what could still be read of it; in any other only
    the damaged entries are replaced, for what is in a snapshot besides may have been dropped on purpose since.
    """
    used: list[float] = []
    account = found.account
    entries = {entry.asked: entry for entry in found.entries if entry.certificate is not None}
    damaged = {entry.asked for entry in found.entries if entry.certificate is None} - entries.keys() - {()}
    is_account_missing = bool(found.account is None and (found.fault or found.account_fault))
    for position, snapshot in enumerate(snapshots):
        wanted = [entry for entry in snapshot.store.entries if _is_better(entry, entries.get(entry.asked))]
        if not (found.fault and position == 0):
            wanted = [entry for entry in wanted if entry.asked in damaged]
        takes_account = is_account_missing and account is None and snapshot.store.account is not None
        if wanted or takes_account:
            used.append(snapshot.taken)
        entries |= {entry.asked: entry for entry in wanted}
        damaged -= entries.keys()
        account = snapshot.store.account if takes_account else account
        if not damaged and not (is_account_missing and account is None):
            break
    kept = Store(found.resolver, tuple(entries.values()), account)
    names = {*known, *found.mentioned}
    return Repair(kept, max(used, default=None), tuple(sorted(name for name in names if not _is_kept(name, kept))))


def _is_better(entry: Entry, present: Entry | None) -> bool:
    """Whether a snapshot's certificate is the one to have; of two whole ones the one that lasts longer is newer."""
    if present is None or present.certificate is None or entry.certificate is None:
        return entry.certificate is not None
    return entry.certificate.not_after > present.certificate.not_after


def _is_kept(name: str, store: Store) -> bool:
    return any(is_covered(name.lower(), certificate.names) for certificate in store.certificates)


def _moment(when: float) -> str:
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _enumerated(names: Collection[str]) -> str:
    told = sorted(names)[:_NAMES_TOLD]
    more = len(names) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")
