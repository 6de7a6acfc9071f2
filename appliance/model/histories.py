"""The history of the last challenges: what an operator reads when a validation failed.

Who presented what and when, which servers came to fetch it, and how it ended. It knows no clock and no DNS: events
come with their time, and the oldest challenge makes room for the newest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from appliance.model.challenges import Challenge

LONGEST = 200
MOST_FETCHES = 50
"""Fetches kept per challenge: the first from each address, and the last; so nobody who asks often pushes out the one of
a validation. The others are only counted. A validation takes about ten."""

State = Literal["presented", "fetched", "cleaned up", "expired", "gone"]
"""`gone`: it ended while its end could not be noted, in the seconds before the process was killed."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One query that was answered with the values of `name`: when (Unix time), and from which address."""

    name: str
    at: float
    source: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One challenge's life. `ended` is None while the authority answers its value."""

    challenge: Challenge
    state: State = "presented"
    fetches: tuple[Fetch, ...] = ()
    fetch_count: int = 0
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The last `LONGEST` challenges, oldest first. Never changed: every event gives the next one."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def resumed(cls, entries: Sequence[Entry], alive: Sequence[Challenge], at: float) -> Self:
        """The history that a process killed some seconds after it was stored left behind.

        `alive` are the values that outlived it: what had not ended and is not among them is gone, at this time; what is
        not in the history was presented after it was stored.
        """
        keys = {(challenge.name, challenge.value) for challenge in alive}
        open_ends = [(one.challenge.name, one.challenge.value) for one in entries if one.ended is None]
        history = cls(tuple(entries[-LONGEST:])).ended([key for key in open_ends if key not in keys], "gone", at)
        known = {entry.challenge for entry in entries}
        oldest = entries[-LONGEST].challenge.presented if len(entries) >= LONGEST else float("-inf")
        for challenge in alive:
            if challenge not in known and challenge.presented >= oldest:  # else there was no room for it any more
                history = history.presented(challenge)
        return history

    def presented(self, challenge: Challenge) -> Self:
        """A new life begins, also for a value that was there before."""
        return type(self)((*self.entries, Entry(challenge))[-LONGEST:])

    def fetched(self, fetches: Sequence[Fetch]) -> Self:
        """Queries were answered: each belongs to every challenge alive at its name."""
        if not fetches:
            return self
        by_name: dict[str, list[Fetch]] = {}
        for fetch in fetches:
            by_name.setdefault(fetch.name, []).append(fetch)
        return type(self)(tuple(_with_fetches(entry, by_name.get(entry.challenge.name, ())) for entry in self.entries))

    def ended(self, challenges: Iterable[tuple[str, str]], state: State, at: float) -> Self:
        """These (name, value) pairs are no longer answered."""
        keys = set(challenges)
        if not keys:
            return self
        return type(self)(
            tuple(
                replace(entry, state=state, ended=at)
                if entry.ended is None and (entry.challenge.name, entry.challenge.value) in keys
                else entry
                for entry in self.entries
            )
        )


def _with_fetches(entry: Entry, fetches: Sequence[Fetch]) -> Entry:
    if entry.ended is not None or not fetches:
        return entry
    return replace(
        entry,
        state="fetched",
        fetches=_worth_keeping((*entry.fetches, *fetches)),
        fetch_count=entry.fetch_count + len(fetches),
    )


def _worth_keeping(fetches: tuple[Fetch, ...]) -> tuple[Fetch, ...]:
    """At most MOST_FETCHES of these, in their order."""
    if len(fetches) <= MOST_FETCHES:
        return fetches
    firsts: dict[str, int] = {}
    for number, fetch in enumerate(fetches):
        firsts.setdefault(fetch.source, number)
    numbers = list(firsts.values())
    if len(numbers) > MOST_FETCHES:  # from forged addresses: neither who came first nor who came last is pushed out
        half = MOST_FETCHES // 2
        return tuple(fetches[number] for number in (*numbers[:half], *numbers[-half:]))
    others = [number for number in range(len(fetches)) if firsts[fetches[number].source] != number]
    kept = sorted((*numbers, *others[len(others) - (MOST_FETCHES - len(numbers)) :]))
    return tuple(fetches[number] for number in kept)
