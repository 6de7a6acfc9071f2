"""Open and undelivered alerts in one JSON file (`state/alerts.json`). Keeps `control.ports_alerts.AlertStore`.

A file that cannot be used is set aside: alerts are then told once more, which is better than not at all.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance import atomic, logs
from appliance.model.alerts import Alert, Condition, Kind, Open
from appliance.model.errors import Unavailable

log = logs.logger(__name__)

_LARGEST_BYTES = 64 * 1024 * 1024


class AlertFiles:
    """Reads and replaces the file at `path`; what cannot be read goes to `quarantine`."""

    def __init__(self, path: Path, quarantine: Path) -> None:
        self._path = path
        self._quarantine = quarantine

    def load(self) -> tuple[dict[str, Open], tuple[Alert, ...]]:
        """What is open by key, and what is yet to be delivered. Never raises."""
        try:
            with self._path.open("rb") as file:
                content = json.loads(file.read(_LARGEST_BYTES))
            opened = [Open(_condition(found["condition"]), float(found["since"])) for found in content["open"]]
            pending = tuple(_alert(found) for found in content["pending"])
        except FileNotFoundError:
            return {}, ()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._set_aside(error)
            return {}, ()
        return {one.condition.key: one for one in opened}, pending

    def save(self, open_ones: Mapping[str, Open], pending: Sequence[Alert]) -> None:
        """Replace the file. Raises Unavailable."""
        content = {"open": [asdict(one) for one in open_ones.values()], "pending": [asdict(one) for one in pending]}
        try:
            atomic.write(self._path, json.dumps(content), sync=False)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {os.strerror(error.errno or 0)}") from error

    def _set_aside(self, error: Exception) -> None:
        try:
            target = str(atomic.set_aside(self._path, self._quarantine))
        except OSError as another:
            target = f"nowhere: {another}"
        log.error("open alerts unusable, set aside", file=str(self._path), moved_to=target, reason=str(error))


def _condition(found: Mapping[str, Any]) -> Condition:
    return Condition(Kind(found["kind"]), str(found["subject"]), str(found["summary"]), str(found["todo"]))


def _alert(found: Mapping[str, Any]) -> Alert:
    is_cleared = bool(found["is_cleared"])
    return Alert(_condition(found["condition"]), is_cleared, float(found["at"]), float(found["since"]))
