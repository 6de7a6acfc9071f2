"""Settings into supervisord's configuration: which programs run, and when that ends the appliance.

supervisord expands `%(...)s` in values, so a foreign `%` is doubled. Programs are stopped highest priority number
first: Traefik drains while the authority still answers.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.layout import Root

TRAEFIK = "traefik"
GATEWAY = "gateway"
PROGRAMS = (TRAEFIK, GATEWAY)
_SECONDS_FROM_START_TO_RUNNING = 5
_MOST_DESCRIPTORS = 65536


@dataclass(frozen=True, slots=True)
class Programs:
    """What to run: argument lists, the environment they get, and the bounds they run within."""

    traefik: Sequence[str]
    gateway: Sequence[str]
    environment: Mapping[str, str]
    descriptors: int
    """The hard limit on open files; supervisord raises its programs' soft limit up to it, within reason."""
    drain_seconds: int
    user: str | None
    """The user's name when it is root; supervisord warns when it is not told that root is meant."""


def text(programs: Programs, root: Path) -> str:
    """`supervisord.conf`."""
    layout = Root(root)
    socket, log_pipe = _escaped(str(layout.supervisor_socket)), layout.log_pipe
    sections = {
        "supervisord": _supervisord(programs, layout.run),
        "unix_http_server": {"file": socket, "chmod": "0600"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "rpcinterface:appliance": {
            "supervisor.rpcinterface_factory": "appliance.launch.plugged_in:plug_in",
            "fatal_mark": _escaped(str(layout.fatal_mark)),
            "socket_path": socket,
        },
        f"program:{TRAEFIK}": {
            **_program(programs.traefik, log_pipe(TRAEFIK), priority=30),
            "stopwaitsecs": str(programs.drain_seconds + 5),
        },
        f"program:{GATEWAY}": {**_program(programs.gateway, log_pipe(GATEWAY), priority=20), "stopwaitsecs": "10"},
    }
    return "\n".join(_section(name, values) for name, values in sections.items())


def _supervisord(programs: Programs, run: Path) -> dict[str, str]:
    values = {
        # In the foreground supervisord writes to standard output anyway; a log file there would say it all twice.
        "nodaemon": "true",
        "logfile": "/dev/null",
        "logfile_maxbytes": "0",
        "pidfile": _escaped(str(run / "supervisord.pid")),
        "childlogdir": _escaped(str(run)),
        "umask": "077",
        "minfds": str(min(_MOST_DESCRIPTORS, programs.descriptors)),
        "environment": ",".join(f'{key}="{_escaped(value)}"' for key, value in sorted(programs.environment.items())),
    }
    return {**values, "user": programs.user} if programs.user else values


def _program(command: Sequence[str], log: Path, *, priority: int) -> dict[str, str]:
    return {
        "command": _escaped(shlex.join(command)),
        "priority": str(priority),
        "startsecs": str(_SECONDS_FROM_START_TO_RUNNING),
        "autorestart": "true",
        "stdout_logfile": _escaped(str(log)),
        "stdout_logfile_maxbytes": "0",
        "redirect_stderr": "true",
    }


def _section(name: str, values: Mapping[str, str]) -> str:
    return "".join([f"[{name}]\n", *(f"{key}={value}\n" for key, value in values.items())])


def _escaped(value: str) -> str:
    return value.replace("%", "%%")
