"""The admin API: HTTP on the unix socket `run/admin.sock`, served by FastAPI and uvicorn on a thread of its own.

Handlers delegate in one line; no rule lives here. Errors are RFC 9457 problem documents whose `detail` says what to do.
Only root and the appliance's own user are served: the socket's mode says so, and the peer's credentials are checked.
"""

import asyncio
import os
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio.to_thread
import uvicorn
from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance import logs
from appliance.control.gateway import Gateway
from appliance.model.errors import Conflict, GatewayError, InvalidInput, NotFound, Refused, Unavailable

log = logs.logger(__name__)

_LONGEST_WAIT_SECONDS = 600.0
_START_SECONDS = 10.0
_WAITING_CALLS = 256
"""How many calls may wait for Traefik at once; each holds a thread while it does."""
_STATUS = ((NotFound, 404), (Conflict, 409), (InvalidInput, 422), (Refused, 403), (Unavailable, 503))
_PEER_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED

Timeout = Annotated[float, Query(ge=0, le=_LONGEST_WAIT_SECONDS, description="seconds to wait for a final state")]
Wait = Annotated[Literal["applied"] | None, Query(description="`applied`: answer when Traefik serves it, or will not")]


def application(gateway: Gateway) -> FastAPI:
    """The API over a gateway."""
    app = FastAPI(title="Gateway Appliance", docs_url=None, redoc_url=None, lifespan=_lifespan)
    _add_error_answers(app)

    @app.put("/v1/workloads/{identity:path}")
    def set_workload(
        identity: str, document: Annotated[dict[str, Any], Body()], wait: Wait = None, timeout: Timeout = 30.0
    ) -> dict[str, Any]:
        return gateway.set_workload(identity, document, timeout if wait else 0.0).document()

    @app.get("/v1/workloads")
    def workloads() -> list[dict[str, Any]]:
        return [view.document() for view in gateway.workloads()]

    @app.get("/v1/workloads/{identity:path}")
    def workload(identity: str) -> dict[str, Any]:
        return gateway.workload(identity).document()

    @app.delete("/v1/workloads/{identity:path}")
    def delete_proxy(identity: str, wait: Wait = None, timeout: Timeout = 30.0) -> dict[str, Any]:
        existed, is_gone = gateway.delete_proxy(identity, timeout_seconds=timeout if wait else 0.0)
        return {"id": identity, "existed": existed, "gone": is_gone}

    @app.post("/v1/workloads:prune")
    def prune() -> dict[str, Any]:
        gateway.prune()
        return {"accepted": True}

    @app.get("/v1/challenges")
    def challenges() -> list[dict[str, Any]]:
        return gateway.challenges()

    @app.get("/v1/metrics")
    def metrics() -> dict[str, dict[str, Any]]:
        return gateway.metrics()

    @app.get("/v1/extra")
    def extra() -> list[dict[str, Any]]:
        return gateway.extra()

    @app.get("/v1/status")
    def status() -> dict[str, Any]:
        return gateway.status()

    return app


class AdminApi:
    """Serves an application on a unix socket. `start()` returns when it answers; `stop()` may be repeated."""

    def __init__(self, app: FastAPI, path: Path) -> None:
        self._path = path
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=_OwnUserOnly,
                ws="none",
                loop="asyncio",
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="on",
            )
        )
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Listen. `on_failure` is told when serving ends unexpectedly. Raises Unavailable when it does not come up."""
        listening = _listen(self._path)
        self._thread = threading.Thread(target=self._serve, args=(listening, on_failure), name="admin", daemon=True)
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
            self._thread.join(timeout=5)
        self._path.unlink(missing_ok=True)

    def _serve(self, listening: socket.socket, on_failure: Callable[[BaseException], None]) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[listening]))
            if not self._server.should_exit:
                raise Unavailable("the admin API ended")  # noqa: TRY301  handed to the daemon below
        except BaseException as error:  # noqa: BLE001  whatever it was, the daemon decides
            on_failure(error)


class _OwnUserOnly(H11Protocol):
    """HTTP for root and this process's own user; anybody else's connection is closed unread."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Check who is at the other end."""
        peer = transport.get_extra_info("socket")
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
        _, uid, _ = _PEER_CREDENTIALS.unpack(raw)
        if uid not in (0, os.geteuid()):
            log.warning("admin API refused to a user", uid=uid)
            transport.abort()
            return
        super().connection_made(transport)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = _WAITING_CALLS
    yield


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(128)
    return listening


def _add_error_answers(app: FastAPI) -> None:
    async def answer_own(_: Request, error: Exception) -> Response:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        return _problem(status, type(error).__name__, str(error))

    async def answer_bad_request(_: Request, error: Exception) -> Response:
        faults = error.errors() if isinstance(error, RequestValidationError) else []
        detail = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in faults)
        return _problem(422, "InvalidInput", detail or "the request cannot be read")

    app.add_exception_handler(GatewayError, answer_own)
    app.add_exception_handler(RequestValidationError, answer_bad_request)


def _problem(status: int, title: str, detail: str) -> JSONResponse:
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(content, status, media_type="application/problem+json")
