"""msgpack as the original's codec reads and writes it: the rules beneath every message and value. Pure.

What its encoder writes, this writes octet for octet. What its decoder lets pass, this lets pass too: structs as maps
with any order of keys, keys it does not know, missing ones, structs as positional arrays, text as bin and bin as text,
trailing octets. Text that is not UTF-8 survives the round trip (PEP 383). What it refuses raises MalformedValue.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack

PACKED_NIL = b"\xc0"


class MalformedValue(ValueError):
    """Not of the type that is wanted here."""


def pack(value: Any) -> bytes:
    """A plain value, packed. Numbers that Go declares as int are not among what Gateway's methods carry."""
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")
    return packed


def unpack(packed: bytes) -> Any:
    """The first value in `packed`, as dicts, lists, str, bytes, numbers... Raises MalformedValue."""
    # An array's header is believed only up to the octets that are there: room is made for it before they are read.
    room = max(1, len(packed))
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="surrogateescape", max_buffer_size=room)
    try:
        unpacker.feed(packed)
        return unpacker.unpack()
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise MalformedValue(f"not msgpack: {error}") from error


def text(value: Any) -> str:
    """A Go string: nil is the empty one. Raises MalformedValue."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedValue(f"{kind(value)} where text is wanted")
    return value


def flag(value: Any) -> bool:
    """A Go bool, which not even nil stands in for. Raises MalformedValue."""
    if not isinstance(value, bool):
        raise MalformedValue(f"{kind(value)} where true or false is wanted")
    return value


def texts(value: Any) -> tuple[str, ...] | None:
    """A Go []string; None is the nil one. Raises MalformedValue."""
    items = array(value)
    return None if items is None else tuple(text(item) for item in items)


def fields(value: Any, names: Sequence[str]) -> dict[str, Any]:
    """A struct's fields by name; nil is the zero struct, an array holds them in order of declaration.

    Raises MalformedValue.
    """
    if value is None:
        return {}
    if isinstance(value, list):
        return dict(zip(names, value, strict=False))
    if not isinstance(value, dict):
        raise MalformedValue(f"{kind(value)} where a struct is wanted")
    return {text(key): item for key, item in value.items() if isinstance(key, str | bytes)}


def array(value: Any) -> list[Any] | None:
    """A Go slice; None is the nil one. Raises MalformedValue."""
    if value is not None and not isinstance(value, list):
        raise MalformedValue(f"{kind(value)} where an array is wanted")
    return value


def octets(value: Any) -> bytes | None:
    """A Go []byte; None is the nil one. Raises MalformedValue."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if value is not None and not isinstance(value, bytes):
        raise MalformedValue(f"{kind(value)} where octets are wanted")
    return value


def optional_text(value: Any) -> str | None:
    """A Go *string; None is the nil one. Raises MalformedValue."""
    return None if value is None else text(value)


def numbers(value: Any) -> dict[str, float] | None:
    """A Go map[string]float64, which takes whole numbers too; None is the nil one. Raises MalformedValue."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise MalformedValue(f"{kind(value)} where a map is wanted")
    return {text(key): _number(item) for key, item in value.items()}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedValue(f"{kind(value)} where a number is wanted")
    return float(value)


def kind(value: Any) -> str:
    """What a value is, in the words of a message."""
    return _KINDS.get(
        type(value), "nil" if value is None else "a number" if isinstance(value, int | float) else "an extension"
    )


_KINDS: Mapping[type, str] = {dict: "a map", list: "an array", str: "text", bytes: "octets", bool: "a bool"}
