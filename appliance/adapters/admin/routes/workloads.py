"""Workloads: set, delete, show, list, plan, prune."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Query, Response

from appliance.adapters.admin import answers
from appliance.adapters.admin.openapi import body, documented
from appliance.adapters.admin.requests import (
    Document,
    Identity,
    OnlyKnown,
    Presumed,
    Timeout,
    Wait,
    answered,
)
from appliance.control.gateway import Gateway
from appliance.model import documents
from appliance.model.errors import InvalidInput
from appliance.model.listings import LARGEST_PAGE, USUAL_PAGE, Filter
from appliance.model.standings import State, WorkloadView
from appliance.model.workloads import WorkloadType

_TAG = {"ETag": "the version, for If-Match: it changes with what is desired, not with the state"}
_PATH = "/v1/workloads/{wlID:path}"

OfState = Annotated[State | None, Query(description="only those in this state")]
OfKind = Annotated[WorkloadType | None, Query(description="only those of this type")]
OfDomain = Annotated[
    str | None, Query(min_length=1, max_length=253, description="only hosts that are this name or lie below it")
]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="how many at most")]
PageToken = Annotated[str | None, Query(max_length=2000, description="`next` of the answer before")]


def add(app: FastAPI, gateway: Gateway) -> None:
    """Add the routes."""
    _add_one(app, gateway)
    _add_many(app, gateway)


def _add_one(app: FastAPI, gateway: Gateway) -> None:
    @app.put(
        _PATH,
        operation_id="set_workload",
        summary="Set a workload; the same again changes nothing",
        dependencies=[OnlyKnown],
        **documented(answers.Workload, 403, 404, 409, 412, 415, 422, headers=_TAG),
        **body("WorkloadDocument"),
    )
    def set_workload(
        identity: Identity, document: Document, presumed: Presumed, wait: Wait = None, timeout: Timeout = 30.0
    ) -> Response:
        return _shown(gateway, gateway.set_workload(identity, document, timeout if wait else 0.0, presumed))

    @app.get(
        _PATH,
        operation_id="workload",
        summary="One workload",
        dependencies=[OnlyKnown],
        **documented(answers.Workload, 404, 422, headers=_TAG),
    )
    def workload(identity: Identity) -> Response:
        return _shown(gateway, gateway.workload(identity))

    @app.delete(
        _PATH,
        operation_id="delete_proxy",
        summary="Delete a workload of either kind; one that is not there is fine",
        dependencies=[OnlyKnown],
        **documented(answers.Deleted, 403, 404, 412, 422),
    )
    def delete_proxy(identity: Identity, presumed: Presumed, wait: Wait = None, timeout: Timeout = 30.0) -> Response:
        existed, is_gone = gateway.delete_proxy(identity, timeout_seconds=timeout if wait else 0.0, presumed=presumed)
        return answered({"id": identity, "existed": existed, "gone": is_gone})


def _add_many(app: FastAPI, gateway: Gateway) -> None:
    @app.get(
        "/v1/workloads",
        operation_id="workloads",
        summary="The workloads, by id, page by page",
        dependencies=[OnlyKnown],
        **documented(answers.Workloads, 422),
    )
    def workloads(
        state: OfState = None,
        kind: OfKind = None,
        domain: OfDomain = None,
        limit: Limit = USUAL_PAGE,
        page: PageToken = None,
    ) -> Response:
        found = gateway.workloads_page(Filter(state, kind, domain and domain.lower()), page, limit)
        return answered({"workloads": [view.document() for view in found.views], "next": found.next})

    @app.post(
        "/v1/workloads:plan",
        operation_id="plan",
        summary="What setting and deleting workloads would change; changes nothing",
        dependencies=[OnlyKnown],
        **documented(answers.Plan, 415, 422),
        **body("PlanDocument"),
    )
    def plan(document: Document) -> Response:
        return answered(gateway.plan(*_plan(document)).document())

    @app.post(
        "/v1/workloads:prune",
        operation_id="prune",
        summary="Let routes go whose workload files vanished many at once",
        dependencies=[OnlyKnown],
        **documented(answers.Accepted, 403, 422),
    )
    def prune() -> Response:
        gateway.prune()
        return answered({"accepted": True})


def _shown(gateway: Gateway, view: WorkloadView) -> Response:
    return answered(view.document(), headers={"ETag": gateway.version(view)})


def _plan(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The two parts of a plan. Raises InvalidInput."""
    for key in document:
        if key not in ("set", "delete"):
            raise InvalidInput(documents.unknown_key(key, ["set", "delete"]))
    deletions = document.get("delete", [])
    if not isinstance(deletions, list) or not all(isinstance(item, str) for item in deletions):
        raise InvalidInput("`delete` must be a list of workload ids")
    return documents.mapping(document.get("set", {}), "`set`"), deletions
