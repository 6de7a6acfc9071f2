"""DNS cookies (RFC 7873): a client that shows the one it was given is not forging its source address.

The layout is RFC 9018's: version, reserved, time, and a keyed hash over all of it with the client's cookie and address.
The hash is BLAKE2s and not SipHash: only this process, which made a cookie, ever reads it.
"""

import os
import struct
import time
from collections.abc import Callable
from hashlib import blake2s

_CLIENT = 8
_VERSION = b"\1\0\0\0"
_OLDEST_SECONDS = 3600  # RFC 9018 §4.3
_NEWEST_SECONDS = 300
FULL_COOKIE = b"\0\x0a\0\x18"
"""How an option with both cookies begins: code 10, 24 octets."""


class Cookies:
    """Makes and checks server cookies with a secret that lives as long as the process. `clock` gives Unix time."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._secret = os.urandom(32)

    def option(self, cookie: bytes, source: bytes) -> bytes:
        """The COOKIE option of an answer: the client's cookie with a fresh server cookie behind it."""
        head = cookie[:_CLIENT] + _VERSION + struct.pack("!I", int(self._clock()) & 0xFFFFFFFF)
        return FULL_COOKIE + head + self._hash(head, source)

    def is_ours(self, cookie: bytes, source: bytes) -> bool:
        """Whether a client's option holds a server cookie made here, for this address, within the hour."""
        head, mark = cookie[:16], cookie[16:]
        if len(cookie) != 24 or self._hash(head, source) != mark:
            return False
        age = int(self._clock()) - int.from_bytes(head[12:16], "big")
        return -_NEWEST_SECONDS <= age <= _OLDEST_SECONDS

    def _hash(self, head: bytes, source: bytes) -> bytes:
        return blake2s(head + source, digest_size=8, key=self._secret).digest()
