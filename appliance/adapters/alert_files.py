"""Open and undelivered alerts in one JSON file (`state/alerts.json`). Keeps `control.ports_alerts.AlertStore`.

Should the file be lost, alerts are told once more, which is better than not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.model.alerts import Alert, Condition, Kind, Open
from appliance.state_files import StateFile

Kept = tuple[dict[str, Open], tuple[Alert, ...]]


class AlertFiles:
    """Reads and replaces the file at `path`; what cannot be read goes to `quarantine`."""

    def __init__(self, path: Path, quarantine: Path) -> None:
        self._file = StateFile(path, quarantine, "open alerts")

    def load(self) -> Kept:
        """What is open by key, and what is yet to be delivered. Never raises."""
        nothing: Kept = ({}, ())
        return self._file.load(_read, nothing)

    def save(self, open_ones: Mapping[str, Open], pending: Sequence[Alert]) -> None:
        """Replace the file. Raises Unavailable."""
        opened = [asdict(one) for one in open_ones.values()]
        self._file.save({"open": opened, "pending": [asdict(one) for one in pending]})


def _read(content: Any) -> Kept:
    opened = [Open(_condition(found["condition"]), float(found["since"])) for found in content["open"]]
    return {one.condition.key: one for one in opened}, tuple(_alert(found) for found in content["pending"])


def _condition(found: Mapping[str, Any]) -> Condition:
    return Condition(Kind(found["kind"]), str(found["subject"]), str(found["summary"]), str(found["todo"]))


def _alert(found: Mapping[str, Any]) -> Alert:
    is_cleared = bool(found["is_cleared"])
    return Alert(_condition(found["condition"]), is_cleared, float(found["at"]), float(found["since"]))
