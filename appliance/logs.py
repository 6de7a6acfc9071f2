"""Logging: one JSON object a line on standard error, a constant message and key/values.

info = the state changed, warning = a person should look, error = something is broken now, debug = the rest.
Values are never secrets: settings and workloads that hold some are logged by name only.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Logger(logging.LoggerAdapter[logging.Logger]):
    """`log.info("route applied", workload="blog")`: keywords become keys of the line."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Move the key/values out of the way of `logging`'s own keywords."""
        own = {key: kwargs.pop(key) for key in ("exc_info", "stack_info", "stacklevel") if key in kwargs}
        return msg, {**own, "extra": {"fields": dict(kwargs)}}


class JsonLines(logging.Formatter):
    """`{"time", "level", "logger", "message", ...}`; times in UTC, RFC 3339."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the values hold: what JSON does not know is shown by `str`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def logger(name: str) -> Logger:
    """The logger of a module: `log = logs.logger(__name__)`."""
    return Logger(logging.getLogger(name), {})


def configure(level: str = "info") -> None:
    """Send everything from `level` up to standard error. Called once, by a composition root."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
