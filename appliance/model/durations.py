"""Durations as people write them in a workload: `500ms`, `20s`, `5m`, `1h`, `2d`, or a plain number of seconds.

Kept as whole milliseconds, so that what was written, what is compared and what is shown are one value.
"""

import re
from typing import Any

from appliance.model.errors import InvalidInput

_FORM = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)?")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(value: Any, key: str, *, least: int, most: int) -> int:
    """`value` in milliseconds. Raises InvalidInput, naming `key` and the bounds, when it is none or out of them."""
    written = value if isinstance(value, str) else f"{value:.3f}" if _is_number(value) else ""
    match = _FORM.fullmatch(written)
    if match is None:
        raise InvalidInput(f"`{key}` is no duration: write it like 500ms, 20s, 5m or 1h, or as a number of seconds")
    found = round(float(match[1]) * _UNITS[match[2] or "s"])
    if not least <= found <= most:
        raise InvalidInput(f"`{key}` is {text(found)}: it must be between {text(least)} and {text(most)}")
    return found


def text(duration: int) -> str:
    """Milliseconds in the largest unit that shows them whole; `milliseconds` of it gives them again."""
    for unit in ("h", "m", "s"):
        if duration and duration % _UNITS[unit] == 0:
            return f"{duration // _UNITS[unit]}{unit}"
    return f"{duration}ms"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
