"""A proxy in front of Pebble that makes the CA misbehave on demand, and counts what it is asked for.

Pebble builds its URLs from the Host header, and it is passed on as it came: a client that starts at this proxy's
directory stays with the proxy. Its server certificate is Pebble's own, so `tls_ca` vouches for both.
"""

import base64
import contextlib
import http.client
import json
import socket
import socketserver
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.peers import addresses
from tests.peers.pebble import Pebble

_PORT: Final = 14001
_PEBBLE: Final = (addresses.CA, 14000)
_OWN_HEADERS: Final = frozenset({"date", "server", "content-length", "connection", "transfer-encoding"})
_URN: Final = "urn:ietf:params:acme:error:"

NEW_ORDER: Final = "/order-plz"
NEW_ACCOUNT: Final = "/sign-me-up"
AUTHORIZATION: Final = "/authZ/"
CHALLENGE: Final = "/chalZ/"
FINALIZE: Final = "/finalize-order/"
CERTIFICATE: Final = "/certZ/"
DIRECTORY: Final = "/dir"


@dataclass(frozen=True)
class Asked:
    """A request that came in: when (monotonic seconds), what, and for a new order the names in it."""

    at: float
    method: str
    path: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Reply:
    """What the proxy says: by itself or for Pebble."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Fault:
    """What happens to requests whose path begins with `path` (and that order `name`, if given), `times` at most.

    `reply` answers instead of Pebble (None: the connection is cut); `rewrite` changes Pebble's answer.
    """

    path: str
    name: str | None = None
    times: int | None = None
    reply: Callable[[], Reply | None] | None = None
    rewrite: Callable[[Reply], Reply] | None = None
    struck: int = field(default=0, init=False)

    def strikes(self, asked: Asked) -> bool:
        """Whether it is this request's turn."""
        if self.times is not None and self.struck >= self.times:
            return False
        return asked.path.startswith(self.path) and (self.name is None or self.name in asked.names)


