"""What handlers take from requests and give back, beyond what FastAPI reads by itself."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from appliance.adapters.admin.guard import BODY
from appliance.adapters.admin.problems import HttpProblem
from appliance.model import documents, json_documents, versions
from appliance.model.errors import InvalidInput
from appliance.model.versions import Precondition

_LONGEST_WAIT_SECONDS = 600.0

Identity = Annotated[
    str,
    Path(
        alias="wlID",
        description="workload id: 1 to 200 letters, digits, - and _",
        json_schema_extra={"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,199}$"},
    ),
]
Timeout = Annotated[
    float,
    Query(ge=0, le=_LONGEST_WAIT_SECONDS, allow_inf_nan=False, description="seconds to wait for a final state"),
]
Wait = Annotated[Literal["applied"] | None, Query(description="`applied`: answer when Traefik serves it, or will not")]


def answered(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return JSONResponse(content, status, dict(headers or {}))


def _document(request: Request) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HttpProblem(
            415, "UnsupportedMediaType", "send the body as JSON, with the header `Content-Type: application/json`"
        )
    return documents.mapping(json_documents.parse(getattr(request.state, BODY)), "the body")


def _presumed(
    if_match: Annotated[
        str | None, Header(description="only if the workload is still the version with this ETag; `*`: if there is one")
    ] = None,
    if_none_match: Annotated[str | None, Header(description="`*`: only if there is none yet")] = None,
) -> Precondition:
    return versions.precondition(if_match, if_none_match)


def _only_known(request: Request) -> None:
    """A misspelt parameter must not look like one that was heard."""
    route = request.scope["route"]
    known = {parameter.alias for parameter in route.dependant.query_params}
    known |= {one.alias for inner in route.dependant.dependencies for one in inner.query_params}
    for name in request.query_params:
        if name not in known:
            raise InvalidInput(f"query: {documents.unknown_key(name, sorted(known))}")


Document = Annotated[dict[str, Any], Depends(_document)]
"""The body, as a mapping."""
Presumed = Annotated[Precondition, Depends(_presumed)]
OnlyKnown = Depends(_only_known)
"""For `dependencies=`: refuses query parameters that the route does not have."""
