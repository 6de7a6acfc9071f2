"""supervisord over its XML-RPC unix socket (http://supervisord.org/api.html). Keeps `control.ports.Programs`.

Speaks with Python's own client: supervisord's would bring a good part of supervisord along, which stays in memory.
"""

import http.client
import socket
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from appliance.control.ports import Program
from appliance.model.errors import Unavailable

_ALREADY_STARTED: Final = 60  # supervisor.xmlrpc.Faults
_NOT_RUNNING: Final = 70


class SupervisorRpc:
    """Drives one supervisord. A connection is made for each call: calls are rare, and it may have been restarted."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path

    def programs(self) -> Sequence[Program]:
        """All programs. Raises Unavailable."""
        found = self._call("getAllProcessInfo")
        return [Program(item["name"], item["statename"], item["pid"] or None) for item in found]

    def restart(self, name: str) -> None:
        """Stop (waiting for it) and start a program. Raises Unavailable."""
        self.stop(name)
        self.start(name)

    def stop(self, name: str) -> None:
        """Stop a program and wait until it has; one that is not running is fine. Raises Unavailable."""
        self._call("stopProcess", name, tolerated=_NOT_RUNNING)

    def start(self, name: str) -> None:
        """Start a program without waiting for it to stay up; one that runs already is fine. Raises Unavailable."""
        self._call("startProcess", name, False, tolerated=_ALREADY_STARTED)

    def _call(self, method: str, *arguments: Any, tolerated: int | None = None) -> Any:
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(self._path)) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == tolerated:
                return None
            raise Unavailable(f"supervisord refuses {method}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise Unavailable(
                f"supervisord does not answer at {self._path} ({error}): is `gateway run` running on this root?"
            ) from error


class _Transport(xmlrpc.client.Transport):
    """XML-RPC's requests over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """A new connection, which `close` closes."""
        connection = _Connection(str(host), self._path)
        self._connection = host, connection
        return connection


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, path: Path) -> None:
        super().__init__(host)
        self._path = path

    def connect(self) -> None:
        """HTTP over a unix socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))
