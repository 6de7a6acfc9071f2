"""The plainest YAML, read without a YAML parser: what nearly every workload file is.

A parser of the whole language takes a tenth of a millisecond for a file of four lines, and at the start of a large
gateway there are ten thousand of them. So what is certain to mean the same is read here: lines of `key: value` whose
values are plain words, and lists of such, in one line or below one another, as the documentation has them and as the
appliance writes them itself. Whatever else there is makes the document somebody else's: this never says that one is
wrong.
"""

import re

import yaml

_LONGEST = 255
_PLAIN = rf"[A-Za-z0-9](?:[A-Za-z0-9._/:-]{{0,{_LONGEST}}}[A-Za-z0-9._/-])?"
"""Nothing in it means anything to YAML: no space, no comment, no quote, and no colon before a space."""
_QUOTED = rf'"[A-Za-z0-9._/:@\[\]-]{{0,{_LONGEST}}}"'
_LINE = re.compile(rf"(?P<key>[a-z][a-z_]{{0,63}}):(?: (?:(?P<plain>{_PLAIN})|(?P<quoted>{_QUOTED})|\[(?P<row>.*)\]))?")
_ITEM = re.compile(rf"- (?:(?P<plain>{_PLAIN})|(?P<quoted>{_QUOTED}))")
_ROW = re.compile(rf"{_QUOTED}(?:, ?{_QUOTED})*")
_BOOLEANS = {"true": True, "false": False}
_IMPLICIT = yaml.SafeLoader.yaml_implicit_resolvers
"""First character -> (tag, pattern) of the plain words that are no text: numbers, dates, `no`, `null`."""

Value = str | bool | list[str]


def parse(text: str) -> dict[str, Value] | None:
    """What the text says, exactly as a YAML parser has it; None when it takes one to know."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    found: dict[str, Value] = {}
    items: list[str] | None = None
    """The list that began with the last key, which had no value beside it."""
    for line in lines:
        if line.startswith("- "):
            item = _item(line)
            if items is None or item is None:
                return None
            items.append(item)
            continue
        match = _LINE.fullmatch(line)
        if match is None or items == [] or match["key"] in found or not _is_text(match["key"]):
            return None
        value = _value(match)
        if value is None:
            return None
        items = value if isinstance(value, list) and not value else None
        found[match["key"]] = value
    return found if found and items != [] else None


def _item(line: str) -> str | None:
    match = _ITEM.fullmatch(line)
    if match is None:
        return None
    return _unquoted(match["quoted"]) if match["quoted"] else match["plain"] if _is_text(match["plain"]) else None


def _value(match: re.Match[str]) -> Value | None:
    """The value beside a key; an empty list when there is none, for it is to follow."""
    plain, quoted, row = match["plain"], match["quoted"], match["row"]
    if plain is not None:
        return plain if _is_text(plain) else _BOOLEANS.get(plain)
    if quoted is not None:
        return _unquoted(quoted)
    if row is None:
        return []
    return [_unquoted(item) for item in row.replace(" ", "").split(",")] if _ROW.fullmatch(row) else None


def _unquoted(text: str) -> str:
    return text[1:-1]


def _is_text(plain: str) -> bool:
    return not any(pattern.match(plain) for _, pattern in _IMPLICIT.get(plain[0], ()))
