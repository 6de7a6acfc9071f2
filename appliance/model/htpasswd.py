"""Password lines as `htpasswd` writes them, checked before Traefik sees them. They are secrets: no message quotes one.

Taken are the hashes that Traefik verifies (https://doc.traefik.io/traefik/middlewares/http/basicauth/): bcrypt, MD5
(apr1) and SHA-1. Traefik hashes anew for every request, on the processor all workloads share, so what a bcrypt line
may cost is bounded.
"""

import re
from typing import Any

from appliance.model import documents
from appliance.model.errors import InvalidInput

_USER = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_OTHER_HASHES = (
    re.compile(r"\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"),
    re.compile(r"\{SHA\}[A-Za-z0-9+/]{27}="),
)
_LEAST_COST, _MOST_COST = 4, 12
_MOST_LINES = 64


def lines(value: Any, key: str) -> tuple[str, ...]:
    """A list of `user:hash` lines. Raises InvalidInput, which names the place of a bad line and never its content."""
    if not isinstance(value, list) or not value:
        raise InvalidInput(f"`{key}` must be a list of at least one line as `htpasswd -nB USER` prints it")
    if len(value) > _MOST_LINES:
        raise InvalidInput(f"`{key}` has {len(value)} lines: at most {_MOST_LINES} are taken")
    checked = tuple(_line(item, f"line {number} of `{key}`") for number, item in enumerate(value, 1))
    users = [line.partition(":")[0] for line in checked]
    for number, user in enumerate(users, 1):
        if user in users[: number - 1]:
            raise InvalidInput(f"line {number} of `{key}` names a user a second time: give each user one line")
    return checked


def _line(value: Any, shown: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{shown} is {documents.kind(value)}: it must be text like `user:hash`, in quotes")
    user, colon, hashed = value.partition(":")
    if not colon or not _USER.fullmatch(user):
        raise InvalidInput(
            f"{shown} must begin with a user and a colon: a user is 1 to 64 letters, digits and any of ._@+-"
        )
    bcrypt = _BCRYPT.fullmatch(hashed)
    if bcrypt and not _LEAST_COST <= int(bcrypt[1]) <= _MOST_COST:
        raise InvalidInput(
            f"{shown} has a bcrypt cost of {int(bcrypt[1])}: every request pays it, so it must be "
            f"{_LEAST_COST} to {_MOST_COST} (`htpasswd -nB -C 10 USER`)"
        )
    if not bcrypt and not any(form.fullmatch(hashed) for form in _OTHER_HASHES):
        raise InvalidInput(
            f"{shown} has no hash that can be used: bcrypt ($2y$...), apr1 ($apr1$...) and {{SHA}} are; "
            "a password itself never is (`htpasswd -nB USER` makes a line)"
        )
    return value
