"""Certificates, and why a name is not on HTTPS."""

from typing import Annotated

from fastapi import FastAPI, Path, Response

from appliance.adapters.admin import answers_certificates as answers
from appliance.adapters.admin.openapi import documented
from appliance.adapters.admin.requests import OnlyKnown, answered
from appliance.control.gateway import Gateway

Host = Annotated[str, Path(description="a host name")]


def add(app: FastAPI, gateway: Gateway) -> None:
    """Add the routes."""

    @app.get(
        "/v1/certificates",
        operation_id="certificates",
        summary="Every certificate: what is kept, what is really served, what became of the last order",
        dependencies=[OnlyKnown],
        **documented(list[answers.Certificate], 422),
    )
    def certificates() -> Response:
        return answered(gateway.certificates())

    @app.get(
        "/v1/explain/{host}",
        operation_id="explain",
        summary="Why a name is not on HTTPS, or that it is",
        dependencies=[OnlyKnown],
        **documented(answers.Explanation, 404, 422),
    )
    def explain(host: Host) -> Response:
        return answered(gateway.explain(host))
