"""The kernel's limits and this user's privileges, from /proc."""

import contextlib
import os
from pathlib import Path

from appliance.layout import Root
from appliance.model.host import Inotify, Privileges

_INOTIFY = Path("/proc/sys/fs/inotify")
_FIRST_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_BIND_SERVICE = 1 << 10  # CAP_NET_BIND_SERVICE, capabilities(7)


def inotify() -> Inotify:
    """The limits, and how many instances this user has already (as far as this user may see)."""
    return Inotify(
        _number(_INOTIFY / "max_user_watches"),
        _number(_INOTIFY / "max_user_instances"),
        _number(_INOTIFY / "max_queued_events"),
        _instances(),
    )


def privileges(root: Root) -> Privileges:
    """Whether this process may listen below 1024. The appliance runs as the user that the root belongs to."""
    try:
        is_appliances = root.path.stat().st_uid == os.geteuid()
    except OSError as error:
        is_appliances = isinstance(error, FileNotFoundError)
    return Privileges(bool(_capabilities() & _BIND_SERVICE), _number(_FIRST_UNPRIVILEGED), is_appliances)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _capabilities() -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("CapEff:"):
                return int(line.partition(":")[2], 16)
    return 0


def _instances() -> int:
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid != os.geteuid():
                continue
            found += sum(_is_inotify(descriptor) for descriptor in (process / "fd").iterdir())
    return found


def _is_inotify(descriptor: Path) -> bool:
    try:
        return os.readlink(descriptor) == "anon_inode:inotify"
    except OSError:
        return False
