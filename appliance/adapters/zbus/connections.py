"""Connections to the broker, on redis-py; and what is said of them.

redis-py repeats a command by itself when an answer does not come. Of a blocking pop the answer may be on its way with a
request in it, so nothing is repeated here: an error ends the connection, and whoever was at work decides how to go on.
"""

import ipaddress
import socket
import threading
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance import logs
from appliance.model.backends import Address
from appliance.model.brokers import Broker
from appliance.model.errors import Unavailable

log = logs.logger(__name__)

_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 3.0
"""How long an answer may take beyond what the command itself waits."""
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0

_UNREACHABLE = "the broker cannot be reached"
_LOADING = "the broker is still loading its data"

Client = redis.Redis


def connect(broker: Broker, *, longest_wait_seconds: float = 0.0) -> Client:
    """A client for one thread at a time; connects when used. Commands may block up to `longest_wait_seconds`."""
    options: dict[str, Any] = {
        "username": broker.username,
        "password": broker.password,
        "db": broker.database,
        "socket_timeout": longest_wait_seconds + _ANSWER_SECONDS,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # the older protocol: every Redis speaks it, and nothing in the newer one is needed
    }
    if broker.path is not None:
        return Client(unix_socket_path=str(broker.path), **options)
    return Client(host=str(broker.host), port=broker.port, ssl=broker.tls, **options)


def addresses(broker: Broker) -> frozenset[Address]:
    """The IP addresses of the broker's host; none for a unix socket, or when nobody can say."""
    if broker.host is None:
        return frozenset()
    try:
        found = socket.getaddrinfo(broker.host, broker.port, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in found)


def unavailable(error: redis.RedisError | OSError) -> Unavailable:
    """An error of redis-py, or of a socket it let through, in the words of somebody who can do something about it."""
    return Unavailable(_reason(error))


class Pause:
    """The growing time between two attempts, in seconds; from the beginning again after a success."""

    def __init__(self) -> None:
        self._next = _FIRST_PAUSE_SECONDS

    def grow(self) -> float:
        """The time to wait now; the next one is longer."""
        pause, self._next = self._next, min(_LONGEST_PAUSE_SECONDS, self._next * 2)
        return pause

    def reset(self) -> None:
        """It worked."""
        self._next = _FIRST_PAUSE_SECONDS


class Link:
    """Whether the broker serves us, as all who use it see it together. Each change is said once in the log."""

    def __init__(self, broker: Broker) -> None:
        self._shown = broker.shown
        self._lock = threading.Lock()
        self._troubled: dict[str, str] = {}
        self._said: set[str] = set()
        self._is_met = False

    @property
    def trouble(self) -> str | None:
        """Why the bus does not work now; None when it does."""
        with self._lock:
            if not self._is_met and not self._troubled:
                return "the broker has not answered yet"
            return next(iter(self._troubled.values()), None)

    def failed(self, who: str, error: Unavailable) -> None:
        """`who` cannot go on, and will try again."""
        reason = str(error)
        kind = reason.partition(":")[0]
        with self._lock:
            self._troubled[who] = reason
            # How an outage goes on is no news; that somebody has to do something is.
            if kind in self._said or (self._said and kind in (_UNREACHABLE, _LOADING)):
                return
            self._said.add(kind)
        log.warning("the message bus does not work; it is tried again", broker=self._shown, reason=reason)

    def works(self, who: str) -> None:
        """`who` got what it asked for."""
        with self._lock:
            self._troubled.pop(who, None)
            if self._troubled or (self._is_met and not self._said):
                return
            self._is_met = True
            self._said.clear()
        log.info("connected to the message bus", broker=self._shown)


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (redis.exceptions.AuthenticationError, "the broker refuses the password: correct it in `broker`"),
    (redis.exceptions.AuthenticationWrongNumberOfArgsError, "the broker knows no users: write `broker` without one"),
    (redis.exceptions.BusyLoadingError, _LOADING),
    (redis.exceptions.ConnectionError, _UNREACHABLE),
    (redis.exceptions.TimeoutError, _UNREACHABLE),
    (OSError, _UNREACHABLE),
    (redis.exceptions.OutOfMemoryError, "the broker's memory is full: free some, or raise its `maxmemory`"),
    (redis.exceptions.ReadOnlyError, "the broker is a read-only replica: `broker` must name the master"),
)
_REASONS_BY_CODE = {
    "WRONGTYPE": "a key of the bus holds no list in the broker's data: delete that key",
    "NOAUTH": "the broker wants a password: add it to `broker`",
    "WRONGPASS": "the broker refuses the password: correct it in `broker`",
}


def _reason(error: Exception) -> str:
    known = next((reason for kind, reason in _REASONS if isinstance(error, kind)), None)
    known = known or _REASONS_BY_CODE.get(str(error).partition(" ")[0])
    if known in (None, _UNREACHABLE):
        return f"{known or 'the broker does not do it'}: {error}"
    return str(known)
