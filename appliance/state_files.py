"""A JSON file in which one part of the control plane keeps what must outlive the process.

What cannot be used is set aside and told, never guessed at and never fatal: the part begins anew.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from appliance import atomic, logs
from appliance.model.errors import Unavailable

log = logs.logger(__name__)

T = TypeVar("T")

_LARGEST_BYTES = 64 * 1024 * 1024


class StateFile:
    """The file at `path`, mode 0600; what is unusable goes to `quarantine`. `holds` says what that is, for the log."""

    def __init__(self, path: Path, quarantine: Path, holds: str) -> None:
        self._path = path
        self._quarantine = quarantine
        self._holds = holds

    def load(self, read: Callable[[Any], T], empty: T) -> T:
        """What `read` makes of the content; `empty` when there is none, or none that it can read. Never raises."""
        try:
            with self._path.open("rb") as file:
                return read(json.loads(file.read(_LARGEST_BYTES)))
        except FileNotFoundError:
            return empty
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._set_aside(error)
            return empty

    def save(self, content: Any) -> None:
        """Replace the content, atomically, and not synced. Raises Unavailable."""
        try:
            atomic.write(self._path, json.dumps(content), sync=False)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {os.strerror(error.errno or 0)}") from error

    def _set_aside(self, error: Exception) -> None:
        try:
            target = str(atomic.set_aside(self._path, self._quarantine))
        except OSError as another:
            target = f"nowhere: {another}"
        log.error(
            "a file of the state is unusable and was set aside",
            holds=self._holds,
            file=str(self._path),
            moved_to=target,
            reason=str(error),
        )
