"""Challenge records in `state/`: the values in one JSON file, replaced whole, and the history in another, a line each.

Why no fsync: the files must survive the death of the process, which a rename alone gives; after a power cut the values
are worthless anyway, because whoever presented them is gone too.
Why lines: a long history is written and read piece by piece, so no other thread waits for the whole of it.
It knows two paths and the formats, and nothing of DNS.
"""

import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from appliance import logs
from appliance.model.challenges import Challenge, check_value
from appliance.model.errors import InvalidInput, Unavailable
from appliance.model.histories import LONGEST, MOST_FETCHES, Entry, Fetch, State
from appliance.model.zones import plain_name

log = logs.logger(__name__)

FORMAT = 1
"""Version of both formats. A file of another one is set aside like a corrupt one, not guessed at."""
HISTORY = "challenge-history.jsonl"
"""The file beside the one of the values."""
_STATES = frozenset(get_args(State))

T = TypeVar("T")


class ChallengeFiles:
    """Keeps the Protocol `ChallengeStore` in the file `path` and in `HISTORY` beside it, mode 0600.

    Their directory is made, mode 0700. A file that is corrupt is set aside and reported.
    """

    def __init__(self, path: Path) -> None:
        self._values = _File(path)
        self._history = _File(path.with_name(HISTORY))

    def load(self) -> tuple[int, tuple[Challenge, ...]]:
        """The last serial and the values; (0, ()) without a usable file. Raises Unavailable when the disk refuses."""
        return self._values.read(_parse) or (0, ())

    def save(self, serial: int, challenges: Iterable[Challenge]) -> None:
        """Replace what is stored, atomically. Raises Unavailable when the disk refuses."""
        document = {"format": FORMAT, "serial": serial, "challenges": [_shown(one) for one in challenges]}
        self._values.replace([json.dumps(document)])

    def load_history(self) -> Sequence[Entry]:
        """The entries, oldest first; none without a usable file. Raises Unavailable when the disk refuses."""
        return self._history.read(_parse_history) or ()

    def save_history(self, entries: Iterable[Entry]) -> None:
        """Replace the stored history, atomically. Raises Unavailable when the disk refuses."""
        self._history.replace(
            json.dumps(line) + "\n" for line in itertools.chain([{"format": FORMAT}], map(_shown_entry, entries))
        )


class _File:
    """One file that is there whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Made once: the interpreter keeps the names of paths in a table that grows with every one that came and went.
        self._fresh = path.with_name(f".{path.name}.fresh")

    def read(self, parse: Callable[[bytes], T]) -> T | None:
        """What `parse` makes of it. None without the file, or when it is corrupt: then it is set aside."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except IsADirectoryError as error:
            self._set_aside(error)
            return None
        except OSError as error:
            raise Unavailable(f"cannot read {self._path}: {error.strerror}") from error
        try:
            return parse(text)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidInput) as error:
            self._set_aside(error)
            return None

    def replace(self, pieces: Iterable[str]) -> None:
        """Make it hold these pieces, ASCII, one behind the other."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self._fresh, "w", encoding="ascii", opener=_private) as file:
                file.writelines(pieces)
            self._fresh.replace(self._path)
        except OSError as error:
            raise Unavailable(f"cannot write {self._path}: {error.strerror}") from error

    def _set_aside(self, reason: Exception) -> None:
        """Rename the file to the first free `*.corrupt-<n>`: kept for a person to look at, never in the way."""
        for number in itertools.count(1):
            aside = self._path.with_name(f"{self._path.name}.corrupt-{number}")
            if not aside.exists():
                break
        try:
            self._path.rename(aside)
        except OSError as error:  # it is not used, and the next change replaces it, or tells that it cannot
            log.error("challenge file is corrupt, and stays where it is", file=str(self._path), reason=str(error))
        else:
            log.error("challenge file is corrupt, set aside", file=str(aside), reason=repr(reason))


def _parse(text: bytes) -> tuple[int, tuple[Challenge, ...]]:
    document = json.loads(text)
    _check_format(document)
    return _whole(document["serial"]), tuple(_challenge(one) for one in document["challenges"])


def _parse_history(text: bytes) -> tuple[Entry, ...]:
    first, *lines = text.splitlines() or [b""]
    _check_format(json.loads(first))
    return tuple(_entry(json.loads(line)) for line in lines[-LONGEST:])


def _check_format(document: dict[str, Any]) -> None:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}, this version reads {FORMAT}")


def _challenge(entry: dict[str, Any]) -> Challenge:
    name, value, by = (_text(entry[key]) for key in ("name", "value", "by"))
    return Challenge(plain_name(name), check_value(value), _moment(entry["presented"]), by)


def _entry(line: dict[str, Any]) -> Entry:
    challenge, ended = _challenge(line), line["ended"]
    if line["state"] not in _STATES:
        raise ValueError(f"no state: {line['state']!r}")
    fetches = [Fetch(challenge.name, _moment(at), _text(source)) for at, source in line["fetches"][:MOST_FETCHES]]
    count = _whole(line["fetch_count"])
    return Entry(challenge, line["state"], tuple(fetches), count, None if ended is None else _moment(ended))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} must be a text")
    return value


def _moment(value: Any) -> float:
    moment = float(value)
    if not math.isfinite(moment):
        raise ValueError(f"{value!r} must be a time")
    return moment


def _whole(number: object) -> int:
    if not isinstance(number, int) or not 0 <= number < 1 << 32:
        raise ValueError(f"{number!r} is no number of 32 bits")
    return number


def _shown(challenge: Challenge) -> dict[str, Any]:
    return {"name": challenge.name, "value": challenge.value, "presented": challenge.presented, "by": challenge.by}


def _shown_entry(entry: Entry) -> dict[str, Any]:
    """The fetches without their name: it is the challenge's."""
    return _shown(entry.challenge) | {
        "state": entry.state,
        "fetches": [(fetch.at, fetch.source) for fetch in entry.fetches],
        "fetch_count": entry.fetch_count,
        "ended": entry.ended,
    }


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
