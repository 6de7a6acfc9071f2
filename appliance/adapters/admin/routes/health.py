"""Health, for whatever watches the process and needs no token to do so.

Since anybody may ask, an answer is good for a second: strangers cannot have the whole appliance examined at will.
"""

import threading
import time

from fastapi import FastAPI, Request, Response

from appliance.adapters.admin import answers
from appliance.adapters.admin.guard import CALLER
from appliance.adapters.admin.openapi import OPEN_TO_ALL, documented
from appliance.adapters.admin.problems import problem
from appliance.adapters.admin.requests import OnlyKnown, answered
from appliance.control.gateway import Gateway

_FRESH_SECONDS = 1.0


class Readiness:
    """The problems there are, not older than a second."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self._found: tuple[float, list[str]] | None = None

    def problems(self) -> list[str]:
        """What makes the appliance unhealthy."""
        with self._lock:
            now = time.monotonic()
            if self._found is None or now - self._found[0] > _FRESH_SECONDS:
                self._found = (now, self._gateway.ready())
            return self._found[1]


def add(app: FastAPI, gateway: Gateway) -> None:
    """Add the routes."""
    readiness = Readiness(gateway)

    @app.get(
        "/healthz",
        operation_id="healthz",
        summary="Whether the process answers",
        dependencies=[OnlyKnown],
        openapi_extra=OPEN_TO_ALL,
        **documented(answers.Alive, 422),
    )
    async def healthz() -> Response:
        return answered({"alive": True})

    @app.get(
        "/readyz",
        operation_id="readyz",
        summary="Whether the appliance is healthy",
        dependencies=[OnlyKnown],
        openapi_extra=OPEN_TO_ALL,
        **documented(answers.Ready, 422),
    )
    def readyz(request: Request) -> Response:
        problems = readiness.problems()
        if not problems:
            return answered({"ready": True})
        is_known = getattr(request.state, CALLER, None) is not None
        return problem(503, "NotReady", "; ".join(problems) if is_known else "`gateway status` on the host says why")
