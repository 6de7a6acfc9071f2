"""HTTP to the admin API's unix socket, with the standard library."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from appliance.layout import Root
from appliance.model.errors import (
    Conflict,
    GatewayError,
    InvalidInput,
    NoGateway,
    NotFound,
    Outdated,
    Refused,
    Unavailable,
)

_PATIENCE_SECONDS = 10.0
_LARGEST_PAGE = 1000
_KINDS = (NotFound, Conflict, Outdated, InvalidInput, NoGateway, Refused, Unavailable)
_ERRORS = {kind.__name__: kind for kind in _KINDS}


class AdminClient:
    """Calls the control plane of one root. Raises what the control plane raised, or Unavailable."""

    def __init__(self, root: Path) -> None:
        self._socket_path = Root(root).admin_socket

    def call(self, method: str, path: str, document: Any = None, wait_seconds: float = 0.0) -> Any:
        """The answer's JSON. `wait_seconds` is how long the call itself may take beyond the usual."""
        connection = _UnixConnection(self._socket_path, wait_seconds + _PATIENCE_SECONDS)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(
                f"the control plane does not answer at {self._socket_path} ({error}): "
                "is `gateway run` running on this root, and are you its user?"
            ) from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise _ERRORS.get(content.get("title"), GatewayError)(content.get("detail", f"HTTP {answer.status}"))
        return content

    def all_workloads(self) -> list[dict[str, Any]]:
        """Every workload, by id, however many pages that takes."""
        found: list[dict[str, Any]] = []
        page = ""
        while True:
            answer = self.call("GET", f"/v1/workloads?limit={_LARGEST_PAGE}{page}")
            found += answer["workloads"]
            if answer["next"] is None:
                return found
            page = f"&page={answer['next']}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the unix socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
