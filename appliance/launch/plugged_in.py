"""What supervisord runs of ours inside itself. It loads `plug_in` as if it were an interface of its XML-RPC
(http://supervisord.org/xmlrpc.html#writing-your-own-rpc-interface), which is its way to let others hear its events.

Everything here runs within its loop: nothing may wait, and an exception would end it.
"""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervisor import events
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.xmlrpc import Faults, RPCError

from appliance import logs
from appliance.adapters.resident import Thrift
from appliance.launch import handover
from appliance.launch.guard import Guard
from appliance.model.errors import Unavailable

log = logs.logger(__name__)


class Within:
    """supervisord's own RPC, called from inside. Keeps `guard.Supervisor`."""

    def __init__(self, supervisord: Any) -> None:
        self._rpc = SupervisorNamespaceRPCInterface(supervisord)

    def start(self, name: str) -> None:
        """Start a program without waiting for it to stay up; one that runs already is fine. Raises Unavailable."""
        try:
            self._rpc.startProcess(name, wait=False)
        except RPCError as error:
            if error.code == Faults.ALREADY_STARTED:
                return
            raise Unavailable(f"supervisord refuses to start {name}: {error.text}") from error

    def shutdown(self) -> None:
        """End supervisord."""
        self._rpc.shutdown()


def plug_in(supervisord: Any, *, fatal_mark: str, socket_path: str) -> object:
    """Hear of what happens in this supervisord, from its start on and after each reload. Gives its RPC no method."""
    within = Within(supervisord)
    guard = Guard(within, Path(fatal_mark))
    events.subscribe(events.SupervisorRunningEvent, _safely(lambda _: _begin(within, socket_path)))
    events.subscribe(events.ProcessStateFatalEvent, _safely(lambda event: guard.on_fatal(event.process.config.name)))
    events.subscribe(events.Tick5Event, _safely(lambda _: guard.look()))
    thrift = Thrift()
    events.subscribe(events.Tick5Event, _safely(lambda _: thrift.look()))
    return object()


def _begin(within: Within, socket_path: str) -> None:
    """Its handlers for signals are in place now.

    Where one that ends it has come, it would start its programs first, and what a program is sent while it is being
    started is lost. Where none has, it starts them after its first wait for anything to happen, else for a second.
    """
    if handover.take_signals():
        within.shutdown()
        return
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        caller.connect(socket_path)


def _safely(act: Callable[[Any], None]) -> Callable[[Any], None]:
    def on_event(event: Any) -> None:
        try:
            act(event)
        except Exception:
            log.exception("supervisord goes on after a failure of ours")

    return on_event
