"""Backends: small threaded HTTP and HTTPS servers that say who they are and what they were sent."""

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

import trustme

from tests.peers import addresses

CA_NAME: Final = "The backend's own CA"
"""The organisation of every HTTPS backend's issuer: passthrough is shown by it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    backend: "Backend"

    def __init__(self, address: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Bind, without the base class's look-up of the address's name."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away mid-request is a test's doing, not a failure of the backend."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def do_GET(self) -> None:
        """Answer with a JSON body that names the backend."""
        backend = self.server.backend
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        backend.arrived()
        echo = {
            "backend": backend.name,
            "method": self.command,
            "path": self.path,
            "host": self.headers.get("Host"),
            "body": body.decode("utf-8", errors="replace"),
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        text = json.dumps(echo).encode("utf-8")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815 - the base class's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the counts are what a test looks at."""


class Backend:
    """Answers on `address`:`port` (0: any) until closed; `requests` counts. With `tls_names` it speaks TLS."""

    def __init__(
        self, name: str, *, address: str = addresses.BACKEND, port: int = 0, tls_names: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.requests = 0
        self.ca_pem = ""
        """With TLS: the CA that vouches for it, as PEM text."""
        self._gate = threading.Event()
        self._gate.set()
        self._counting = threading.Lock()
        self._server = _Server(address, port)
        self._server.backend = self
        if tls_names:
            self._speak_tls(tls_names)
        self.address, self.port = address, self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name=f"backend {name}")
        self._thread.start()

    @property
    def host_port(self) -> str:
        """`ip:port`, as passthrough workloads give a backend."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        """`http://ip:port`, as terminating workloads give a backend."""
        return f"http://{self.host_port}"

    def arrived(self) -> None:
        """Count a request and hold it back while the backend is held."""
        with self._counting:
            self.requests += 1
        self._gate.wait(30)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Requests that arrive meanwhile are answered only afterwards."""
        self._gate.clear()
        try:
            yield
        finally:
            self._gate.set()

    def close(self) -> None:
        """Stop answering."""
        self._gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _speak_tls(self, names: tuple[str, ...]) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority = trustme.CA(organization_name=CA_NAME)
        authority.issue_cert(*names).configure_cert(context)
        self.ca_pem = authority.cert_pem.bytes().decode("ascii")
        # The handshake happens in the request's own thread: a client that says nothing must not hold the others up.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)


MakeBackend = Callable[..., Backend]
"""What the fixture `backend` gives: `Backend`'s parameters; the backend is closed after the test."""
