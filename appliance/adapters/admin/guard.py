"""Stands before every route: lets callers in, bounds what they send, and notes who changed what.

It is one ASGI layer around the whole application, so that a route cannot be forgotten: without a caller nothing but
`_OPEN` is answered, and without the role `write` nothing but what changes nothing.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance import logs
from appliance.adapters.admin import browsers, callers, pages
from appliance.adapters.admin.callers import Caller, Stranger, Tokens
from appliance.adapters.admin.problems import problem
from appliance.adapters.admin.tallies import Tallies
from appliance.model.errors import Unavailable
from appliance.model.throttles import Throttle
from appliance.model.tokens import Role

log = logs.logger(__name__)

BODY = "body"
"""The key of a request's whole body in its state."""
CALLER = "caller"
"""The key of who is calling in a request's state; None on the open paths without a token."""
_OPEN = frozenset({"/healthz", "/readyz", *pages.FILES})
"""What anybody may get without a token; the dashboard's files hold no data."""
_PLAN = "/v1/workloads:plan"
_HARMLESS = frozenset({("POST", _PLAN)})
"""What is no GET and changes nothing all the same."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LARGEST_BODY = 64 * 1024
_LARGEST_BODIES: Mapping[str, int] = {_PLAN: 4 * 1024 * 1024}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="gateway"'}


class Guard:
    """The layer. `clock` gives seconds that only rise."""

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        tallies: Tallies,
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._tallies = tallies
        self._clock = clock
        self._failures = throttle or Throttle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = logs.request_id(_header(scope, b"x-request-id"))
        with logs.on_behalf_of(request_id):
            await self._answer(scope, receive, _Answered(send, request_id))

    async def _answer(self, scope: Scope, receive: Receive, answered: "_Answered") -> None:
        refusal = self._let_in(scope) or await _take_body(scope, receive)
        state = scope["state"]
        handler: Any = refusal or self._app
        try:
            await handler(scope, _replayed(state.get(BODY, b""), receive), answered)
        finally:
            self._tallies.answered(scope["method"], answered.status)
            _audit(scope, state.get(CALLER), answered.status)

    def _let_in(self, scope: Scope) -> Response | None:
        """Note the caller in the request's state; or say why the request goes no further."""
        state = scope.setdefault("state", {})
        peer = callers.peer_of(scope)
        try:
            caller = callers.caller(peer, scope["headers"], self._tokens)
        except Unavailable:  # its words name a path of this host
            return problem(503, "Unavailable", "tokens cannot be checked now: `gateway status` on the host says why")
        state[CALLER] = caller
        if caller is None:
            return None if _is_open(scope) else self._unknown(peer, scope)
        if isinstance(peer, callers.LocalUser) and (why := browsers.refusal(scope["method"], scope["headers"])):
            return problem(403, "Forbidden", why)
        if caller.role is not Role.WRITE and not _is_harmless(scope):
            detail = (
                f"{caller.actor} may only read: use a token with the role write (`gateway token new NAME --role write`)"
            )
            return problem(403, "Forbidden", detail)
        return None

    def _unknown(self, peer: callers.Peer, scope: Scope) -> Response:
        client = peer.address if isinstance(peer, Stranger) else ""
        pause = self._failures.failed(client, self._clock())
        if pause:
            detail = f"too many requests without a valid token from {client or 'here'}: wait {pause} s"
            return problem(429, "TooManyFailures", detail, {"Retry-After": str(pause)})
        log.warning("admin API refused a caller", client=client, method=scope["method"], path=_path(scope))
        detail = "send `Authorization: Bearer TOKEN`, with a token made by `gateway token new NAME --role read|write`"
        return problem(401, "Unauthorized", detail, _CHALLENGE)


class _Answered:
    """Passes an answer on, with the headers that every one has."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._headers = [
            (b"x-request-id", request_id.encode("ascii")),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name.lower() for name, _ in message.get("headers", ())}
            own = [item for item in self._headers if item[0] not in present]
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        await self._send(message)


async def _take_body(scope: Scope, receive: Receive) -> Response | None:
    """Take a request's whole body into its state; or say that it is too large."""
    most = _LARGEST_BODIES.get(scope["path"], _LARGEST_BODY)
    told = dict(scope["headers"]).get(b"content-length", b"0")
    if not told.isdigit() or int(told[:20]) > most:
        return _too_large(most)
    parts, size, is_more = list[bytes](), 0, True
    while is_more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        is_more = message.get("more_body", False)
        if size > most:
            return _too_large(most)
    scope["state"][BODY] = b"".join(parts)
    return None


def _too_large(most: int) -> Response:
    return problem(413, "ContentTooLarge", f"the body is too large: at most {most} bytes are read here")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was taken, once more; then whatever comes, which is the end of the connection."""
    is_told = False

    async def again() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _is_open(scope: Scope) -> bool:
    return scope["path"] in _OPEN and scope["method"] in _SAFE


def _is_harmless(scope: Scope) -> bool:
    return scope["method"] in _SAFE or (scope["method"], scope["path"]) in _HARMLESS


def _audit(scope: Scope, caller: Caller | None, status: int) -> None:
    """One line for each request by somebody that may have changed something, whatever came of it."""
    if caller is not None and not _is_harmless(scope):
        log.info("admin change", actor=caller.actor, method=scope["method"], path=_path(scope), status=status)


def _path(scope: Scope) -> str:
    return str(scope["path"])[:300]


def _header(scope: Scope, name: bytes) -> str | None:
    found: bytes | None = dict(scope["headers"]).get(name)
    return None if found is None else found.decode("latin-1")
