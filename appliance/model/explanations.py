"""The answer to "why is this name not on HTTPS?": a chain of findings, from the name to its next order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.model.findings import Finding, Status, first

LINKS = ("workload", "dns", "port", "router", "service", "backend", "certificate", "last-error", "next-try")
"""The chain, in the order in which a request depends on it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was found about one host."""

    host: str
    workload: str | None
    """The id of the workload that is served there, or would be."""
    findings: Sequence[Finding]
    """In the order of `LINKS`; several backends are several findings."""

    @property
    def first_bad(self) -> Finding | None:
        """The first link that is broken; None: the name is on HTTPS, as far as can be told from here."""
        return first(self.findings, Status.FAIL)

    def document(self) -> dict[str, Any]:
        """`{host, workload, ok, first_bad, todo, lines: [{id, status, evidence, todo}]}`."""
        bad = self.first_bad
        return {
            "host": self.host,
            "workload": self.workload,
            "ok": bad is None,
            "first_bad": bad.id if bad else None,
            "todo": bad.todo if bad else "",
            "lines": [finding.document() for finding in self.findings],
        }
