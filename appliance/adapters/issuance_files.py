"""The history of orders in one JSON file (`state/issuance.json`). Keeps `control.ports_issuance.IssuanceStore`.

A file that cannot be used is set aside: forgetting failures costs an order too many, and never a certificate.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance import atomic, logs
from appliance.model.errors import Unavailable
from appliance.model.issuance import Failure, Record, Weight

log = logs.logger(__name__)

_LARGEST_BYTES = 64 * 1024 * 1024


class IssuanceFiles:
    """Reads and replaces the file at `path`; what cannot be read goes to `quarantine`."""

    def __init__(self, path: Path, quarantine: Path) -> None:
        self._path = path
        self._quarantine = quarantine

    def load(self) -> tuple[dict[str, Record], tuple[float, ...]]:
        """Records by subject and the account's last orders. Never raises."""
        try:
            with self._path.open("rb") as file:
                content = json.loads(file.read(_LARGEST_BYTES))
            records = {str(subject): _record(found) for subject, found in content["subjects"].items()}
            return records, tuple(float(moment) for moment in content["orders"])
        except FileNotFoundError:
            return {}, ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._set_aside(error)
            return {}, ()

    def save(self, records: Mapping[str, Record], spent: tuple[float, ...]) -> None:
        """Replace the file. Raises Unavailable."""
        content = {"subjects": {subject: asdict(record) for subject, record in records.items()}, "orders": spent}
        try:
            atomic.write(self._path, json.dumps(content), sync=False)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {os.strerror(error.errno or 0)}") from error

    def _set_aside(self, error: Exception) -> None:
        try:
            target = str(atomic.set_aside(self._path, self._quarantine))
        except OSError as another:
            target = f"nowhere: {another}"
        log.error("history of orders unusable, set aside", file=str(self._path), moved_to=target, reason=str(error))


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
