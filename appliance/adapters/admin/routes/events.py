"""Events, as they happen."""

from typing import Annotated

from fastapi import FastAPI, Header, Response

from appliance.adapters.admin.openapi import text
from appliance.adapters.admin.requests import OnlyKnown
from appliance.adapters.admin.streams import MEDIA_TYPE, EventStreams
from appliance.control.gateway import Gateway

LastEventId = Annotated[
    str | None,
    Header(description="`id` of the last event that was seen: those since then come first, of the last 1,000"),
]


def add(app: FastAPI, gateway: Gateway) -> None:
    """Add the route."""
    streams = EventStreams(gateway)

    @app.get(
        "/v1/events",
        operation_id="events",
        summary="What happens, as server-sent events",
        dependencies=[OnlyKnown],
        **text(MEDIA_TYPE, 422),
    )
    async def events(last_event_id: LastEventId = None) -> Response:
        return streams.open(last_event_id)
