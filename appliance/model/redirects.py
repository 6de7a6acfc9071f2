"""Where a workload's requests are sent on to: another host, or one URL.

What is written here becomes the replacement of a regular expression in Traefik, where `$` has a meaning, so it is
taken apart into host, port and path, each checked character by character, and put together again.
"""

import re
from dataclasses import dataclass
from typing import Any

from appliance.model import documents, hosts
from appliance.model.errors import InvalidInput

_FORM = re.compile(r"(?:(?P<scheme>[A-Za-z]+)://)?(?P<host>[^:/?#@\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>[/?#].*)?")
_CHARACTER = r"(?:[A-Za-z0-9._~!&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})"  # RFC 3986 §3.3, without `$`
_PATH = re.compile(rf"/{_CHARACTER}*(?:\?(?:{_CHARACTER}|\?)*)?")
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Redirect:
    """The target. Without a path every request keeps its own path and query; with one, all go to that one URL."""

    scheme: str
    host: str
    port: int | None
    path: str | None

    @property
    def origin(self) -> str:
        """`scheme://host[:port]`."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")

    def __str__(self) -> str:
        return self.origin + (self.path or "")


def parse(value: Any, key: str) -> Redirect:
    """`host[:port]`, `https://host[:port]` or a URL with a path. Raises InvalidInput naming `key` and the mend."""
    if not isinstance(value, str):
        raise InvalidInput(f"`{key}` is {documents.kind(value)}: it must be text like www.example.com or an https URL")
    match = _FORM.fullmatch(value) if len(value) <= _LONGEST else None
    scheme = (match["scheme"] or "https").lower() if match else ""
    if match is None or scheme not in ("https", "http"):
        raise InvalidInput(
            f"`{key}` is {value[:80]!r}: write a host like www.example.com, or a URL like https://www.example.com/new"
        )
    path = match["path"]
    if path is not None and not _PATH.fullmatch(path):
        raise InvalidInput(
            f"`{key}` has the path {path[:80]!r}: a path begins with / and has letters, digits and the characters "
            "-._~!&'()*+,;=:@/ (others as %XX), then perhaps ? and a query; no fragment and no $"
        )
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise InvalidInput(f"`{key}` has the port {port}: ports are 1 to 65535")
    try:
        return Redirect(scheme, hosts.host(match["host"]), port, path)
    except InvalidInput as error:
        raise InvalidInput(f"`{key}`: {error}") from error
