"""The dashboard's page and what it loads. They hold no data, so they are open to all; the data is the API's."""

from fastapi import FastAPI, Request, Response

from appliance.adapters.admin import pages
from appliance.adapters.admin.guard import CALLER
from appliance.adapters.admin.requests import OnlyKnown
from appliance.control.gateway import Gateway
from appliance.model.errors import NotFound


def add(app: FastAPI, _: Gateway) -> None:
    """Add the routes. They are no part of the API's document."""

    @app.get(pages.PAGE, include_in_schema=False, dependencies=[OnlyKnown])
    async def page(request: Request) -> Response:
        return _sent(pages.page(is_known=getattr(request.state, CALLER, None) is not None))

    @app.get(pages.ASSETS + "{name}", include_in_schema=False, dependencies=[OnlyKnown])
    async def asset(name: str) -> Response:
        file = pages.FILES.get(pages.ASSETS + name)
        if file is None:
            raise NotFound(f"the dashboard has no such file: its page is at {pages.PAGE}")
        return _sent(file)


def _sent(file: pages.File) -> Response:
    return Response(file.content, media_type=file.media_type, headers=dict(pages.HEADERS))
