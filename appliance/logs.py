"""Logging: one JSON object a line on standard error, a constant message and key/values.

Every line that is written on behalf of a call (of the admin API, of the bus) bears the call's id, as `request`; one
that is written on behalf of several bears `requests`.

info = the state changed, warning = a person should look, error = something is broken now, debug = the rest.
Values are never secrets: settings and workloads that hold some are logged by name only.
"""

import contextlib
import json
import logging
import re
import secrets
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PROGRAM = "gateway"
"""What a line says it is from. The log relay knows better where another program of ours has written it."""
_REQUESTS: ContextVar[tuple[str, ...]] = ContextVar("requests", default=())
_MOST_REQUESTS_TOLD = 10
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


def request_id(proposed: str | None = None) -> str:
    """The id for a call: the caller's own if it is a sane one, else a new one."""
    if proposed is not None and _SANE_ID.fullmatch(proposed):
        return proposed
    return secrets.token_hex(8)


@contextlib.contextmanager
def on_behalf_of(*requests: str) -> Iterator[None]:
    """Lines written inside (by this thread, and by what runs in a copy of its context) bear these ids."""
    token = _REQUESTS.set(requests)
    try:
        yield
    finally:
        _REQUESTS.reset(token)


class _Askers:
    """Which call asked for something about a workload last: others carry it out, on threads of their own."""

    _LASTS_SECONDS = 60.0
    _MOST = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_workload: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def note(self, workloads: Iterable[str], request: str) -> None:
        """The call `request` asked for something about these."""
        now = time.monotonic()
        with self._lock:
            for workload in workloads:
                self._by_workload[workload] = request, now
                self._by_workload.move_to_end(workload)
            while len(self._by_workload) > self._MOST:
                self._by_workload.popitem(last=False)

    def of(self, workloads: Iterable[str]) -> tuple[str, ...]:
        """The calls that asked for something about these not long ago, each once."""
        since = time.monotonic() - self._LASTS_SECONDS
        with self._lock:
            found = (self._by_workload.get(workload) for workload in workloads) if self._by_workload else ()
            return tuple(dict.fromkeys(one[0] for one in found if one is not None and one[1] >= since))


_ASKERS = _Askers()


def ask_for(workloads: Iterable[str]) -> None:
    """The call that is being answered asks for something about these: lines with `workload` bear its id from now on."""
    for request in _REQUESTS.get()[:1]:
        _ASKERS.note(workloads, request)


def askers(workloads: Iterable[str]) -> tuple[str, ...]:
    """The ids of the calls on whose behalf something is done about these workloads."""
    return _ASKERS.of(workloads)


class Logger(logging.LoggerAdapter[logging.Logger]):
    """`log.info("route applied", workload="blog")`: keywords become keys of the line."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Move the key/values out of the way of `logging`'s own keywords."""
        own = {key: kwargs.pop(key) for key in ("exc_info", "stack_info", "stacklevel") if key in kwargs}
        return msg, {**own, "extra": {"fields": {**_asked(kwargs.get("workload")), **kwargs}}}


def _asked(workload: object) -> dict[str, Any]:
    """`request` or `requests`, for a line that may be about one workload."""
    requests = _REQUESTS.get()
    if len(requests) != 1 and isinstance(workload, str):
        requests = _ASKERS.of([workload]) or requests
    if len(requests) <= 1:
        return {"request": requests[0]} if requests else {}
    return {"requests": list(requests[:_MOST_REQUESTS_TOLD])}


class JsonLines(logging.Formatter):
    """`{"time", "level", "program", "logger", "message", ...}`; times in UTC, RFC 3339."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the values hold: what JSON does not know is shown by `str`."""
        line: dict[str, Any] = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "program": _PROGRAM,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def logger(name: str) -> Logger:
    """The logger of a module: `log = logs.logger(__name__)`."""
    return Logger(logging.getLogger(name), {})


def configure(level: str = "info") -> None:
    """Send everything from `level` up to standard error. Called once, by a composition root.

    Of libraries nothing below `info`: what they debug with may hold anything, and the watcher's would be about the
    writing of these very lines where they go into a directory that is watched.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.INFO))
    logging.getLogger(__package__).setLevel(_LEVELS[level])
