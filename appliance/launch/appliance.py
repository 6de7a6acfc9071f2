"""Starts the whole appliance (`gateway run`): one at a time on a root, with its ports free, as supervisord.

supervisord runs in this very process, so it is PID 1 in a container and the unit's main process on a host.
"""

import os
import pwd
import resource
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from supervisor import supervisord

from appliance import atomic, logs, settings
from appliance.adapters import adoption, processes, root_lock, state_format
from appliance.adapters.files import StaticConfigurationFile
from appliance.adapters.supervisor_rpc import SupervisorRpc
from appliance.launch import relaying
from appliance.launch.guard import EXIT_FATAL
from appliance.layout import Root
from appliance.model.errors import GatewayError, Unavailable
from appliance.render import static, supervision
from appliance.settings import Settings

log = logs.logger(__name__)

_SECONDS_TO_WAKE = 5.0

_LOCK_DESCRIPTOR = 3
"""supervisord closes descriptors from 5 up when it reloads on SIGHUP; the lock must survive that."""


def run(root: Root, config: Path | None, environment: Mapping[str, str]) -> int:
    """Run until stopped; the exit code is 0, or 70 when Traefik could not be kept running.

    `config` is the settings file that was asked for; None: wherever `settings.find` finds it.

    Raises GatewayError when it cannot start: somebody else runs on this root, a port is taken, the settings are wrong.
    """
    state_format.check(root)
    adoption.adopt(root, lambda: _domains(root, config, environment))
    root.create()
    _lock(root)
    state_format.bring_up_to_date(root)
    loaded = settings.load(settings.find(root.path, environment, config), environment)
    _check_ports(loaded)
    root.fatal_mark.unlink(missing_ok=True)
    binary = processes.traefik_binary(loaded.traefik.binary)
    StaticConfigurationFile(root.static_configuration, root.restart_mark).replace(static.text(loaded, root.path))
    root.restart_mark.unlink(missing_ok=True)  # Traefik is yet to start, and starts with it
    conf = root.run / "supervisord.conf"
    atomic.write(conf, supervision.text(_programs(root, config, binary), root.path))
    with relaying.relayed(root, is_text=loaded.log.format == "text"):
        threading.Thread(target=_wake, args=(root,), name="wake", daemon=True).start()
        supervisord.main(["-c", str(conf)])
    return EXIT_FATAL if root.fatal_mark.exists() else 0


def _domains(root: Root, config: Path | None, environment: Mapping[str, str]) -> tuple[str, ...]:
    public = settings.load(settings.find(root.path, environment, config), environment).public
    return public.domains if public else ()


def hook() -> Path:
    """`hooks/dns01`: inside the installed package, or beside it in a checkout. Raises GatewayError."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "hooks/dns01", package.parent / "hooks/dns01"):
        if candidate.is_file():
            return candidate
    raise GatewayError("the DNS hook is missing from this installation: install the package again")


def _wake(root: Root) -> None:
    """Ask supervisord something as soon as it listens: it starts its programs after its first wait for anything to
    happen, which otherwise lasts a second.
    """
    supervisor = SupervisorRpc(root.supervisor_socket)
    deadline = time.monotonic() + _SECONDS_TO_WAKE
    while time.monotonic() < deadline:
        try:
            supervisor.programs()
        except Unavailable:
            time.sleep(0.01)
        else:
            return


def _lock(root: Root) -> None:
    """Hold the root for this process's life. Raises GatewayError naming who holds it."""
    descriptor = root_lock.hold(root.path, root.lock)
    if descriptor != _LOCK_DESCRIPTOR:
        os.dup2(descriptor, _LOCK_DESCRIPTOR, inheritable=False)
        os.close(descriptor)
    root_lock.sign(_LOCK_DESCRIPTOR)


def _check_ports(loaded: Settings) -> None:
    """Raise GatewayError, a line for each port that cannot be listened on."""
    obstacles = [found for wanted in processes.listening(loaded) if (found := processes.obstacle(wanted)) is not None]
    if obstacles:
        raise GatewayError("\n".join(dict.fromkeys(obstacles)))


def _programs(root: Root, config: Path | None, binary: Path) -> supervision.Programs:
    gateway = [sys.executable, "-P", "-m", "appliance"]
    rooted = ["--root", str(root.path)]
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The hook's first line looks python3 up: the interpreter itself is found before any wrapper of it.
    path = f"{Path(sys.executable).resolve().parent}:{os.environ.get('PATH', os.defpath)}"
    return supervision.Programs(
        traefik=[*gateway, "start-traefik", *rooted, "--binary", str(binary)],
        gateway=[*gateway, "serve", *rooted, *(["--config", str(config.absolute())] if config else [])],
        guard=[*gateway, "fatal-guard", *rooted],
        environment={**static.hook_environment(hook(), root.path), "PATH": path},
        descriptors=hard_limit if hard_limit != resource.RLIM_INFINITY else 2**31,
        drain_seconds=static.DRAIN_SECONDS,
        user=pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None,
    )
