"""The OpenAPI document: FastAPI's, with the parts that are the same for every route.

`documented(...)` is what a route says of itself; `add` puts the shapes of answers, problems and documents in. They take
some megabytes and serve the document only, so nothing is made of them before somebody asks for it.
"""

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from appliance.adapters.admin import problems
from appliance.adapters.admin.answers import Problem
from appliance.adapters.admin.documents import PlanDocument, WorkloadDocument

_REFERENCE = "#/components/schemas/{model}"
_SHAPE: Final = "x-shape"
"""Where a response holds the number of its shape in `_SHAPES`, until the document is made."""
_SHAPES: Final[list[Any]] = []
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
    usual: dict[str, Any] = {_SHAPE: len(_SHAPES), "description": "done"}
    _SHAPES.append(answer)
    usual |= {"headers": described} if described else {}
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


def add(app: FastAPI) -> None:
    """Make `app.openapi()` the whole document; it is made once, when somebody asks."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            version = metadata.version("gateway-appliance")
            found = get_openapi(title=app.title, version=version, description=_DESCRIPTION, routes=app.routes)
            components = found.setdefault("components", {})
            components.setdefault("schemas", {}).update(_of_answers(found) | _of_documents())
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"token": []}]
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _of_answers(document: Mapping[str, Any]) -> dict[str, Any]:
    """Put its shape into each response of the document; the shapes that these refer to."""
    responses = list(_shaped(document))
    numbers = {response[_SHAPE] for response in responses}
    wanted: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = [
        (number, "serialization", TypeAdapter(_SHAPES[number])) for number in numbers
    ]
    shapes, found = TypeAdapter.json_schemas(wanted, ref_template=_REFERENCE)
    for response in responses:
        response["content"] = {"application/json": {"schema": shapes[response.pop(_SHAPE), "serialization"]}}
    return dict(found["$defs"])


def _shaped(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The responses of a document that have a shape to come."""
    operations = (operation for path in document["paths"].values() for operation in path.values())
    for operation in operations:
        yield from (response for response in operation["responses"].values() if _SHAPE in response)


def _of_documents() -> dict[str, Any]:
    found: dict[str, Any] = {}
    kinds: dict[str, Any] = {"Problem": Problem, "PlanDocument": PlanDocument, "WorkloadDocument": WorkloadDocument}
    for name, kind in kinds.items():
        shape = TypeAdapter[Any](kind).json_schema(ref_template=_REFERENCE)
        found |= shape.pop("$defs", {})
        found[name] = shape
    return found
