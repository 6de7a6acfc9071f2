"""Who is calling. Over the unix socket the kernel says so; over TCP a bearer token does (RFC 6750 §2.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.model.tokens import Role, Token

PEER = "peer"
"""The key in a connection's state."""
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class LocalUser:
    """The other end of a unix socket: root, or the appliance's own user; others never get this far."""

    uid: int


@dataclass(frozen=True, slots=True)
class Stranger:
    """The other end of a TCP connection."""

    address: str


Peer = LocalUser | Stranger


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is let in. `actor` is what the log calls them."""

    actor: str
    role: Role


class Tokens(Protocol):
    """The tokens there are."""

    def find(self, text: str) -> Token | None:
        """The token that `text` is, or None. Raises Unavailable while that cannot be told."""


class NoTokens:
    """Nobody is let in by a token."""

    def find(self, _: str) -> Token | None:
        """None."""
        return None


def caller(peer: Peer, headers: Sequence[tuple[bytes, bytes]], tokens: Tokens) -> Caller | None:
    """Who a request comes from; None: nobody we know. Raises Unavailable as `Tokens.find`."""
    if isinstance(peer, LocalUser):
        return Caller(f"uid {peer.uid}", Role.WRITE)
    token = tokens.find(text) if (text := bearer(headers)) else None
    return Caller(f"token {token.name}", token.role) if token else None


def bearer(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The token in a request; empty without one, or with more than one."""
    given = [value.decode("latin-1") for name, value in headers if name == b"authorization"]
    if len(given) != 1 or given[0][: len(_SCHEME)].lower() != _SCHEME:
        return ""
    return given[0][len(_SCHEME) :].strip()


def peer_of(scope: Any) -> Peer:
    """The other end of the connection that an ASGI request came over; a stranger if nothing is known."""
    found = scope.get("state", {}).get(PEER)
    return found if isinstance(found, LocalUser | Stranger) else Stranger("")
