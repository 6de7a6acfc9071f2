"""The OpenAPI document: FastAPI's, with the parts that are the same for every route.

`documented(...)` is what a route says of itself; `add` puts the shapes of problems and documents beside the answers'.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter

from appliance.adapters.admin import problems
from appliance.adapters.admin.answers import Problem
from appliance.adapters.admin.documents import PlanDocument, WorkloadDocument

_REFERENCE = "#/components/schemas/{model}"
_ALWAYS = (401, 413, 429, 500, 503)
_MEANINGS: Mapping[int, str] = {
    401: "no valid token",
    403: "this gateway does not take it, or the token may only read",
    404: "there is none",
    409: "somebody else holds the host",
    412: "it is not the version that was named",
    413: "the body is too large",
    415: "the body is not JSON",
    422: "what was sent breaks a rule; the detail names it",
    429: "too many requests without a valid token",
    500: "the gateway failed",
    503: "the gateway, or something it needs, cannot do it now",
}
OPEN_TO_ALL: dict[str, Any] = {"security": []}
"""For `openapi_extra=`: needs no token (`guard` has the paths)."""
_DESCRIPTION = """\
The control plane of a gateway: workloads, certificates, challenges, and how the appliance is.

Over the unix socket `run/admin.sock` root and the appliance's own user may do everything. Over TCP every request
carries `Authorization: Bearer TOKEN`. Errors are problem documents (RFC 9457) whose `detail` says what to do."""


def documented(
    answer: type[BaseModel] | Any, *statuses: int, headers: Mapping[str, str] | None = None, status: int = 200
) -> dict[str, Any]:
    """The part of a route's decorator that tells its answers: the usual one's shape, and the errors there can be."""
    described = {name: {"description": text, "schema": {"type": "string"}} for name, text in (headers or {}).items()}
    usual: dict[str, Any] = {"model": answer, "description": "done"} | ({"headers": described} if described else {})
    return {"response_model": None, "responses": {status: usual} | errors(*statuses)}


def text(media_type: str, *statuses: int) -> dict[str, Any]:
    """The same for an answer that is no JSON."""
    usual = {"description": "done", "content": {media_type: {"schema": {"type": "string"}}}}
    return {"response_model": None, "responses": {200: usual} | errors(*statuses)}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors a route may answer with, besides those that every route may."""
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in (*_ALWAYS, *statuses)}


def body(model: str) -> dict[str, Any]:
    """The part of a route's decorator that tells what is sent to it."""
    schema = {"$ref": _REFERENCE.format(model=model)}
    return {"openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}}


def add(app: FastAPI, version: str) -> None:
    """Make `app.openapi()` the whole document; it is made once, when somebody asks."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=version, description=_DESCRIPTION, routes=app.routes)
            components = found.setdefault("components", {})
            components.setdefault("schemas", {}).update(_shapes())
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"token": []}]
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _shapes() -> dict[str, Any]:
    found: dict[str, Any] = {}
    kinds: dict[str, Any] = {"Problem": Problem, "PlanDocument": PlanDocument, "WorkloadDocument": WorkloadDocument}
    for name, kind in kinds.items():
        shape = TypeAdapter[Any](kind).json_schema(ref_template=_REFERENCE)
        found |= shape.pop("$defs", {})
        found[name] = shape
    return found
