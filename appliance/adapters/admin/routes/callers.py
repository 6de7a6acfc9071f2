"""Who is calling, for whoever wants to show only what the caller may do."""

from fastapi import FastAPI, Request, Response

from appliance.adapters.admin import answers
from appliance.adapters.admin.callers import Caller
from appliance.adapters.admin.guard import CALLER
from appliance.adapters.admin.openapi import documented
from appliance.adapters.admin.requests import OnlyKnown, answered
from appliance.control.gateway import Gateway
from appliance.model.tokens import Role


def add(app: FastAPI, _: Gateway) -> None:
    """Add the route."""

    @app.get(
        "/v1/whoami",
        operation_id="whoami",
        summary="Who is calling, and what they may do",
        dependencies=[OnlyKnown],
        **documented(answers.WhoAmI, 422),
    )
    async def whoami(request: Request) -> Response:
        caller: Caller | None = getattr(request.state, CALLER, None)
        found = caller or Caller("", Role.READ)  # without the guard, as tests ask for the document
        return answered({"actor": found.actor, "role": found.role.value})
