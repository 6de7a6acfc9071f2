"""The application: all rooms of the API over one gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from starlette.types import ASGIApp

from appliance.adapters.admin import openapi, problems
from appliance.adapters.admin.callers import NoTokens, Tokens
from appliance.adapters.admin.guard import Guard
from appliance.adapters.admin.routes import callers, certificates, dashboard, events, health, telling, workloads
from appliance.adapters.admin.tallies import Tallies
from appliance.control.gateway import Gateway

_WAITING_CALLS = 256
"""How many calls may wait for Traefik at once on one socket; each holds a thread while it does."""
_ROOMS = (workloads, certificates, telling, events, health, callers, dashboard)


def application(gateway: Gateway, tokens: Tokens | None = None) -> ASGIApp:
    """The API over a gateway, and its answers as a metric; without `tokens` nobody is let in over TCP."""
    tallies = Tallies()
    gateway.measuring.add(tallies.families)
    return Guard(rooms(gateway), tokens or NoTokens(), tallies)


def rooms(gateway: Gateway) -> FastAPI:
    """The API itself, which anybody may use: for the guard, and to ask for its document."""
    app = FastAPI(
        title="Gateway Appliance",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    openapi.add(app)
    problems.add(app)
    for room in _ROOMS:
        room.add(app, gateway)
    return app


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = _WAITING_CALLS
    yield
