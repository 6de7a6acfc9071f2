"""Puts the log relay between the programs and the standard output of `gateway run`, and starts it again if it dies.

supervisord opens the logs of its programs again and again: a socket, as under journald, cannot be opened, and a file
then has a second place to write at. A pipe has neither trouble. What is written while the relay is away waits in its
pipes; nothing of it is lost, and no program is stopped by a broken one.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

from appliance import logs
from appliance.layout import Root
from appliance.model.errors import GatewayError
from appliance.render import supervision

log = logs.logger(__name__)

_OUTPUT_DESCRIPTOR: Final = 0
"""The standard output as it was given to us. supervisord reads nothing, so its standard input is free for that."""
_PIPE_DESCRIPTOR: Final = 4
"""The reading end, open here so that there is always a reader. 3 is the root's lock; supervisord closes from 5 up."""
_SECONDS_BETWEEN_STARTS = 1.0
_SECONDS_TO_FINISH = 5.0


def make_pipes(root: Root) -> None:
    """Make a pipe for each program. Raises GatewayError."""
    for program in supervision.PROGRAMS:
        path = root.log_pipe(program)
        try:
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o600)
        except OSError as error:
            raise GatewayError(
                f"cannot make the pipe {path}: {error.strerror}; the root must lie on a filesystem that knows pipes"
            ) from error


@contextlib.contextmanager
def relayed(root: Root, *, is_text: bool) -> Iterator[None]:
    """What this process and its programs write inside goes through the relay. The pipes are made."""
    for program in supervision.PROGRAMS:  # held open: whoever opens one to write never waits for the relay to be there
        os.open(root.log_pipe(program), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    pipes = [str(root.log_pipe(program)) for program in supervision.PROGRAMS]
    argv = [sys.executable, "-P", "-m", "appliance.launch.log_relay", str(root.logs), *pipes]
    writing = _take_over_output()
    keeper = _Keeper([*argv, *(["--text"] if is_text else [])])
    keeper.start()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os.dup2(_OUTPUT_DESCRIPTOR, 1)  # the last writing ends close: the relay reads to the end and ends
        os.dup2(_OUTPUT_DESCRIPTOR, 2)
        keeper.finish()


class _Keeper:
    """Keeps one relay running. Each reads on where the one before was cut off."""

    def __init__(self, argv: list[str]) -> None:
        self._argv = argv
        self._is_ending = threading.Event()
        self._relay: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the first relay, and watch it from then on."""
        self._relay = self._started()
        threading.Thread(target=self._keep, args=(self._relay,), name="log relay", daemon=True).start()

    def finish(self) -> None:
        """Wait for the relay to have written everything."""
        self._is_ending.set()
        if self._relay is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._relay.wait(_SECONDS_TO_FINISH)

    def _keep(self, relay: subprocess.Popen[bytes]) -> None:
        while True:
            began = time.monotonic()
            relay.wait()  # supervisord may reap it first; either way it has ended
            if self._is_ending.wait(max(0.0, _SECONDS_BETWEEN_STARTS - (time.monotonic() - began))):
                return
            try:
                relay = self._relay = self._started()
            except OSError:  # no memory, no process left: supervisord has the same trouble, and it will pass
                continue
            log.warning("the log relay had ended and was started again")

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._argv, stdin=_PIPE_DESCRIPTOR, stdout=_OUTPUT_DESCRIPTOR, stderr=_OUTPUT_DESCRIPTOR
        )


def _take_over_output() -> int:
    """Move the standard output out of the way; the writing end of the pipe that is to take its place."""
    reading, writing = os.pipe()
    try:
        os.dup2(1, _OUTPUT_DESCRIPTOR)
    except OSError:  # closed before we were started
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, _OUTPUT_DESCRIPTOR)
        os.close(nowhere)
    if reading != _PIPE_DESCRIPTOR:
        if writing == _PIPE_DESCRIPTOR:
            writing = os.dup(writing)
        os.dup2(reading, _PIPE_DESCRIPTOR, inheritable=False)
        os.close(reading)
    return writing
