"""A constant load of HTTPS requests that remembers every failure: how `no failed request` is shown."""

import dataclasses
import http.client
import ssl
import threading
from types import TracebackType
from typing import Self

from tests.peers import addresses, https
from tests.peers.launching import await_result

MAX_FAILURES_KEPT = 20


@dataclasses.dataclass(frozen=True)
class Tally:
    """What the requests came to."""

    ok: int
    failures: int
    examples: tuple[str, ...]


class Load:
    """`clients` threads, each with one request after the other, from `with` to the end of the block.

    A request is ok when the status is 200 and the body holds `expect`. With `keep_alive` a client keeps its
    connection until the server closes it; a server may close an idle one at any time, so a request whose kept
    connection turns out to be closed before any answer is sent once more on a new one, as browsers do.
    """

    def __init__(
        self,
        host: str,
        *,
        expect: str,
        ca: str | None = None,
        address: str = addresses.GATEWAY,
        port: int = 443,
        clients: int = 2,
        keep_alive: bool = False,
        interval: float = 0.01,
    ) -> None:
        self._host, self._expect, self._target = host, expect, (address, port)
        self._context = https.trusting(ca)
        self._keep_alive, self._interval = keep_alive, interval
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._ok = 0
        self._failures: list[str] = []
        self._failed = 0
        self._threads = [threading.Thread(target=self._client, name=f"load {n}") for n in range(clients)]

    def tally(self) -> Tally:
        """The count so far."""
        with self._lock:
            return Tally(self._ok, self._failed, tuple(self._failures))

    def until_more(self, count: int = 20, *, seconds: float = 20) -> Tally:
        """Wait until `count` more requests went well, then the tally. Shows that the load was really there."""
        goal = self.tally().ok + count
        await_result(lambda: self.tally().ok >= goal, f"{count} more good requests ({self.tally()})", seconds=seconds)
        return self.tally()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self) -> None:
        connection = self._connection()
        while not self._stop.is_set():
            try:
                self._count(self._request(connection))
            except (OSError, http.client.HTTPException, ssl.SSLError) as error:
                self._count(repr(error))
                connection.close()
            if not self._keep_alive:
                connection.close()
            self._stop.wait(self._interval)
        connection.close()

    def _request(self, connection: http.client.HTTPSConnection) -> str | None:
        """What was wrong, or None."""
        kept = connection.sock is not None
        try:
            return self._exchange(connection)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            connection.close()
            if not kept:
                raise
        return self._exchange(connection)

    def _exchange(self, connection: http.client.HTTPSConnection) -> str | None:
        connection.request("GET", "/load", headers={"Host": self._host})
        with connection.getresponse() as answer:
            body = answer.read().decode("utf-8", errors="replace")
        if answer.status != 200 or self._expect not in body:
            return f"{answer.status} {body[:200]!r}"
        return None

    def _connection(self) -> http.client.HTTPSConnection:
        return _Pinned(self._host, self._target, self._context)

    def _count(self, wrong: str | None) -> None:
        with self._lock:
            if wrong is None:
                self._ok += 1
                return
            self._failed += 1
            if len(self._failures) < MAX_FAILURES_KEPT:
                self._failures.append(wrong)


class _Pinned(http.client.HTTPSConnection):
    """Speaks for one host to one address, whatever the name resolves to."""

    def __init__(self, host: str, target: tuple[str, int], context: ssl.SSLContext) -> None:
        super().__init__(host, timeout=10, context=context)
        self._tls, self._pinned = context, target

    def connect(self) -> None:
        """TCP to the pinned address, TLS for the host."""
        plain = https.open_connection(self._pinned)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
