"""What is only told: status, challenges, zones, traffic, fragments, metrics, and the document about all this."""

from fastapi import FastAPI, Response

from appliance.adapters.admin import answers
from appliance.adapters.admin.openapi import documented, text
from appliance.adapters.admin.requests import OnlyKnown, answered
from appliance.control.gateway import Gateway
from appliance.render import prometheus


def add(app: FastAPI, gateway: Gateway) -> None:
    """Add the routes."""
    _add_about_names(app, gateway)
    _add_about_the_appliance(app, gateway)
    _add_for_machines(app, gateway)


def _add_about_names(app: FastAPI, gateway: Gateway) -> None:
    @app.get(
        "/v1/challenges",
        operation_id="challenges",
        summary="The last challenges, oldest first",
        dependencies=[OnlyKnown],
        **documented(list[answers.Challenge], 422),
    )
    def challenges() -> Response:
        return answered(gateway.challenges())

    @app.get(
        "/v1/zones",
        operation_id="zones",
        summary="What the authority answers for, and the records to create",
        dependencies=[OnlyKnown],
        **documented(list[answers.Zone], 422),
    )
    def zones() -> Response:
        return answered(gateway.zones())

    @app.get(
        "/v1/extra",
        operation_id="extra",
        summary="The operator's own fragments",
        dependencies=[OnlyKnown],
        **documented(list[answers.Fragment], 422),
    )
    def extra() -> Response:
        return answered(gateway.extra())


def _add_about_the_appliance(app: FastAPI, gateway: Gateway) -> None:
    @app.get(
        "/v1/status",
        operation_id="status",
        summary="How the appliance is",
        dependencies=[OnlyKnown],
        **documented(answers.Status, 422),
    )
    def status() -> Response:
        return answered(gateway.status())

    @app.get(
        "/v1/programs",
        operation_id="programs",
        summary="The programs under supervision, and what they use",
        dependencies=[OnlyKnown],
        **documented(list[answers.ProgramUsage], 422),
    )
    def programs() -> Response:
        return answered(gateway.programs_watch.report())

    @app.get(
        "/v1/doctor",
        operation_id="doctor",
        summary="The last examination of the host and its delegation",
        dependencies=[OnlyKnown],
        **documented(answers.Examination, 422),
    )
    def doctor() -> Response:
        return answered(gateway.doctor())


def _add_for_machines(app: FastAPI, gateway: Gateway) -> None:
    @app.get(
        "/v1/metrics",
        operation_id="metrics",
        summary="What each workload has carried, by id",
        dependencies=[OnlyKnown],
        **documented(dict[str, answers.Account], 422),
    )
    def metrics() -> Response:
        return answered(gateway.metrics())

    @app.get(
        "/metrics",
        operation_id="prometheus",
        summary="Metrics for Prometheus",
        dependencies=[OnlyKnown],
        **text(prometheus.MEDIA_TYPE, 422),
    )
    def exposition() -> Response:
        page = prometheus.text(gateway.measuring.families())
        return Response(page, media_type=prometheus.MEDIA_TYPE)

    @app.get(
        "/openapi.json",
        operation_id="openapi",
        summary="This document",
        dependencies=[OnlyKnown],
        **documented(dict[str, object], 422),
    )
    def openapi() -> Response:
        return answered(app.openapi())
