"""A listening socket of the admin API, and the thread that serves it.

Each socket has a thread, an event loop and a number of workers of its own, so that whatever TCP brings, the unix
socket answers.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import Server

from appliance.adapters.admin import connections
from appliance.adapters.admin.connections import Room
from appliance.model.errors import Unavailable

_START_SECONDS = 10.0
_STOP_SECONDS = 5
_BACKLOG = 128
_LOCAL_ROOM = (512, 512)
_TCP_ROOM = (128, 64)
"""Connections in all, and from one address; behind a proxy all have one."""
_LARGEST_HEAD_BYTES = 16 * 1024

Listen = Callable[[], socket.socket]


class AdminApi:
    """Serves an application on a socket. `start()` returns when it answers; `stop()` may be repeated."""

    def __init__(self, app: ASGIApp, listen: Listen, room: Room, path: Path | None = None) -> None:
        self._listen = listen
        self._path = path
        self._server = Server(
            Config(
                app,
                http=connections.within(room),
                ws="none",
                loop="asyncio",
                log_config=None,
                log_level="error",  # a stranger must not fill the log with what is no HTTP
                access_log=False,
                lifespan="on",
                server_header=False,
                timeout_keep_alive=connections.IDLE_SECONDS,
                timeout_graceful_shutdown=_STOP_SECONDS - 1,
                h11_max_incomplete_event_size=_LARGEST_HEAD_BYTES,
            )
        )
        self._listening: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port of a TCP socket that was asked for any."""
        return int(self._listening.getsockname()[1]) if self._listening else 0

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Listen. `on_failure` is told when serving ends unexpectedly. Raises Unavailable when it does not come up."""
        self._listening = self._listen()
        arguments = (self._listening, on_failure)
        self._thread = threading.Thread(target=self._serve, args=arguments, name="admin", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise Unavailable("the admin API did not start: see the log lines before this one")
            self._thread.join(0.005)

    def stop(self) -> None:
        """Finish the requests under way and end."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=_STOP_SECONDS)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _serve(self, listening: socket.socket, on_failure: Callable[[BaseException], None]) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[listening]))
            if not self._server.should_exit:
                raise Unavailable("the admin API ended")  # noqa: TRY301  handed to the daemon below
        except BaseException as error:  # noqa: BLE001  whatever it was, the daemon decides
            on_failure(error)


def unix(app: ASGIApp, path: Path) -> AdminApi:
    """The API on a unix socket, for root and the appliance's own user: its mode says so, and they are looked at."""
    return AdminApi(app, lambda: _unix_socket(path), Room(*_LOCAL_ROOM), path)


def tcp(app: ASGIApp, host: str, port: int) -> AdminApi:
    """The API on TCP, without TLS: for loopback, or behind a proxy that has it. An empty host is every address."""
    return AdminApi(app, lambda: _tcp_socket(host, port), Room(*_TCP_ROOM))


def _unix_socket(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(_BACKLOG)
    return listening


def _tcp_socket(host: str, port: int) -> socket.socket:
    address = host or "::"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server(
            (address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=not host and socket.has_dualstack_ipv6()
        )
    except OSError as error:
        raise Unavailable(
            f"the admin API cannot listen on {host or 'every address'} port {port} ({error.strerror}): "
            "set `admin.listen` to an address and port that are free"
        ) from error
