"""Starts the whole appliance (`gateway run`): one at a time on a root, with its ports free, as supervisord."""

import os
import pwd
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from appliance import atomic, settings
from appliance.adapters import adoption, processes, root_lock, state_format
from appliance.adapters.files import StaticConfigurationFile
from appliance.launch import handover, relaying
from appliance.layout import Root
from appliance.model.errors import GatewayError
from appliance.render import static, supervision
from appliance.settings import Settings


def run(root: Root, config: Path | None, environment: Mapping[str, str]) -> NoReturn:
    """Prepare and become supervisord, which runs until stopped: with exit code 0, or 70 when Traefik cannot be kept up.

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
    atomic.write(root.supervisor_configuration, supervision.text(_programs(root, config, binary), root.path))
    relaying.make_pipes(root)
    handover.become_supervisord(root, is_text=loaded.log.format == "text")


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


def _lock(root: Root) -> None:
    """Hold the root for this process's life. Raises GatewayError naming who holds it."""
    descriptor = root_lock.hold(root.path, root.lock)
    if descriptor != handover.LOCK_DESCRIPTOR:
        os.dup2(descriptor, handover.LOCK_DESCRIPTOR, inheritable=False)
        os.close(descriptor)
    root_lock.sign(handover.LOCK_DESCRIPTOR)


def _check_ports(loaded: Settings) -> None:
    """Raise GatewayError, a line for each port that cannot be listened on."""
    obstacles = processes.obstacles(processes.listening(loaded))
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
        environment={**static.hook_environment(hook(), root.path), "PATH": path},
        descriptors=hard_limit if hard_limit != resource.RLIM_INFINITY else 2**31,
        drain_seconds=static.DRAIN_SECONDS,
        user=pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None,
    )
