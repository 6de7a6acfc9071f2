"""Foreign JSON (RFC 8259) into plain values, safely: for what arrives over HTTP.

Why not the YAML reader beside it: JSON is not quite YAML (escapes of surrogate pairs, tabs), and its own parser in C
takes a hundredth of the time, which is what a stranger's bodies may cost.
"""

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from appliance.model.errors import InvalidInput

_DEEPEST = 16


def parse(raw: bytes) -> Any:
    """The one document in `raw` as plain values.

    Raises InvalidInput, saying where, when it is not JSON in UTF-8, gives a key twice, has NaN or Infinity, or nests
    deeper than 16 levels.
    """
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number)
        _check_depth(found)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise InvalidInput(f"the body is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # digits beyond what Python reads; brackets beyond its stack
        raise InvalidInput(f"the body holds a number too long, or nests deeper than {_DEEPEST} levels") from error
    return found


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidInput(f"the body gives the key {key[:80]!r} a second time")
        found[key] = value
    return found


def _no_number(text: str) -> NoReturn:
    raise InvalidInput(f"the body holds {text}, which is no JSON number")


def _check_depth(found: Any) -> None:
    level, depth = [found], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        if depth > _DEEPEST:
            raise InvalidInput(f"the body nests deeper than {_DEEPEST} levels")
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
