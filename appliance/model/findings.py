"""What a check found out: a status, the evidence for it, and what to do about it.

Why a value of its own: `gateway doctor`, the decision whether a certificate is ordered, and `gateway explain` look at
the same things and must say the same about them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How something is. `unknown` is said whenever it could not be found out, and never stands for `ok`."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `id` is the kind of check, or `kind:subject` where there are several of a kind."""

    id: str
    status: Status
    evidence: str
    """What was seen, in one sentence without a full stop."""
    todo: str = ""
    """What to do about it, where possible as a record or command to copy; empty when there is nothing to do."""

    @property
    def kind(self) -> str:
        """The stable part of the id; docs/operations.md lists every kind."""
        return self.id.partition(":")[0]

    def document(self) -> dict[str, str]:
        """As it is told in JSON."""
        return {"id": self.id, "status": self.status.value, "evidence": self.evidence, "todo": self.todo}


def first(findings: Iterable[Finding], status: Status) -> Finding | None:
    """The first finding of this status."""
    return next((found for found in findings if found.status is status), None)


def record_line(name: str, kind: str, content: str, ttl_seconds: int = 3600) -> str:
    """A record as a line of a zone file (RFC 1035 §5.1). `name` is fully qualified, with or without the last dot."""
    return f"{name.removesuffix('.')}.\t{ttl_seconds}\tIN\t{kind}\t{content}"
