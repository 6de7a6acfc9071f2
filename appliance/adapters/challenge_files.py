"""The store of challenge values: one JSON file, replaced whole.

Why no fsync: the file must survive the death of the process, which a rename alone gives; after a power cut the values
are worthless anyway, because whoever presented them is gone too.
It knows a path and the format, and nothing of DNS.
"""

import contextlib
import itertools
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from appliance import logs
from appliance.model.challenges import Challenge, check_value
from appliance.model.errors import InvalidInput, Unavailable
from appliance.model.zones import plain_name

log = logs.logger(__name__)

FORMAT = 1
"""Version of the format. A file of another one is set aside like a corrupt one, not guessed at."""


class ChallengeFiles:
    """Keeps the Protocol `ChallengeStore` in the file `path`, mode 0600; its directory is made, mode 0700."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[int, tuple[Challenge, ...]]:
        """The last serial and the values; (0, ()) without a file. A corrupt file is set aside and reported."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return 0, ()
        except OSError as error:
            raise Unavailable(f"cannot read {self._path}: {error.strerror}") from error
        try:
            return _parse(text)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidInput) as error:
            self._set_aside(error)
            return 0, ()

    def save(self, serial: int, challenges: Iterable[Challenge]) -> None:
        """Replace what is stored, atomically. Raises Unavailable when the disk refuses."""
        fresh = self._path.with_name(f".{self._path.name}.fresh")
        text = json.dumps({"format": FORMAT, "serial": serial, "challenges": [_shown(one) for one in challenges]})
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(fresh, "w", encoding="ascii", opener=_private) as file:
                file.write(text)
            fresh.replace(self._path)
        except OSError as error:
            raise Unavailable(f"cannot write {self._path}: {error.strerror}") from error

    def _set_aside(self, reason: Exception) -> None:
        """Rename the file to the first free `*.corrupt-<n>`: kept for a person to look at, never in the way."""
        for number in itertools.count(1):
            aside = self._path.with_name(f"{self._path.name}.corrupt-{number}")
            if not aside.exists():
                break
        with contextlib.suppress(FileNotFoundError):
            self._path.rename(aside)
        log.error("challenge file is corrupt, set aside", file=str(aside), reason=repr(reason))


def _parse(text: bytes) -> tuple[int, tuple[Challenge, ...]]:
    document = json.loads(text)
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}, this version reads {FORMAT}")
    return _whole(document["serial"]), tuple(_challenge(one) for one in document["challenges"])


def _challenge(entry: dict[str, Any]) -> Challenge:
    name, value, by = (entry[key] for key in ("name", "value", "by"))
    if not all(isinstance(text, str) for text in (name, value, by)):
        raise TypeError("name, value and by must be texts")
    presented = float(entry["presented"])
    if not math.isfinite(presented):
        raise ValueError("presented must be a time")
    return Challenge(plain_name(name), check_value(value), presented, by)


def _whole(number: object) -> int:
    if not isinstance(number, int) or not 0 <= number < 1 << 32:
        raise ValueError(f"serial {number!r} is no number of 32 bits")
    return number


def _shown(challenge: Challenge) -> dict[str, str | float]:
    return {"name": challenge.name, "value": challenge.value, "presented": challenge.presented, "by": challenge.by}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
