"""Errors as problem documents (RFC 9457): `title` names the kind of error, `detail` says what to do."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from appliance.model.errors import (
    Conflict,
    GatewayError,
    InvalidInput,
    NotFound,
    Outdated,
    Refused,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
_STATUS = (
    (NotFound, 404),
    (Conflict, 409),
    (Outdated, 412),
    (InvalidInput, 422),
    (Refused, 403),
    (Unavailable, 503),
)


class HttpProblem(Exception):
    """An error of HTTP itself, which no use case knows."""

    def __init__(self, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """As it is answered."""
        return problem(self.status, self.title, self.detail, self.headers)


def document(status: int, title: str, detail: str) -> dict[str, Any]:
    """The members of a problem."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as it is answered."""
    return JSONResponse(document(status, title, detail), status, dict(headers or {}), MEDIA_TYPE)


def of(error: GatewayError) -> Response:
    """The problem that an error of the use cases becomes."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return problem(status, type(error).__name__, str(error))


def add(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""

    async def own(_: Request, error: Exception) -> Response:
        return of(error) if isinstance(error, GatewayError) else internal()

    async def http(_: Request, error: Exception) -> Response:
        return error.response() if isinstance(error, HttpProblem) else internal()

    async def invalid(_: Request, error: Exception) -> Response:
        faults = error.errors() if isinstance(error, RequestValidationError) else []
        detail = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in faults)
        return problem(422, "InvalidInput", detail or "the request cannot be read")

    async def unrouted(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 405:
            return _wrong_method(app, request)
        if status == 404:
            return problem(404, "NotFound", f"there is no {request.url.path[:200]}: /openapi.json lists what there is")
        return problem(status, "Failed", str(getattr(error, "detail", error)))

    async def unexpected(_: Request, __: Exception) -> Response:
        return internal()

    app.add_exception_handler(GatewayError, own)
    app.add_exception_handler(HttpProblem, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unrouted)
    app.add_exception_handler(Exception, unexpected)


def internal() -> Response:
    """What is said of an error nobody foresaw; the log says more."""
    return problem(500, "Internal", "the gateway failed at this: its log says why, under this answer's X-Request-ID")


def _wrong_method(app: FastAPI, request: Request) -> Response:
    allowed = sorted({method for route in app.routes for method in _methods(route, request)})
    detail = f"{request.method} is not for {request.url.path[:200]}: {', '.join(allowed)} is"
    return problem(405, "MethodNotAllowed", detail, {"Allow": ", ".join(allowed)})


def _methods(route: Any, request: Request) -> set[str]:
    if not isinstance(route, Route) or route.matches(request.scope)[0] is Match.NONE:
        return set()
    return set(route.methods or ())
