"""Starts Traefik (`gateway start-traefik`): puts right what would make it start without routes or certificates, then
becomes it. Needs no control plane and no settings, only the rendered `traefik.yaml`; whatever cannot be put right is
reported and Traefik started anyway, for a gateway with some routes is better than none.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from appliance import logs
from appliance.adapters import files, fragment_files
from appliance.launch import stores
from appliance.layout import Root
from appliance.model import environments
from appliance.model.errors import Unavailable

log = logs.logger(__name__)


def start(root: Root, binary: Path, environment: Mapping[str, str]) -> None:
    """Prepare and become Traefik. Returns only by raising OSError, when the binary cannot be run."""
    prepare(root)
    withdraw_untried(root, binary)
    arguments = [binary.name, f"--configFile={root.static_configuration.absolute()}"]
    program = binary.absolute()
    os.chdir(root.path)  # the files with password lines are named from here
    os.execve(program, arguments, environments.for_traefik(environment))


def prepare(root: Root) -> None:
    """Set foreign files in `proxy/` aside and make the certificate stores usable. Reports what fails; never raises."""
    try:
        files.sweep(root.proxy, root.staging, root.quarantine)
    except (OSError, Unavailable) as error:
        log.error("proxy/ could not be checked; Traefik starts with what is there", error=str(error))
    stores.check(root)


def withdraw_untried(root: Root, binary: Path) -> None:
    """Take out fragments that no trial with this Traefik has passed. Reports what fails; never raises."""
    try:
        fragment_files.withdraw_untried(root.proxy, root.fragments, binary)
    except OSError as error:
        log.error("the fragments could not be checked; Traefik starts with what is there", error=str(error))
