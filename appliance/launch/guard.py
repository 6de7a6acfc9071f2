"""The guard: what follows from a program that supervisord could not keep running.

Traefik in FATAL ends the appliance (a mark is left, supervisord is shut down, `gateway run` exits 70): a gateway
without its data plane is better replaced than kept. Any other program is started again, with longer and longer pauses.
Lives inside supervisord, which calls it on its own thread: nothing here waits.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from appliance import logs
from appliance.model.errors import Unavailable
from appliance.render.supervision import TRAEFIK

log = logs.logger(__name__)

_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 300.0


class Supervisor(Protocol):
    """The part of supervisord the guard uses."""

    def start(self, name: str) -> None:
        """Start a program. Raises Unavailable."""

    def shutdown(self) -> None:
        """End supervisord."""


class Guard:
    """Decides what follows from a program in FATAL."""

    def __init__(
        self, supervisor: Supervisor, fatal_mark: Path, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._supervisor = supervisor
        self._fatal_mark = fatal_mark
        self._monotonic = monotonic
        self._failures: dict[str, tuple[int, float]] = {}
        self._due: dict[str, float] = {}

    def on_fatal(self, program: str) -> None:
        """React to `program` having entered FATAL. Raises OSError when the mark could not be left."""
        if program == TRAEFIK:
            log.error("Traefik could not be kept running: the appliance ends; its last log lines say why")
            try:
                self._fatal_mark.write_text(program + "\n", encoding="utf-8")
            finally:
                self._supervisor.shutdown()
            return
        pause = pause_seconds(self._count(program))
        log.error(
            "program could not be kept running: it is started again after a pause", program=program, seconds=pause
        )
        self._due[program] = self._monotonic() + pause

    def look(self) -> None:
        """Start the programs whose pause is over. To be called every few seconds."""
        now = self._monotonic()
        for program in [program for program, due in self._due.items() if due <= now]:
            del self._due[program]
            try:
                self._supervisor.start(program)
            except Unavailable as error:
                log.warning("program not started", program=program, reason=str(error))

    def _count(self, program: str) -> int:
        """How often in a row the program was given up before; long after the last time it is a new row."""
        failures, last = self._failures.get(program, (0, 0.0))
        now = self._monotonic()
        if now - last > 2 * _LONGEST_PAUSE_SECONDS:
            failures = 0
        self._failures[program] = (failures + 1, now)
        return failures


def pause_seconds(failures: int) -> float:
    """Seconds before starting a program again that was given up `failures` times before."""
    return min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 20))
