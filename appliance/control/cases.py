"""One certificate on the docket: what is remembered of it, what is known, and what is under way."""

from dataclasses import dataclass

from appliance.model.issuance import Record


@dataclass(slots=True)
class Case:
    """One subject, as `Docket` keeps it."""

    record: Record
    reason: str | None = "it is checked whether a certificate can be ordered"
    seen: str = ""
    """The circumstances of the last check."""
    checks: int = 0
    """Without success, in a row."""
    due: float = 0.0
    """When to check next."""
    is_checking: bool = False
    is_stale: bool = False
    """Whether somebody asked for another look while one was under way."""
    is_rehearsing: bool = False
    """Whether the order is being tried at the staging directory."""
    is_judged: bool = False
    """Whether anything is known: a check's outcome, or that the certificate is there."""
    missing_since: float | None = None
    """Since when (monotonic) Traefik does not have a certificate that was there."""

    @property
    def is_open(self) -> bool:
        """Whether it is to be checked when its time comes: a certificate that is there is done."""
        return self.record.issued_at is None and not self.is_checking and not self.is_rehearsing

    @classmethod
    def begun(cls, record: Record) -> "Case":
        """A subject as it was left. A certificate that was there is there until Traefik says otherwise."""
        if record.issued_at is not None:
            return cls(record, reason=None, is_judged=True)
        return cls(record.lost())
