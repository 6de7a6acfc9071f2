"""Which appliance this is among all that use one broker: a name of its own, made once and kept.

What an appliance took lies in Redis under this name, so it must outlive the process, the container and a change of the
host's name.
"""

import re
import secrets
from pathlib import Path

from appliance import atomic
from appliance.model.errors import GatewayError

_NAME = re.compile(r"[0-9a-f]{16}")


def name_in(path: Path) -> str:
    """The name kept in `path`, which is written where there is none. Raises GatewayError."""
    try:
        known = path.read_text(encoding="ascii", errors="replace").strip() if path.exists() else ""
        if _NAME.fullmatch(known):
            return known
        fresh = secrets.token_hex(8)
        atomic.write(path, f"{fresh}\n")
        atomic.sync_directory(path.parent)
    except OSError as error:
        raise GatewayError(f"cannot keep {path}: {error.strerror}; give this user the right to write there") from error
    return fresh
