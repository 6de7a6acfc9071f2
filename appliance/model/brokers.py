"""The message broker's address: what may be written for `broker`, and what it means.

A password may stand in it, so an address is taken apart once, here, and from then on only `shown` is shown to anybody.
The `tcp` and `unix` forms are those existing nodes are started with, their oddity included: a password stands where a
URL has its user. `redis` and `rediss` are the forms every other program that speaks to Redis takes.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from appliance.model.backends import Address
from appliance.model.errors import InvalidInput

FORMS = "unix:///path, tcp://[password@]host:port, redis://[[user]:password@]host[:port][/database] or rediss://..."
_DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class Broker:
    """Where Redis is, and how to be let in. Either `path` or `host` is set."""

    path: Path | None = None
    host: str | None = None
    """A host name or an IP address without brackets."""
    port: int = _DEFAULT_PORT
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    @property
    def shown(self) -> str:
        """The address for logs and messages: no password, no user."""
        if self.path is not None:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in str(self.host) else self.host
        return f"{'rediss' if self.tls else 'tcp'}://{host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The IP address, where one was given; None for a host name and for a unix socket."""
        try:
            return ipaddress.ip_address(str(self.host))
        except ValueError:
            return None


def parse(text: str) -> Broker:
    """The broker a setting or option names. Raises InvalidInput, which never repeats what was given."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # not chained: its words quote what stands after the host, which may be half a password
        raise InvalidInput(f"the broker's address has no valid host and port: write {FORMS}") from None
    form = _PARSERS.get(parts.scheme)
    if form is None:
        raise InvalidInput(f"the broker's address has an unknown scheme: write {FORMS}")
    if parts.query or parts.fragment or any(ord(char) < 0x21 for char in text):
        raise InvalidInput(
            "the broker's address has a space, ? or #: in a password write them as %20, %3F and %23; "
            f"an address is written {FORMS}"
        )
    return form(parts, port)


def _unix(parts: SplitResult, _: int | None) -> Broker:
    path = unquote(parts.path)
    if parts.hostname or len(path) < 2 or path.endswith("/"):
        raise InvalidInput("the broker's address needs the absolute path of a socket: write unix:///var/run/redis.sock")
    return Broker(path=Path(path), password=_lone_password(parts))


def _tcp(parts: SplitResult, port: int | None) -> Broker:
    if parts.path.strip("/"):
        raise InvalidInput(
            "the broker's address has a path: write tcp://host:port, or redis://host:port/database "
            "(a / in a password is written %2F)"
        )
    if not parts.hostname or not port:
        raise InvalidInput("the broker's address needs a host and a port: write tcp://host:6379")
    return Broker(host=parts.hostname, port=port, password=_lone_password(parts))


def _redis(parts: SplitResult, port: int | None) -> Broker:
    database = parts.path.removeprefix("/")
    if not parts.hostname or port == 0:
        raise InvalidInput("the broker's address needs a host: write redis://host:6379")
    if database and not (database.isascii() and database.isdigit() and int(database) < 2**31):
        raise InvalidInput("the broker's address has no valid database number: write redis://host:6379/0")
    if parts.username and parts.password is None:
        raise InvalidInput("the broker's address has one word before the @: write redis://:password@host:port")
    return Broker(
        host=parts.hostname,
        port=port or _DEFAULT_PORT,
        database=int(database or 0),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=parts.scheme == "rediss",
    )


def _lone_password(parts: SplitResult) -> str | None:
    if parts.password is not None:
        raise InvalidInput(
            "the broker's address has a user and a password: write tcp://password@host:port (the password alone), "
            "or redis://user:password@host:port"
        )
    return unquote(parts.username) if parts.username else None


_PARSERS: Mapping[str, Callable[[SplitResult, int | None], Broker]] = {
    "unix": _unix,
    "tcp": _tcp,
    "redis": _redis,
    "rediss": _redis,
}
