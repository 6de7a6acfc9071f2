"""HTTP connections that nobody can hold open for nothing.

uvicorn bounds neither how many there are nor how long a request may take to arrive. Here a request's head has ten
seconds and its body thirty, an answer that is not taken thirty, and each socket has its own number of connections: so
slow or many callers over TCP take nothing from the unix socket.
"""

import asyncio
import json
import os
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from appliance import logs
from appliance.adapters.admin import problems
from appliance.adapters.admin.callers import PEER, LocalUser, Peer, Stranger
from appliance.model.throttles import Throttle

log = logs.logger(__name__)

HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
UNTAKEN_SECONDS = 30.0
IDLE_SECONDS = 30
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


@dataclass
class Room:
    """How many connections one socket takes, in all and from one address; used on its event loop alone."""

    most: int
    most_from_one: int
    failures: Throttle = field(default_factory=lambda: Throttle(burst=1, pause_seconds=60.0))
    """How often it is worth a line in the log that somebody did not get in."""
    _by_client: Counter[str] = field(default_factory=Counter)

    def enter(self, client: str) -> bool:
        """Take a place, if there is one."""
        if self._by_client.total() >= self.most or self._by_client[client] >= self.most_from_one:
            return False
        self._by_client[client] += 1
        return True

    def leave(self, client: str) -> None:
        """Give a place back."""
        self._by_client[client] -= 1
        if self._by_client[client] <= 0:
            del self._by_client[client]


class Connection(H11Protocol):
    """One connection. `room` belongs to the socket it came in by: see `within`."""

    room: Room

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look who is at the other end, and whether there is a place for them."""
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._client: str | None = None
        peer = peer_of(transport.get_extra_info("socket"))
        if peer is None:
            transport.abort()
            return
        client = peer.address if isinstance(peer, Stranger) else str(peer.uid)
        if not self.room.enter(client):
            if not self.room.failures.failed(client, self.loop.time()):
                log.warning("admin API has no place for another connection", client=client)
            transport.abort()
            return
        self._client = client
        super().connection_made(transport)
        self.app_state = {**self.app_state, PEER: peer}
        self._restart(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._cancel()
        if self._stalled is not None:
            self._stalled.cancel()
        if self._client is not None:
            self.room.leave(self._client)
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrives, within its time."""
        if self._client is None:
            return
        was_idle = self.conn.their_state is h11.IDLE
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            if was_idle:
                self._restart(BODY_SECONDS)
        elif state is not h11.IDLE:
            self._cancel()
        elif self._timer is None:
            self._restart(HEAD_SECONDS)

    def on_response_complete(self) -> None:
        """Wait for the next request, which has its own time once it begins."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is not None:
            self._cancel()

    def pause_writing(self) -> None:
        """The other end takes nothing: it has a while to go on."""
        super().pause_writing()
        self._stalled = self.loop.call_later(UNTAKEN_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It goes on."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def shutdown(self) -> None:
        """Let an answer that is awaited be given, and end a stream, which has no end of its own."""
        super().shutdown()
        if self._is_answering() and self.cycle.response_started:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP is answered like any other error."""
        self._refuse(400, "BadRequest", f"{msg.rstrip('.')}: send HTTP/1.1")

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn leaves it None until the first request
        return cycle is not None and not cycle.response_complete

    def _restart(self, seconds: float) -> None:
        self._cancel()
        self._timer = self.loop.call_later(seconds, self._late)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._refuse(408, "RequestTimeout", "the request took too long to arrive: send it in one go")

    def _refuse(self, status: int, title: str, detail: str) -> None:
        """Answer without the application, if nothing was answered yet, and close."""
        content = json.dumps(problems.document(status, title, detail)).encode()
        headers = [
            ("Content-Type", problems.MEDIA_TYPE),
            ("Content-Length", str(len(content))),
            ("Connection", "close"),
        ]
        try:
            for event in (h11.Response(status_code=status, headers=headers), h11.Data(content), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            self.transport.abort()  # an answer was under way
        else:
            self.transport.close()


def within(room: Room) -> type[Connection]:
    """The kind of connection that has its places in `room`: uvicorn wants a class."""
    return type("RoomedConnection", (Connection,), {"room": room})


def peer_of(peer: socket.socket) -> Peer | None:
    """Who is at the other end; None for a user of this host who may not call."""
    if peer.family != socket.AF_UNIX:
        try:
            return Stranger(str(peer.getpeername()[0]))
        except OSError:
            return None  # it has gone already
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    if uid not in (0, os.geteuid()):
        log.warning("admin API refused to a user", uid=uid)
        return None
    return LocalUser(uid)
