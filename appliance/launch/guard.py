"""The fatal guard: supervisord's event listener for programs that could not be kept running.

Traefik in FATAL ends the appliance (a mark is left, supervisord is shut down, `gateway run` exits 70): a gateway
without its data plane is better replaced than kept. Any other program is started again, with longer and longer pauses.
Speaks the event protocol of http://supervisord.org/events.html on standard input and output.
"""

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TextIO

from appliance import logs
from appliance.adapters.supervisor_rpc import SupervisorRpc
from appliance.layout import Root
from appliance.model.errors import Unavailable
from appliance.render.supervision import TRAEFIK

log = logs.logger(__name__)

EXIT_FATAL = 70
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 300.0


class Supervisor(Protocol):
    """The part of supervisord's RPC the guard uses."""

    def start(self, name: str) -> None:
        """Start a program. Raises Unavailable."""

    def shutdown(self) -> None:
        """End supervisord. Raises Unavailable."""


class Guard:
    """Decides what follows from a program in FATAL. `pause` gives the seconds before its n-th restart (from 0)."""

    def __init__(self, supervisor: Supervisor, fatal_mark: Path) -> None:
        self._supervisor = supervisor
        self._fatal_mark = fatal_mark
        self._failures: dict[str, tuple[int, float]] = {}

    def on_fatal(self, program: str) -> None:
        """React to `program` having entered FATAL."""
        if program == TRAEFIK:
            log.error("Traefik could not be kept running: the appliance ends; its last log lines say why")
            try:
                self._fatal_mark.write_text(program + "\n", encoding="utf-8")
            finally:
                self._supervisor.shutdown()
            return
        failures = self._count(program)
        pause = pause_seconds(failures)
        log.error(
            "program could not be kept running: it is started again after a pause", program=program, seconds=pause
        )
        timer = threading.Timer(pause, self._start, [program])
        timer.daemon = True
        timer.start()

    def _count(self, program: str) -> int:
        """How often in a row the program was given up before; long after the last time it is a new row."""
        failures, last = self._failures.get(program, (0, 0.0))
        now = time.monotonic()
        if now - last > 2 * _LONGEST_PAUSE_SECONDS:
            failures = 0
        self._failures[program] = (failures + 1, now)
        return failures

    def _start(self, program: str) -> None:
        try:
            self._supervisor.start(program)
        except Unavailable as error:
            log.warning("program not started", program=program, reason=str(error))


def pause_seconds(failures: int) -> float:
    """Seconds before starting a program again that was given up `failures` times before."""
    return min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 20))


def fatal_program(header: Mapping[str, str], payload: str) -> str | None:
    """The program an event says is in FATAL; None for any other event."""
    if header.get("eventname") != "PROCESS_STATE_FATAL":
        return None
    return _tokens(payload).get("processname")


def listen(root: Root, source: TextIO = sys.stdin, answers: TextIO = sys.stdout) -> int:
    """Serve as the event listener until supervisord closes the line. Returns the exit code."""
    supervisor = SupervisorRpc(root.supervisor_socket)
    guard = Guard(supervisor, root.fatal_mark)
    _catch_up(supervisor, guard)
    while True:
        answers.write("READY\n")
        answers.flush()
        line = source.readline()
        if not line:
            return 0
        header = _tokens(line)
        program = fatal_program(header, source.read(int(header["len"])))
        if program is not None:
            guard.on_fatal(program)
        answers.write("RESULT 2\nOK")
        answers.flush()


def _catch_up(supervisor: SupervisorRpc, guard: Guard) -> None:
    """Events that fell while the guard itself was down are not repeated: look once at how things are."""
    try:
        for program in supervisor.programs():
            if program.state == "FATAL":
                guard.on_fatal(program.name)
    except Unavailable as error:
        log.warning("the guard could not look at the programs", reason=str(error))


def _tokens(line: str) -> dict[str, str]:
    return dict(item.split(":", 1) for item in line.split() if ":" in item)
