"""The shapes of answers about certificates; see `answers`."""

from typing import Annotated

from pydantic import Field

from appliance.adapters.admin.answers import Answer, Id, UnixTime
from appliance.model.findings import Status
from appliance.model.inventory import Kind


class Served(Answer):
    """What the HTTPS port presents for a name; `problem` says why that is not the certificate for it."""

    serial: str | None = None
    issuer: str | None = None
    not_after: UnixTime | None = None
    problem: str | None


class LastError(Answer):
    """Why the last order failed."""

    at: UnixTime
    words: Annotated[str, Field(description="what happened, in plain words")]
    todo: str
    detail: Annotated[str, Field(description="the certificate authority's or Traefik's own words")]


class Certificate(Answer):
    """One certificate that is wanted or kept."""

    name: str
    kind: Kind
    issuer: str | None
    serial: str | None
    not_after: UnixTime | None
    days_left: float | None
    workloads: list[Id]
    served: Annotated[Served | None, Field(description="null: nobody looked yet")]
    reason: Annotated[str | None, Field(description="why none is ordered, and what to do")]
    last_order: UnixTime | None
    last_error: LastError | None
    next_try: UnixTime | None


class Line(Answer):
    """One link between a name and HTTPS."""

    id: str
    status: Status
    evidence: str
    todo: str


class Explanation(Answer):
    """Why a name is not on HTTPS, or that it is."""

    host: str
    workload: Id | None
    ok: bool
    first_bad: Annotated[str | None, Field(description="id of the first broken line")]
    todo: str
    lines: list[Line]
