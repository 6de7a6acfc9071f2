"""supervisord over its XML-RPC unix socket (http://supervisord.org/api.html). Keeps `control.ports.Programs`."""

import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from appliance.control.ports import Program
from appliance.model.errors import Unavailable


class SupervisorRpc:
    """Drives one supervisord. A connection is made for each call: calls are rare, and it may have been restarted."""

    def __init__(self, socket_path: Path) -> None:
        self._url = f"unix://{socket_path}"

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
        self._call("stopProcess", name, tolerated=Faults.NOT_RUNNING)

    def start(self, name: str) -> None:
        """Start a program without waiting for it to stay up; one that runs already is fine. Raises Unavailable."""
        self._call("startProcess", name, False, tolerated=Faults.ALREADY_STARTED)

    def shutdown(self) -> None:
        """End supervisord, and with it the appliance. Raises Unavailable."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: Any, tolerated: int | None = None) -> Any:
        transport = SupervisorTransport(None, None, self._url)
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == tolerated:
                return None
            raise Unavailable(f"supervisord refuses {method}: {fault.faultString}") from fault
        except (OSError, xmlrpc.client.Error) as error:
            raise Unavailable(
                f"supervisord does not answer at {self._url} ({error}): is `gateway run` running on this root?"
            ) from error
