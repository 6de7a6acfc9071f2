"""Foreign YAML (and so JSON) text into plain values, safely.

A document from outside may be large, deep, self-referencing (the "billion laughs"), ambiguous or no text at all. It is
read event by event first, which costs no recursion and builds nothing, and composed only when it is tame.
"""

from collections.abc import Hashable
from difflib import get_close_matches
from typing import Any

import yaml

from appliance.model import plain_documents
from appliance.model.errors import InvalidInput

LARGEST_DOCUMENT_BYTES = 64 * 1024
_DEEPEST = 16
_LONGEST_NUMBER = 40
_TEXT_TAG = "tag:yaml.org,2002:str"
# The C parser is seven times as fast; a PyYAML built without it has only the other.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(raw: bytes, largest_bytes: int = LARGEST_DOCUMENT_BYTES) -> Any:
    """The one document in `raw` as dicts, lists, strings, numbers, booleans and None. Empty text: None.

    Raises InvalidInput, saying where, when it is larger than `largest_bytes`, not UTF-8, not YAML, has more than one
    document, uses aliases or tags, names a key twice, holds a number of more than 40 characters, or nests deeper than
    16 levels.
    """
    if len(raw) > largest_bytes:
        raise InvalidInput(f"the document has {len(raw)} bytes: at most {largest_bytes} are read")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the document is not UTF-8 text (byte {error.start})") from error
    plain = plain_documents.parse(text)
    if plain is not None:
        return plain
    try:
        _check_shape(text)
        return _value(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"the document is not valid YAML: {_one_line(error)}") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"the document holds a value that cannot be read: {error}") from error


def _value(text: str) -> Any:
    """The value of a tame document. Composed once: of ten thousand documents the parsing is what costs."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        _check_nodes(node)
        return loader.construct_document(node) if node is not None else None
    finally:
        loader.dispose()


def mapping(document: Any, what: str) -> dict[str, Any]:
    """`document` as a mapping with string keys. Raises InvalidInput, naming `what`, when it is not one."""
    if not isinstance(document, dict):
        raise InvalidInput(f"{what} is {kind(document)}: it must be a mapping of keys and values")
    for key in document:
        if not isinstance(key, str):
            raise InvalidInput(f"{what} has the key {key!r}: keys are plain words")
    return document


def lowered(document: Any, what: str) -> dict[str, Any]:
    """A mapping with its keys in lower case, as Traefik compares them. Raises InvalidInput when one is there twice."""
    found: dict[str, Any] = {}
    for key, member in mapping(document, what).items():
        if key.lower() in found:
            raise InvalidInput(f"{what} gives the key {key[:80]!r} twice: upper and lower case are not told apart")
        found[key.lower()] = member
    return found


def unknown_key(key: str, known: list[str]) -> str:
    """What to tell about a key that is not known: the nearest one, else all of them."""
    near = get_close_matches(key, known, n=1)
    return f"unknown key {key[:80]!r}: " + (f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}")


def kind(value: Any) -> str:
    """What a value is, in the words of somebody who writes YAML."""
    names: dict[type, str] = {dict: "a mapping", list: "a list", str: "text", bool: "true/false", type(None): "empty"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _check_shape(text: str) -> None:
    depth = documents = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise InvalidInput(f"line {_line(event)} uses an alias (*): write the value out")
        # PyYAML's constructors fail in ways of their own when a value does not fit its tag (!!timestamp soon).
        if getattr(event, "tag", None) not in (None, "!", _TEXT_TAG):
            raise InvalidInput(f"line {_line(event)} uses a tag (!): write the plain value")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > _DEEPEST:
            raise InvalidInput(f"line {_line(event)} nests deeper than {_DEEPEST} levels")
        if documents > 1:
            raise InvalidInput(f"line {_line(event)} starts a second document: one file, one document")


def _check_nodes(node: yaml.Node | None) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_nodes(item)
    elif isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            if key.value.__hash__ is not None and key.value in seen:
                raise InvalidInput(f"line {_line(key)} gives the key {key.value!r} a second time")
            if key.value.__hash__ is not None:
                seen.add(key.value)
            _check_nodes(key)
            _check_nodes(value)
    elif isinstance(node, yaml.ScalarNode) and node.tag.endswith(":int") and len(node.value) > _LONGEST_NUMBER:
        # Python refuses to print integers of thousands of digits: the message about one would be the next error.
        raise InvalidInput(f"line {_line(node)} holds a number of more than {_LONGEST_NUMBER} characters")


def _line(part: yaml.Event | yaml.Node) -> int:
    return part.start_mark.line + 1 if part.start_mark else 0


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)
