"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A stream holds a position in the ring of events and nothing else: no queue grows behind a slow reader. One that is
overtaken by the ring is dropped, and learns when it comes back that it missed something (the event `missed`: read the
state anew). A reader whose connection takes nothing any more is dropped by `connections`.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import Response
from fastapi.responses import StreamingResponse

from appliance.adapters.admin.problems import problem
from appliance.control.events import Event
from appliance.control.gateway import Gateway
from appliance.model.errors import InvalidInput

MEDIA_TYPE = "text/event-stream"
MOST_STREAMS = 64
_HEARTBEAT_SECONDS = 15.0
_AT_ONCE = 100
_MISSED = "event: missed\ndata: {}\n\n"


class EventStreams:
    """The streams that are open."""

    def __init__(self, gateway: Gateway, heartbeat_seconds: float = _HEARTBEAT_SECONDS) -> None:
        self._gateway = gateway
        self._heartbeat_seconds = heartbeat_seconds
        self._open = 0

    def open(self, last_event_id: str | None) -> Response:
        """A stream from the event after `last_event_id`, or of what happens from now on. Raises InvalidInput."""
        if self._open >= MOST_STREAMS:
            detail = f"{MOST_STREAMS} event streams are open, the most there may be: close one first"
            return problem(503, "Unavailable", detail, {"Retry-After": "10"})
        events = self._gateway.events
        seen = events.last() if last_event_id is None else _number(last_event_id)
        return StreamingResponse(self._tell(seen), media_type=MEDIA_TYPE)

    async def _tell(self, seen: int) -> AsyncIterator[str]:
        events, loop, news = self._gateway.events, asyncio.get_running_loop(), asyncio.Event()
        unsubscribe = events.subscribe(lambda: _wake(loop, news))
        self._open += 1
        try:
            yield "retry: 2000\n\n"
            is_first = True
            while True:
                news.clear()
                found, is_whole = events.after(seen, _AT_ONCE)
                if not is_whole:
                    if not is_first:
                        return
                    yield _MISSED
                    seen = found[0].id - 1 if found else events.last()
                is_first = False
                if found:
                    seen = found[-1].id
                    yield "".join(map(_block, found))
                elif not await self._heard(news):
                    yield ": still here\n\n"
        finally:
            self._open -= 1
            unsubscribe()

    async def _heard(self, news: asyncio.Event) -> bool:
        """Wait for news; False when there was none for a while."""
        try:
            await asyncio.wait_for(news.wait(), self._heartbeat_seconds)
        except TimeoutError:
            return False
        return True


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(news.set)
    except RuntimeError:
        return  # the loop has ended, and with it the stream


def _block(event: Event) -> str:
    return f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(event.document())}\n\n"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise InvalidInput("Last-Event-ID must be the `id` of an event of this stream")
    return int(text)
