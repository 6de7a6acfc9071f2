"""supervisord in this very process, so that it is PID 1 in a container and the unit's main process on a host."""

import os
from collections.abc import Sequence
from pathlib import Path

from supervisor import supervisord

from appliance import logs
from appliance.launch import relaying
from appliance.launch.handover import EXIT_FATAL, LOCK_DESCRIPTOR, TEXT
from appliance.layout import Root


def main(arguments: Sequence[str]) -> int:
    """Run until stopped; the exit code is 0, or 70 when Traefik could not be kept running."""
    logs.configure()
    os.set_inheritable(LOCK_DESCRIPTOR, False)
    root = Root(Path(arguments[0]))
    with relaying.relayed(root, is_text=TEXT in arguments):
        supervisord.main(["-c", str(root.supervisor_configuration)])
    return EXIT_FATAL if root.fatal_mark.exists() else 0
