"""Versions of workloads, so that two who change one do not undo each other's change unknowingly (RFC 9110 §13).

A tag stands for what is desired, not for how it stands: the state may change between two readings and the tag stays.
It is made with a key, because a workload may hold password hashes, and whoever may only read must not be able to try
passwords against the tag.
"""

import hashlib
import hmac
import json
import re
from dataclasses import dataclass

from appliance.model.errors import InvalidInput, Outdated
from appliance.model.workloads import Workload

_LIST = re.compile(r'[ \t]*((?:W/)?"[\x21\x23-\x7e]*")[ \t]*(?:,|$)')
_MOST_TAGS = 64


def tag(content: Workload | None, key: bytes) -> str:
    """The entity tag (quotes included) of a version of a workload. None: a file nobody can read; they are all alike."""
    text = json.dumps(content.document() if content is not None else None, sort_keys=True)
    return f'"{hmac.digest(key, text.encode(), hashlib.sha256).hex()[:32]}"'


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a caller presumes of the present version. `None`: nothing; an empty tuple: `*`, any version at all."""

    match: tuple[str, ...] | None = None
    none_match: tuple[str, ...] | None = None

    def check(self, identity: str, present: str | None) -> None:
        """Raise Outdated, saying what to do, unless it holds for the tag `present` (None: there is no workload)."""
        if self.match is not None and (present is None or (self.match and present not in self.match)):
            state = "there is none" if present is None else "it has changed since"
            raise Outdated(f"the workload {identity} is not the version named in If-Match: {state}; get it again first")
        if self.none_match is not None and present is not None and (not self.none_match or present in self.none_match):
            raise Outdated(f"the workload {identity} is there already: leave If-None-Match out to replace it")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is presumed."""
        return self.match is None and self.none_match is None


ANYTHING = Precondition()


def precondition(if_match: str | None, if_none_match: str | None) -> Precondition:
    """The precondition of a request's headers (None: the header is not there). Raises InvalidInput."""
    return Precondition(_tags("If-Match", if_match), _tags("If-None-Match", if_none_match))


def _tags(header: str, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    if text.strip() == "*":
        return ()
    found: list[str] = []
    position = 0
    while position < len(text) or not found:
        match = _LIST.match(text, position)
        if match is None or len(found) >= _MOST_TAGS:
            raise InvalidInput(
                f'{header} must be `*` or the ETag of an earlier answer, quotes included, like "4f1c..."'
            )
        # RFC 9110 §13.1.1: a weak tag never matches there; our own tags are all strong.
        found.append(match[1])
        position = match.end()
    return tuple(found)
