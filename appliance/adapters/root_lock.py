"""The lock of a root: one `gateway run`, or one restore, at a time. Held for as long as its descriptor is open."""

import fcntl
import os
from pathlib import Path

from appliance.model.errors import GatewayError


def hold(root: Path, lock: Path) -> int:
    """Take the lock file of `root` and return its descriptor, not inherited. Raises GatewayError naming the holder."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise GatewayError(
            f"the root {root} is in use by `gateway run` with pid {holder}: "
            "stop that one first, or give this one another --root"
        ) from error
    return descriptor


def sign(descriptor: int) -> None:
    """Write this process's pid into a lock that it holds."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
