"""Finds out which of several new fragments can be used, asking as seldom as may be.

Trying costs a Traefik each time. So all are tried together first; those at whom a complaint points are left out, and
the rest is tried again. Only where nobody can be blamed are they tried one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from appliance.model.fragments import Complaint, Fragment

Complaints = Callable[[Sequence[Fragment]], Sequence[Complaint]]
"""What Traefik has against these fragments together; nothing: it takes them."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The fragments that can be used together, and Traefik's words about the others, by name."""

    accepted: Mapping[str, Fragment]
    refused: Mapping[str, str]


def settle(kept: Mapping[str, Fragment], candidates: Mapping[str, Fragment], complaints: Complaints) -> Settled:
    """Take in what can be taken in of `candidates`. One that cannot be leaves the version in `kept` as it is.

    Raises whatever `complaints` does.
    """
    remaining, refused = dict(candidates), dict[str, str]()
    while remaining:
        found = complaints(list({**kept, **remaining}.values()))
        if not found:
            break
        guilty = {name for complaint in found for name in complaint.names} & remaining.keys()
        if not guilty and len(remaining) > 1:
            rest = _one_by_one(kept, remaining, complaints)
            return Settled(rest.accepted, {**refused, **rest.refused})
        for name in guilty or set(remaining):
            refused[name] = _words(found, name)
            del remaining[name]
    return Settled({**kept, **remaining}, refused)


def _one_by_one(kept: Mapping[str, Fragment], candidates: Mapping[str, Fragment], complaints: Complaints) -> Settled:
    """Each by itself, again and again as long as one was taken: it may be what another one was waiting for."""
    accepted, open_ones = dict(kept), dict(candidates)
    refused: dict[str, str] = {}
    is_progress = True
    while is_progress:
        is_progress = False
        for name, fragment in list(open_ones.items()):
            found = complaints(list({**accepted, name: fragment}.values()))
            if found:
                refused[name] = _words(found, name)
                continue
            accepted[name] = open_ones.pop(name)
            refused.pop(name, None)
            is_progress = True
    return Settled(accepted, refused)


def _words(found: Sequence[Complaint], name: str) -> str:
    own = [complaint.words for complaint in found if name in complaint.names]
    return "; ".join(dict.fromkeys(own or [complaint.words for complaint in found]))
