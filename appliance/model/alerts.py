"""What an operator is woken for: conditions that hold, and the two moments that are told of each.

A condition is told once when it begins and once when it has cleared, however often it is looked at between and
whatever restarts. Pure: what holds in, what is to be told out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What can be wrong; docs/operations.md lists them, docs/prometheus-rules.yaml has the same conditions."""

    RENEWAL = "renewal-failing"
    """A certificate that is there could not be renewed."""
    EXPIRY = "certificate-expiring"
    """Less than `certificates.warn_days` are left on what is served."""
    STORE = "store-restored"
    """A certificate store was damaged, and put right from a snapshot."""
    DELEGATION = "delegation-broken"
    """The delegation of a challenge zone does not lead here."""
    QUARANTINE = "workload-quarantined"
    """A workload's desired version is not served."""
    PROGRAM = "program-down"
    """A program is in BACKOFF or FATAL."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong now."""

    kind: Kind
    subject: str
    """The certificate, workload, store, zone or program it is about."""
    summary: str
    todo: str = ""

    @property
    def key(self) -> str:
        """What makes it the same condition the next time."""
        return f"{self.kind.value}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Open:
    """A condition that was told of and has not cleared."""

    condition: Condition
    since: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One message: a condition began, or has cleared."""

    condition: Condition
    is_cleared: bool
    at: float
    """Unix seconds: when it began, or cleared."""
    since: float
    """Unix seconds: when it began."""

    @property
    def id(self) -> str:
        """The same for every delivery of this message, so that a receiver can leave out what comes twice."""
        return f"{self.condition.key}@{self.since:.3f}/{'cleared' if self.is_cleared else 'raised'}"

    def document(self) -> dict[str, Any]:
        """The JSON form: `{id, status: raised|cleared, kind, subject, summary, todo, at, since}`; Unix seconds."""
        status = "cleared" if self.is_cleared else "raised"
        return {"id": self.id, "status": status, **asdict(self.condition), "at": self.at, "since": self.since}


def settle(
    before: Mapping[str, Open], now_wrong: Iterable[Condition], now: float
) -> tuple[dict[str, Open], list[Alert]]:
    """What is open from now on, and what is to be told: new conditions first, then those that have cleared."""
    wrong = {condition.key: condition for condition in now_wrong}
    after = {key: Open(found, before[key].since if key in before else now) for key, found in wrong.items()}
    raised = [Alert(wrong[key], False, now, now) for key in wrong if key not in before]
    gone = [one for key, one in before.items() if key not in wrong]
    return after, raised + [Alert(one.condition, True, now, one.since) for one in gone]
