"""Watches the programs: tells when one changes its state or its process, and what each costs the host.

supervisord says nothing by itself, so it is asked every few seconds (`look`, by whoever keeps house). Between two
looks a program may start twice: restarts are those that were seen.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from appliance.control.events import Events
from appliance.control.ports import Program, Programs
from appliance.model.errors import Unavailable
from appliance.model.measures import Family, by_label


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used. Times in seconds, `started` in Unix time."""

    started: float
    cpu_seconds: float
    resident_bytes: int


Measure = Callable[[int], Usage | None]
"""What the process of this pid has used; None when there is none (any more)."""


class ProgramsWatch:
    """Remembers what the last look found. Safe to call from any thread."""

    def __init__(self, programs: Programs, events: Events, measure: Measure) -> None:
        self._programs = programs
        self._events = events
        self._measure = measure
        self._lock = threading.Lock()
        self._known: dict[str, Program] = {}
        self._restarts: dict[str, int] = {}

    def look(self) -> None:
        """Ask supervisord, and publish what changed. One that does not answer tells nothing."""
        try:
            found = self._programs.programs()
        except Unavailable:
            return
        with self._lock:
            known, self._known = self._known, {item.name: item for item in found}
            for item in found:
                self._compare(known.get(item.name), item)

    def families(self) -> Iterable[Family]:
        """The programs as metrics."""
        self.look()
        with self._lock:
            known, restarts = tuple(self._known.values()), dict(self._restarts)
        yield by_label("gateway_program_up", "program", {item.name: float(item.state == "RUNNING") for item in known})
        yield by_label("gateway_program_restarts_total", "program", restarts)
        usages = self._usages(known)
        for name, of in _USAGES.items():
            yield by_label(name, "program", {program: of(usage) for program, usage in usages.items()})

    def report(self) -> list[dict[str, Any]]:
        """The programs: `{name, state, pid, restarts, started, cpu_seconds, resident_bytes}`, unknown being None."""
        self.look()
        with self._lock:
            known, restarts = tuple(self._known.values()), dict(self._restarts)
        usages = self._usages(known)
        return [
            {"name": one.name, "state": one.state, "pid": one.pid, "restarts": restarts[one.name]}
            | (asdict(usages[one.name]) if one.name in usages else _UNMEASURED)
            for one in known
        ]

    def _compare(self, before: Program | None, now: Program) -> None:
        restarts = self._restarts.setdefault(now.name, 0)
        if before is None or before == now:
            return
        if now.pid is not None and before.pid != now.pid:
            self._restarts[now.name] = restarts + 1
        self._events.publish("program", {"program": now.name, "state": now.state, "pid": now.pid})

    def _usages(self, known: Sequence[Program]) -> Mapping[str, Usage]:
        found = {item.name: self._measure(item.pid) for item in known if item.pid is not None}
        return {name: usage for name, usage in found.items() if usage is not None}


_UNMEASURED: dict[str, Any] = {"started": None, "cpu_seconds": None, "resident_bytes": None}
_USAGES: Mapping[str, Callable[[Usage], float]] = {
    "gateway_program_start_time_seconds": lambda usage: usage.started,
    "gateway_program_cpu_seconds_total": lambda usage: usage.cpu_seconds,
    "gateway_program_resident_memory_bytes": lambda usage: usage.resident_bytes,
}
