"""Traefik: the version of the program, and the account in its certificate stores."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.model.accounts import Account

_PATIENCE_SECONDS = 8.0
_LARGEST_STORE_BYTES = 64 * 1024 * 1024
_VERSION = re.compile(r"^Version:\s*(\S+)", re.MULTILINE)


def traefik_version(name: str) -> tuple[str | None, str | None]:
    """(version, problem): one of them is None."""
    beside = Path(sys.executable).parent / name
    binary = str(beside) if beside.is_file() else shutil.which(name)
    if binary is None:
        return None, f"there is no program {name!r} (`traefik.binary`)"
    try:
        done = subprocess.run(
            [binary, "version"], capture_output=True, timeout=_PATIENCE_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{binary} cannot be run: {error}"
    found = _VERSION.search(done.stdout.decode(errors="replace"))
    return (found[1], None) if found else (None, f"{binary} does not tell its version: it is not Traefik")


def account(store: Path, resolver: str) -> Account | None:
    """The account in a certificate store; None: no store, nothing in it, or not to be read."""
    try:
        if store.stat().st_size > _LARGEST_STORE_BYTES:
            return None
        document: Any = json.loads(store.read_bytes())
    except (OSError, ValueError):
        return None
    for step in (resolver, "Account", "Registration"):
        document = document.get(step) if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping):
        return None
    body = document.get("body")
    status = body.get("status") if isinstance(body, Mapping) else None
    url = document.get("uri")
    return Account(url if isinstance(url, str) else None, status if isinstance(status, str) else None)