class FaultProxy:
    """Serves at `url` until closed; use it wherever a `Pebble` gives `url` and `tls_ca`. A context manager."""

    def __init__(self, pebble: Pebble, *, port: int = _PORT) -> None:
        self.url = f"https://{addresses.CA}:{port}/dir"
        self.tls_ca: Path = pebble.tls_ca
        self._port = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.tls_ca.with_name("server.pem"), self.tls_ca.with_name("server.key"))
        self._trust = ssl.create_default_context(cafile=str(self.tls_ca))
        self._guard = threading.Lock()
        self._faults: list[Fault] = []
        self._asked: list[Asked] = []
        self._skew = 0.0
        self._released = threading.Event()
        self.start()

    def start(self) -> None:
        """Listen (again)."""
        self._released.clear()
        self._server = _Server((addresses.CA, self._port), self)
        self._server.socket = self._context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fault proxy")
        self._thread.start()

    def stop(self) -> None:
        """Listen no more: connections are refused. Requests that are stalled are cut."""
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.close_connections()

    # What it does to requests. Each gives the fault, whose `struck` counts; `clear` ends all of them.

    def problem(
        self,
        kind: str,
        detail: str = "told to by a test",
        *,
        status: int = 403,
        path: str = NEW_ORDER,
        name: str | None = None,
        times: int | None = None,
        retry_after: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Fault:
        """Answer with a problem document of `kind`, like `rateLimited`. `more` goes into it, like `subproblems`."""

        def reply() -> Reply:
            document = {"type": _URN + kind, "detail": detail, "status": status, **(more or {})}
            headers = {"Content-Type": "application/problem+json", "Replay-Nonce": self._fresh_nonce()}
            if retry_after is not None:
                headers["Retry-After"] = retry_after
            return Reply(status, headers, json.dumps(document).encode())

        return self._add(Fault(path, name, times, reply))

    def rate_limit(self, seconds: float, *, name: str | None = None, words: str = "", path: str = NEW_ORDER) -> Fault:
        """429 with Retry-After, and a detail as Let's Encrypt words it (`words` replaces it), until cleared."""
        until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + seconds))
        detail = words or (
            "too many new orders (300) from this account in the last 3h0m0s, "
            f"retry after {until}: see https://letsencrypt.org/docs/rate-limits/#new-orders-per-account"
        )
        return self.problem(
            "rateLimited", detail, status=429, path=path, name=name, retry_after=str(max(1, round(seconds)))
        )

    def bad_nonces(self, *, times: int | None = None, path: str = NEW_ORDER) -> Fault:
        """Refuse nonces, with a fresh one in the answer."""
        return self.problem("badNonce", "JWS has an invalid anti-replay nonce", status=400, path=path, times=times)

    def server_error(self, *, status: int = 500, path: str = NEW_ORDER, times: int | None = None) -> Fault:
        """An answer that is no problem document, as from a broken front end."""
        page = Reply(status, {"Content-Type": "text/html"}, b"<html>Internal Server Error</html>")
        return self._add(Fault(path, None, times, lambda: page))

    def stall(self, *, path: str = NEW_ORDER, times: int | None = None) -> Fault:
        """Take the request and say nothing, until `clear` or `stop`; then the connection is cut."""

        def reply() -> None:
            self._released.wait()

        return self._add(Fault(path, None, times, reply))

    def cut(self, *, path: str = NEW_ORDER, times: int | None = None) -> Fault:
        """Close the connection instead of answering."""
        return self._add(Fault(path, None, times, lambda: None))

    def rewrite(self, change: Callable[[Reply], Reply], *, path: str, times: int | None = None) -> Fault:
        """Change what Pebble answered."""
        return self._add(Fault(path, None, times, None, change))

    def set_clock(self, seconds: float) -> None:
        """Let the `Date` header of every answer lie this far from now."""
        self._skew = seconds

    def clear(self) -> None:
        """Be a mere proxy again. Stalled requests are cut."""
        with self._guard:
            self._faults.clear()
        self._skew = 0.0
        released, self._released = self._released, threading.Event()
        released.set()

    # What was asked

    def asked(self, path: str = "") -> list[Asked]:
        """The requests whose path begins with `path`, oldest first."""
        with self._guard:
            return [one for one in self._asked if one.path.startswith(path)]

    def orders(self, name: str | None = None) -> list[Asked]:
        """The requests for a new order, or those that hold `name`. Refused ones are there, too."""
        return [one for one in self.asked(NEW_ORDER) if name is None or name in one.names]

    def counts(self) -> Counter[str]:
        """Requests by the first part of their path."""
        return Counter("/" + one.path.split("/")[1] for one in self.asked())

    def forget(self) -> None:
        """Let the counts begin anew."""
        with self._guard:
            self._asked.clear()

    def answer(self, asked: Asked, headers: Mapping[str, str], body: bytes) -> Reply | None:
        """What to say to a request; None: cut the connection."""
        with self._guard:
            self._asked.append(asked)
            fault = next((one for one in self._faults if one.strikes(asked)), None)
            if fault is not None:
                fault.struck += 1
        if fault is not None and fault.reply is not None:
            return fault.reply()
        reply = self._forward(asked, headers, body)
        return fault.rewrite(reply) if fault is not None and fault.rewrite and reply is not None else reply

    def date(self) -> str:
        """The `Date` header."""
        return formatdate(time.time() + self._skew, usegmt=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _add(self, fault: Fault) -> Fault:
        with self._guard:
            self._faults.append(fault)
        return fault

    def _forward(self, asked: Asked, headers: Mapping[str, str], body: bytes) -> Reply | None:
        try:
            with self._pebble() as connection:
                connection.request(asked.method, asked.path, body or None, dict(headers))
                answer = connection.getresponse()
                return Reply(answer.status, dict(answer.getheaders()), answer.read())
        except (OSError, http.client.HTTPException):
            return None

    def _fresh_nonce(self) -> str:
        try:
            with self._pebble() as connection:
                connection.request("HEAD", "/nonce-plz")
                return connection.getresponse().headers["Replay-Nonce"]
        except OSError:
            return "bm8tbm9uY2U"

    @contextlib.contextmanager
    def _pebble(self) -> Iterator[http.client.HTTPSConnection]:
        with contextlib.closing(http.client.HTTPSConnection(*_PEBBLE, timeout=30, context=self._trust)) as connection:
            yield connection


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without the base class's look-up of the address's name."""
        socketserver.TCPServer.server_bind(self)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, which `close_connections` may end."""
        self._open.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            self._open.discard(request)

    def close_connections(self) -> None:
        """End the connections that clients keep open."""
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is a test's doing."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server

    def do_POST(self) -> None:
        """Answer any method."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        asked = Asked(time.monotonic(), self.command, self.path, _names(self.path, body))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN_HEADERS}
        reply = self.server.proxy.answer(asked, headers, body)
        if reply is None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response_only(reply.status)
        self.send_header("Date", self.server.proxy.date())
        for name, value in reply.headers.items():
            if name.lower() not in _OWN_HEADERS:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the counts are what a test looks at."""


def _names(path: str, body: bytes) -> tuple[str, ...]:
    """The names of a new order: its JWS's payload is plain JSON in base64url (RFC 8555, section 7.4)."""
    if not path.startswith(NEW_ORDER):
        return ()
    try:
        payload = json.loads(body)["payload"]
        order = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return tuple(item["value"] for item in order["identifiers"])
    except (ValueError, KeyError, TypeError):
        return ()
