"""The verbs that start something or work on the root itself. Each imports what it needs when it runs."""

import os
from argparse import Namespace
from functools import partial
from pathlib import Path

from appliance import logs
from appliance.layout import Root

_LOG_LEVEL = "GATEWAY_LOG_LEVEL"
"""How the level given to `run` reaches the control plane that supervisord starts."""


def run(options: Namespace) -> int:
    """Run the whole appliance."""
    from appliance.launch import appliance

    _overlay_environment(options)
    logs.configure(os.environ.get(_LOG_LEVEL, "info"))
    appliance.run(_root(options), options.config, os.environ)


def serve(options: Namespace) -> int:
    """Run the control plane alone."""
    from appliance import daemon, settings

    _overlay_environment(options)
    logs.configure(os.environ.get(_LOG_LEVEL, "info"))
    root = _root(options)
    find_config = partial(settings.find, root.path, os.environ, options.config)
    return daemon.serve(root, find_config, os.environ)


def demo(options: Namespace) -> int:
    """Run the demonstration."""
    from appliance.launch import demo as demonstration

    code: int = demonstration.run(options.root, is_check=options.check, is_json=options.json)
    return code


def start_traefik(options: Namespace) -> int:
    """Become Traefik."""
    from appliance.launch import traefik

    logs.configure()
    traefik.start(_root(options), options.binary, os.environ)
    return 1


def backup(options: Namespace) -> int:
    """Write a backup."""
    from appliance.cli import backups

    return backups.backup(options)


def restore(options: Namespace) -> int:
    """Put a backup in place."""
    from appliance.cli import backups

    return backups.restore(options)


def _root(options: Namespace) -> Root:
    return Root(Path(options.root).absolute())


def _overlay_environment(options: Namespace) -> None:
    """Options of the start line are settings like any other, also for the programs started from here."""
    if options.broker is not None:
        os.environ["GATEWAY__BROKER"] = options.broker
    if options.log_level is not None:
        os.environ[_LOG_LEVEL] = options.log_level
    if options.text:
        os.environ["GATEWAY__LOG__FORMAT"] = "text"
    if options.workers is not None:
        os.environ["GATEWAY__ZBUS__WORKERS"] = str(options.workers)
