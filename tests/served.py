"""The admin API over TCP in front of a control plane over fakes, and a client that speaks HTTP to it byte by byte."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.adapters import admin
from appliance.adapters.admin import assembly
from appliance.adapters.admin.guard import Guard
from appliance.adapters.admin.tallies import Tallies
from appliance.adapters.token_file import TokenFile
from appliance.model.throttles import Throttle
from appliance.model.tokens import Role
from tests.plane import Plane

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Reply:
    """An answer; `content` is parsed when it is JSON."""

    status: int
    headers: Mapping[str, str]
    content: Any


class TcpServed:
    """The API on a port of loopback, with a token of each role. `throttle`: how failures are braked (default: not)."""

    def __init__(self, plane: Plane, directory: Path, throttle: Throttle | None = None) -> None:
        self.plane = plane
        self.tokens = TokenFile(directory / "tokens")
        self.read = self.tokens.create("reader", Role.READ)
        self.write = self.tokens.create("writer", Role.WRITE)
        self.rooms = assembly.rooms(plane.gateway)
        guard = Guard(self.rooms, self.tokens, Tallies(), throttle or Throttle(burst=1_000_000))
        self.api = admin.tcp(guard, "127.0.0.1", 0)
        self.failures: list[BaseException] = []

    @contextlib.contextmanager
    def running(self) -> Iterator["TcpServed"]:
        """Serve meanwhile."""
        self.api.start(self.failures.append)
        try:
            yield self
        finally:
            self.api.stop()
        assert not self.failures

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request on a connection of its own; `body` is sent as JSON, bytes as they are."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, raw, sent)
            answer = connection.getresponse()
            content = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
        is_json = "json" in found.get("content-type", "") and method != "HEAD"
        return Reply(answer.status, found, json.loads(content) if is_json else content.decode())

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.api.port), timeout=PATIENCE_SECONDS)
