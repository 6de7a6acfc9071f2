"""Tokens of the admin API: who may call it over TCP, and what for.

A token is 256 random bits, so what is kept of it is its plain SHA-256 digest (docs/decisions, "tokens"): there is
nothing to guess, and checking one costs a microsecond. Values only: the file is an adapter's, and so is chance.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.model import documents
from appliance.model.errors import Conflict, InvalidInput, NotFound

SECRET_BYTES = 32
MOST_TOKENS = 256
_PREFIX = "gwt_"
"""So that a token is recognised where it was leaked to."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEYS = ("name", "role", "sha256", "created")


class Role(StrEnum):
    """What a token is good for."""

    READ = "read"
    """Everything that changes nothing."""
    WRITE = "write"
    """Everything."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of one token."""

    name: str
    role: Role
    digest: str
    """SHA-256 of the token's text, hexadecimal."""
    created: str = ""
    """When, as UTC date and time; for people."""


Tokens = tuple[Token, ...]


def text_of(secret: bytes) -> str:
    """The token's text, as it is shown once and sent in requests."""
    return _PREFIX + base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")


def digest(text: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def find(tokens: Tokens, text: str) -> Token | None:
    """The token that `text` is, or None. Takes the same time whichever it is, and however nearly it is one."""
    wanted, found = digest(text), None
    for token in tokens:
        if hmac.compare_digest(token.digest, wanted):
            found = token
    return found


def with_new(tokens: Tokens, token: Token) -> Tokens:
    """With one more. Raises Conflict when the name is taken, InvalidInput when it is none or there are too many."""
    if any(one.name == token.name for one in tokens):
        raise Conflict(f"there is a token {token.name} already: revoke it first, or choose another name")
    if len(tokens) >= MOST_TOKENS:
        raise InvalidInput(f"there are {MOST_TOKENS} tokens, the most there may be: revoke some first")
    return (*tokens, Token(_name(token.name), token.role, token.digest, token.created))


def without(tokens: Tokens, name: str) -> Tokens:
    """Without the one of this name. Raises NotFound."""
    if all(one.name != name for one in tokens):
        raise NotFound(f"there is no token {name}: `gateway token list` shows those there are")
    return tuple(one for one in tokens if one.name != name)


def document(tokens: Tokens) -> dict[str, Any]:
    """The content of the token file; `parse` of it gives these tokens again."""
    rows = [{"name": one.name, "role": one.role.value, "sha256": one.digest, "created": one.created} for one in tokens]
    return {"tokens": rows}


def parse(content: Any) -> Tokens:
    """The tokens in a token file. Raises InvalidInput, naming the entry and never its digest."""
    if content is None:
        return ()
    values = documents.mapping(content, "the token file")
    rows = values.get("tokens")
    if values.keys() != {"tokens"} or not isinstance(rows, list) or len(rows) > MOST_TOKENS:
        raise InvalidInput(f"the token file has one key, `tokens`: a list of at most {MOST_TOKENS} tokens")
    found = tuple(_token(row, number) for number, row in enumerate(rows, 1))
    _check_distinct(found)
    return found


def _token(row: Any, number: int) -> Token:
    values: Mapping[str, Any] = documents.mapping(row, f"token {number}")
    for key in values:
        if key not in _KEYS:
            raise InvalidInput(f"token {number} has an {documents.unknown_key(key, list(_KEYS))}")
    role, kept = values.get("role"), values.get("sha256")
    if role not in list(Role):
        raise InvalidInput(f"token {number}: `role` must be read or write")
    if not isinstance(kept, str) or not _DIGEST.fullmatch(kept):
        raise InvalidInput(f"token {number}: `sha256` must be 64 hexadecimal digits: make it with `gateway token new`")
    return Token(_name(values.get("name")), Role(role), kept, str(values.get("created", ""))[:40])


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidInput("the name of a token is 1 to 64 letters, digits, `.`, `_` and `-`, like `ci` or `grafana`")
    return value


def _check_distinct(found: Sequence[Token]) -> None:
    for key in ("name", "digest"):
        if len({getattr(one, key) for one in found}) != len(found):
            raise InvalidInput(f"two tokens have the same {key}: each needs one of its own")
