"""Starts a throw-away Traefik.

Its listening sockets are on loopback and already open (Traefik takes them as systemd hands them over), so no port can
be taken away between choosing and using it. It ends with the thread that started it, however that ends: the kernel
sees to it.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_LARGEST_LOG_BYTES = 1024 * 1024

# Ends the program with its starter (prctl 1: PR_SET_PDEATHSIG), puts the sockets where sd_listen_fds(3) wants them,
# and bounds what a program gone wild can use: processor seconds and bytes of log.
_LAUNCHER = f"""
import ctypes, fcntl, os, resource, sys
parent, seconds, sockets, names, program, *arguments = sys.argv[1:]
ctypes.CDLL(None).prctl(1, {int(signal.SIGKILL)})
if os.getppid() != int(parent):
    os._exit(1)
resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
resource.setrlimit(resource.RLIMIT_FSIZE, (16777216, 16777216))
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 64) for number in sockets.split(",")]
for place, number in enumerate(high, start=3):
    os.dup2(number, place, True)
    os.close(number)
listening = {{"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high)), "LISTEN_FDNAMES": names}}
os.execve(program, [program, *arguments], {{**os.environ, **listening}})
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start. `sockets`: entry point -> listening socket. Nothing of this process's environment is passed on."""

    binary: Path
    static: Path
    """The static configuration."""
    log: Path
    """Where it writes what it says."""
    sockets: Mapping[str, socket.socket]
    processor_seconds: int = 20
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: Path | None = None
    """Traefik's own: relative paths are read from there. None: where the static configuration lies."""


@contextmanager
def running(launch: Launch) -> Iterator[subprocess.Popen[bytes]]:
    """The program, until the block is left. The sockets are its own from the start on. Raises OSError."""
    program = _started(launch)
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def _started(launch: Launch) -> subprocess.Popen[bytes]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in launch.sockets.values()]
        numbers = [one.fileno() for one in sockets]
        argv = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(launch.processor_seconds)]
        argv += [",".join(map(str, numbers)), ":".join(launch.sockets), str(launch.binary)]
        return subprocess.Popen(
            [*argv, f"--configFile={launch.static}"],
            env=launch.environment,
            cwd=launch.working_directory or launch.static.parent,
            stdin=subprocess.DEVNULL,
            stdout=stack.enter_context(launch.log.open("wb")),
            stderr=subprocess.STDOUT,
            pass_fds=numbers,
            start_new_session=True,
        )


def said(log: Path) -> str:
    """What it has said until now."""
    with log.open("rb") as file:
        return file.read(_LARGEST_LOG_BYTES).decode("utf-8", "replace")
