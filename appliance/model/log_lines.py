"""One field set for the lines of all programs: `time`, `level`, `program`, `logger` if there is one, `message`, rest.

What arrives is ours (JSON), Traefik's (JSON of its own, as text before it has read its configuration), supervisord's
text, a traceback, a hook's complaint, or rubbish; each becomes a line, and none stops the ones after it.
"""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from appliance.model import redaction

Fields = Mapping[str, Any]

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
TRAEFIK: Final = "traefik"
SUPERVISORD: Final = "supervisord"
LONGEST_LINE_BYTES: Final = 64 * 1024
_LONGEST_TRACEBACK_LINES = 400
_LONGEST_TRACEBACK_CHARACTERS = LONGEST_LINE_BYTES

_LEVEL_OF = {
    **{name: name for name in LEVELS},
    **dict.fromkeys(("trace", "blat", "trac", "debg"), "debug"),
    "warn": "warning",
    "erro": "error",
    **dict.fromkeys(("fatal", "panic", "crit"), "critical"),
}
_SUPERVISORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]{4}) (.*)", re.DOTALL)
_SAYS_ERROR = re.compile(r"\b(?:error|fatal|panic|exception|traceback)\b|^(?:gateway|dns01): ", re.IGNORECASE)
_SAYS_WARNING = re.compile(r"\bwarn(?:ing)?\b", re.IGNORECASE)
_NO_CAUSE_FOR_ALARM = ("Server 'unix_http_server' running without any HTTP authentication checking",)
"""supervisord calls this critical. Its socket is the appliance's own user's alone."""
_LATE_SECONDS = 2.0
_TRACEBACK = "Traceback (most recent call last):"
_GROUP = "Exception Group Traceback (most recent call last):"
_ACCESS = "access"
"""The logger of Traefik's lines about single requests."""


def fields(program: str, raw: str, arrived: dt.datetime) -> dict[str, Any]:
    """The line that `program` wrote and that arrived just then. Redacted, whatever it is."""
    text = redaction.redacted(raw)
    document = _document(text)
    if document is None:
        return _from_text(program, text, arrived)
    return _from_document(program, document, arrived)


def is_access(line: Fields) -> bool:
    """Whether it tells of one request that Traefik answered: of these there may be thousands in a second."""
    return line.get("logger") == _ACCESS and line.get("program") == TRAEFIK


def encoded(line: Fields) -> bytes:
    """As one line of JSON, in ASCII: no terminal and no reader stumbles over it."""
    return json.dumps(line).encode("ascii") + b"\n"


