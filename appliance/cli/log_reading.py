"""The verb `logs`: what the appliance has logged, read from the files it keeps. Needs no running appliance."""

import sys
import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from appliance.kept_log import Tail
from appliance.layout import Root
from appliance.model import log_lines
from appliance.model.errors import Unavailable

_SECONDS_BETWEEN_LOOKS = 0.2


def logs(options: Namespace) -> int:
    """Print the last lines that match, and with `-f` those that follow, until it is interrupted."""
    directory = Root(options.root).logs
    tail = Tail(directory)
    is_text = not options.json and (options.text or sys.stdout.isatty())
    try:
        directory.stat()
        for line in deque(_matching(tail, options), maxlen=max(0, options.lines)):
            _print(line, is_text=is_text)
        while options.follow:
            sys.stdout.flush()
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            for line in _matching(tail, options):
                _print(line, is_text=is_text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unavailable(
            f"the log cannot be read: {error.filename or directory}: {error.strerror}; it is kept under the root from "
            "the first `gateway run` on, for its user only (is --root right?)"
        ) from error
    finally:
        tail.close()
    return 0


def _matching(tail: Tail, options: Namespace) -> Iterator[Mapping[str, Any]]:
    lowest = log_lines.LEVELS.index(options.level) if options.level else 0
    for raw in tail.lines():
        line = log_lines.decoded(raw)
        if line is None or (options.program and line.get("program") != options.program):
            continue
        level = line.get("level")
        if level in log_lines.LEVELS and log_lines.LEVELS.index(level) < lowest:
            continue
        yield line


def _print(line: Mapping[str, Any], *, is_text: bool) -> None:
    if is_text:
        print(log_lines.as_text(line).encode("utf-8", "backslashreplace").decode("utf-8"))
    else:
        sys.stdout.write(log_lines.encoded(line).decode("ascii"))
