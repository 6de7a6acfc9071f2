"""The history of orders in one JSON file (`state/issuance.json`). Keeps `control.ports_issuance.IssuanceStore`.

Forgetting failures, should the file be lost, costs an order too many and never a certificate.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.model.issuance import Failure, Record, Weight
from appliance.state_files import StateFile

History = tuple[dict[str, Record], tuple[float, ...]]


class IssuanceFiles:
    """Reads and replaces the file at `path`; what cannot be read goes to `quarantine`."""

    def __init__(self, path: Path, quarantine: Path) -> None:
        self._file = StateFile(path, quarantine, "the history of orders")

    def load(self) -> History:
        """Records by subject and the account's last orders. Never raises."""
        nothing: History = ({}, ())
        return self._file.load(_read, nothing)

    def save(self, records: Mapping[str, Record], spent: tuple[float, ...]) -> None:
        """Replace the file. Raises Unavailable."""
        subjects = {subject: asdict(record) for subject, record in records.items()}
        self._file.save({"subjects": subjects, "orders": spent})


def _read(content: Any) -> History:
    records = {str(subject): _record(found) for subject, found in content["subjects"].items()}
    return records, tuple(float(moment) for moment in content["orders"])


def _record(found: Mapping[str, Any]) -> Record:
    """Raises KeyError, TypeError, ValueError."""
    values = dict(found)
    failure = values.pop("failure")
    known = Failure(**{**failure, "weight": Weight(failure["weight"])}) if failure else None
    record = Record(**values, failure=known)
    moments = (record.allowed_at, record.ordered_at, record.issued_at, record.rests_until)
    if not all(moment is None or isinstance(moment, float | int) for moment in moments):
        raise ValueError("a time is no number")
    return record