def decoded(raw: bytes) -> dict[str, Any] | None:
    """What `encoded` gave; None for anything else."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def as_text(line: Fields) -> str:
    """For people: time, level, program, message, then key=value; a traceback on lines of its own."""
    rest = {key: value for key, value in line.items() if key not in ("time", "level", "program", "logger", "message")}
    traceback = rest.pop("exception", None)
    when = str(line.get("time", "")).replace("T", " ").removesuffix("Z")
    words = [f"{when:<23}", f"{line.get('level', ''):<8}", f"{line.get('program', ''):<11}", str(line.get("message"))]
    text = " ".join(map(_printable, [*words, *(f"{key}={_value(value)}" for key, value in rest.items())]))
    if isinstance(traceback, str):
        text += "".join(f"\n    {_printable(one)}" for one in traceback.splitlines())
    return text


def moment(text: object) -> dt.datetime | None:
    """An RFC 3339 time with its offset, in UTC; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        found = dt.datetime.fromisoformat(text)
        return found.astimezone(dt.UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


class Lines:
    """What one program writes, cut into lines. A Python traceback stays together, and what is too long is cut off."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._rest = b""
        self._is_skipping = False
        self._traceback: list[str] = []

    @property
    def is_waiting(self) -> bool:
        """Whether something is held back that may still go on."""
        return bool(self._rest or self._traceback)

    def feed(self, read: bytes, arrived: dt.datetime) -> Iterator[dict[str, Any]]:
        """The lines that `read` completes."""
        *complete, self._rest = (self._rest + read).split(b"\n")
        for raw in complete:
            if self._is_skipping:
                self._is_skipping = False
            else:
                yield from self._line(raw, arrived)
        if self._is_skipping:
            self._rest = b""
        elif len(self._rest) > LONGEST_LINE_BYTES:
            raw, self._rest, self._is_skipping = self._rest, b"", True
            yield from self._line(raw, arrived)

    def flush(self, arrived: dt.datetime) -> Iterator[dict[str, Any]]:
        """What was held back: the program has ended, or said nothing for a while."""
        raw, self._rest = self._rest, b""
        if raw:
            yield from self._line(raw, arrived)
        yield from self._end_traceback("", arrived)

    def _line(self, raw: bytes, arrived: dt.datetime) -> Iterator[dict[str, Any]]:
        text = raw[:LONGEST_LINE_BYTES].decode("utf-8", "replace").removesuffix("\r")
        if text in (_TRACEBACK, _GROUP) or text.strip("| +") in (_TRACEBACK, _GROUP):
            yield from self._end_traceback("", arrived)
            self._traceback = [text]
        elif self._traceback and (text.startswith((" ", "\t")) or not text):
            self._traceback.append(text)
            if len(self._traceback) > _LONGEST_TRACEBACK_LINES:
                yield from self._end_traceback("", arrived)
        elif self._traceback and not text.startswith("{"):
            yield from self._end_traceback(text, arrived)
        elif text.strip():
            yield from self._end_traceback("", arrived)
            cut = {"cut": True} if len(raw) > LONGEST_LINE_BYTES else {}
            yield {**fields(self._program, text, arrived), **cut}

    def _end_traceback(self, last: str, arrived: dt.datetime) -> Iterator[dict[str, Any]]:
        if not self._traceback:
            return
        lines, self._traceback = [*self._traceback, *([last] if last else [])], []
        whole = "\n".join(map(redaction.redacted, lines))[:_LONGEST_TRACEBACK_CHARACTERS]
        said = redaction.redacted(last) or "traceback without its last line"
        yield {**_head(self._program, "error", arrived), "message": said, "exception": whole}


def _document(text: str) -> dict[str, Any] | None:
    """The JSON object that a line is, if it is one that can be written as JSON again."""
    if not text.startswith("{"):
        return None
    try:
        document = json.loads(text, parse_constant=str)
        json.dumps(document, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _from_document(program: str, document: dict[str, Any], arrived: dt.datetime) -> dict[str, Any]:
    own = document.pop("program", None)
    if program == SUPERVISORD and isinstance(own, str):  # ours, written by the process that supervisord runs in
        program, own = own, None
    level = _LEVEL_OF.get(str(document.pop("level", "info")).lower(), "info")
    message = document.pop("message", None) or document.pop("msg", None)
    document.pop("msg", None)
    logger = document.pop("logger", None) or document.pop("lib", None)
    if program == TRAEFIK and "DownstreamStatus" in document:
        logger, message = _ACCESS, message or "request"
    line = _head(program, level, _time(document.pop("time", None), arrived))
    if logger is not None:
        line["logger"] = str(logger)
    line["message"] = _message(message)
    about = {"about": own} if own not in (None, program) else {}
    return {**line, **about, **{key: value for key, value in document.items() if key not in line}}


def _message(message: object) -> str:
    if message is None:
        return ""
    return message.strip() if isinstance(message, str) else json.dumps(message)


def _from_text(program: str, text: str, arrived: dt.datetime) -> dict[str, Any]:
    own = _SUPERVISORD.fullmatch(text) if program == SUPERVISORD else None
    if own is not None:
        level, message = _LEVEL_OF.get(own[1].lower(), "info"), own[2]
        level = "debug" if message.startswith(_NO_CAUSE_FOR_ALARM) else level
    else:
        level = "error" if _SAYS_ERROR.search(text) else "warning" if _SAYS_WARNING.search(text) else "info"
        message = text
    return {**_head(program, level, arrived), "message": message}


def _head(program: str, level: str, when: dt.datetime) -> dict[str, Any]:
    return {"time": rfc3339(when), "level": level, "program": program}


def rfc3339(when: dt.datetime) -> str:
    """In UTC, to the millisecond: `2026-11-22T22:51:09.042Z`."""
    return when.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _time(own: object, arrived: dt.datetime) -> dt.datetime:
    """The line's own time, unless the arrival says the same more precisely: Traefik's have whole seconds."""
    found = moment(own)
    if found is None:
        return arrived
    is_same = abs((arrived - found).total_seconds()) <= _LATE_SECONDS
    return arrived if is_same and found.microsecond == 0 else found


def _value(value: object) -> str:
    if isinstance(value, str) and value and not set(value) & set(" =\"'\n\t"):
        return value
    return json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    """Nothing that would move a terminal's cursor, or turn its writing round."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
