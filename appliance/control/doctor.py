"""The doctor: carries out every examination at once, each bounded in time, on demand and in the background.

An examination that fails itself, or does not end, has found out nothing: that is `unknown`, never `ok`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from appliance import logs
from appliance.control import examinations
from appliance.control.examinations import Examination, Surroundings
from appliance.model import doctor
from appliance.model.findings import Finding, Status

log = logs.logger(__name__)

_PATIENCE_SECONDS = 9.0
"""Longer than any examination takes by its own bounds."""
_PARTING_SECONDS = 0.5
_TELLING_SECONDS = 0.5
_START_SECONDS = 8.0
_START_LOOK_SECONDS = 0.2
_FIRST_SECONDS, _AGAIN_SECONDS = 1.0, 25.0
"""When the background begins, and when it looks again: by then everything that was started listens."""
_USUAL_SECONDS, _TROUBLED_SECONDS = 600.0, 60.0
"""How often it looks, and how often while something fails: somebody may be mending it."""

Told = Callable[[Sequence[str]], None]


def examine(
    around: Surroundings, patience_seconds: float = _PATIENCE_SECONDS, told: Told = lambda _: None
) -> tuple[Finding, ...]:
    """Everything found, in the order to tell it, after `patience_seconds` at the latest.

    An appliance that was only just started, or does not answer, is waited for first. `told` hears meanwhile, every now
    and then, which examinations have not ended yet.
    """
    _await_start(around, told)
    found = _carried_out(examinations.of(around), patience_seconds, told)
    return doctor.arranged([*found, *examinations.across(around, found)])


class Doctor:
    """Examines again and again in the background, and keeps what it found. `around` gives the surroundings as they are.

    Thread-safe. `soon` is called when settings have changed.
    """

    def __init__(self, around: Callable[[], Surroundings]) -> None:
        self._around = around
        self._wake = threading.Condition()
        self._is_stopping = False
        self._is_due = False
        self._found: tuple[Finding, ...] | None = None
        self._examining = threading.Lock()
        self._told: frozenset[str] = frozenset()
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin. `on_failure` is told when that ends unexpectedly."""
        self._thread = threading.Thread(target=self._guard, args=(on_failure,), name="doctor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; an examination under way is not waited for. May be repeated."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout=_PARTING_SECONDS)

    def soon(self) -> None:
        """Examine soon: something changed."""
        with self._wake:
            self._is_due = True
            self._wake.notify()

    def findings(self) -> tuple[Finding, ...]:
        """What was found last; examines now when nothing was yet."""
        return self._found if self._found is not None else self.examine()

    def report(self) -> dict[str, Any]:
        """What was found last, as `{checks: [{id, status, evidence, todo}]}`."""
        return doctor.report(self.findings())

    def examine(self) -> tuple[Finding, ...]:
        """Examine now, and keep what was found."""
        with self._examining:
            self._found = examine(self._around())
            return self._found

    def _guard(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001  a doctor that does not look must not go unnoticed
            on_failure(error)

    def _run(self) -> None:
        pauses = iter((_FIRST_SECONDS, _AGAIN_SECONDS))
        while self._wait(next(pauses, self._pause())):
            self._tell(self.examine())

    def _pause(self) -> float:
        return _TROUBLED_SECONDS if self._told else _USUAL_SECONDS

    def _wait(self, seconds: float) -> bool:
        """Wait for the next time, or until somebody asks for it; False: stop."""
        with self._wake:
            self._wake.wait_for(lambda: self._is_stopping or self._is_due, seconds)
            self._is_due = False
            return not self._is_stopping

    def _tell(self, found: Iterable[Finding]) -> None:
        """Log what fails that did not fail before, and what no longer does."""
        failed = {one.id: one for one in found if one.status is Status.FAIL}
        for identity in failed.keys() - self._told:
            one = failed[identity]
            log.warning("a check fails", check=identity, evidence=one.evidence, todo=one.todo)
        for identity in self._told - failed.keys():
            log.info("a check no longer fails", check=identity)
        self._told = frozenset(failed)


def _await_start(around: Surroundings, told: Told) -> None:
    """While something starts much is missing that is there in a moment; nobody wants to be sent looking for it."""
    deadline = time.monotonic() + _START_SECONDS
    pause = threading.Event()
    while time.monotonic() < deadline and (own := around.host.own()).pids:
        status = around.status()
        if status is not None and (status["healthy"] or own.is_settled):
            return
        told(["appliance"])
        pause.wait(_START_LOOK_SECONDS)


def _carried_out(wanted: Sequence[Examination], patience_seconds: float, told: Told) -> list[Finding]:
    """All at once, on threads that nobody has to wait for."""
    found: dict[int, list[Finding]] = {}
    threads = [
        threading.Thread(target=_carry_out, args=(one, number, found), name=f"check {one.id}", daemon=True)
        for number, one in enumerate(wanted)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience_seconds
    while (left := [number for number, thread in enumerate(threads) if thread.is_alive()]) and (
        rest := deadline - time.monotonic()
    ) > 0:
        told([wanted[number].id for number in left])
        threads[left[0]].join(min(rest, _TELLING_SECONDS))
    late = f"did not end within {patience_seconds:g} s"
    results = dict(found)
    return [item for number, one in enumerate(wanted) for item in results.get(number, [_nothing(one, late)])]


def _carry_out(one: Examination, number: int, found: dict[int, list[Finding]]) -> None:
    try:
        found[number] = list(one.look())
    except Exception as error:  # noqa: BLE001  one check's own fault must not take the others along
        log.warning("a check could not be carried out", check=one.id, reason=repr(error))
        found[number] = [_nothing(one, f"could not be carried out: {error!r}")]


def _nothing(one: Examination, why: str) -> Finding:
    return Finding(one.id, Status.UNKNOWN, f"the check {why}", "run it again: gateway doctor")
