"""Starting, awaiting and ending a peer: every program of the harness goes through these three.

A peer writes to one log file. Nothing here sleeps for a fixed time: a wait ends when what it waits for is there, when
the peer has died, or at its deadline, and the last two show the end of the log.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

_POLL_FIRST: Final = 0.005
_POLL_MOST: Final = 0.1
_SHOWN_LINES: Final = 60

T = TypeVar("T")


class PeerError(AssertionError):
    """A peer did not do what it must; the message ends with its log."""


def await_result(
    probe: Callable[[], T | None],
    what: str,
    *,
    seconds: float = 10,
    given_up: Callable[[], str | None] = lambda: None,
    log: Callable[[], str] = lambda: "",
) -> T:
    """The first true value of `probe`, asked again and again. OSError and PeerError from it mean `not yet`.

    `given_up` says why waiting on is useless, if it is.
    """
    deadline = time.monotonic() + seconds
    pause = _POLL_FIRST
    last: object = None
    while True:
        try:
            last = value = probe()
        except (OSError, PeerError) as error:
            last, value = error, None
        if value:
            return value
        reason = given_up()
        if reason is None and time.monotonic() > deadline:
            reason = f"not within {seconds:g} s"
        if reason is not None:
            raise PeerError(f"{what}: {reason} (last: {last!r})\n{log()}".rstrip())
        time.sleep(pause)
        pause = min(pause * 1.5, _POLL_MOST)


class Launched:
    """A running program, leader of a process group of its own. `stop` may be repeated."""

    def __init__(
        self, argv: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.name = Path(argv[0]).name
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=cwd or log.parent,
                start_new_session=True,
            )

    def log_text(self) -> str:
        """Everything it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def end_of_log(self) -> str:
        """The last lines, for a failure's message."""
        lines = self.log_text().splitlines()[-_SHOWN_LINES:]
        return "\n".join([f"--- {self.name}, {self.log}", *lines])

    def until(self, probe: Callable[[], T | None], what: str, *, seconds: float = 10) -> T:
        """The first true value of `probe`; fails at once when the program ends before."""
        return await_result(probe, what, seconds=seconds, given_up=self._ended, log=self.end_of_log)

    def until_logged(self, text: str, *, seconds: float = 10, count: int = 1) -> None:
        """Wait until the log holds `text`, `count` times."""
        self.until(lambda: self.log_text().count(text) >= count, f"{self.name} logs {text!r}", seconds=seconds)

    def wait(self, *, seconds: float = 10) -> int:
        """The exit code, once it has ended by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"{self.name} still runs after {seconds:g} s\n{self.end_of_log()}") from error

    def stop(self, *, seconds: float = 5) -> int:
        """SIGTERM, wait, and SIGKILL for the group where that was not enough. The exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        return self.kill()

    def kill(self) -> int:
        """SIGKILL for the whole group, what it left behind included. The exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def _ended(self) -> str | None:
        code = self.process.poll()
        return None if code is None else f"{self.name} has ended with {code}"
