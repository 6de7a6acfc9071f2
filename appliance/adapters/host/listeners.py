"""Sockets that somebody listens on, and who: name, pid, and the systemd unit or container it was started as."""

import contextlib
import os
import re
import socket
import struct
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from appliance.layout import Root
from appliance.model.ports import Holder, Own, Transport

_UNIT = re.compile(r"/([^/]+\.(?:service|scope|socket))(?:/|$)")
_CONTAINER = re.compile(r"(?:docker[-/]|libpod-|cri-containerd-)([0-9a-f]{12,64})")
_CREDENTIALS = struct.Struct("3i")
_SETTLED_SECONDS = 20.0
"""How long after its start a program of the appliance may still not listen everywhere."""
_LOCK_DESCRIPTOR = 3


def holders(ports: Iterable[int]) -> list[Holder]:
    """Everybody who listens on one of these ports, over either transport."""
    wanted = set(ports)
    found: dict[tuple[str, int, str, int | None], Holder] = {}
    for connection in psutil.net_connections(kind="inet"):
        is_udp = connection.type == socket.SOCK_DGRAM
        is_open = connection.status == psutil.CONN_LISTEN or (is_udp and not connection.raddr)
        if connection.laddr and is_open and connection.laddr.port in wanted:
            one = _holder(connection.laddr.ip, connection.laddr.port, "udp" if is_udp else "tcp", connection.pid)
            found[(one.host, one.port, one.transport, one.pid)] = one
    return list(found.values())


def own(root: Root) -> Own:
    """The appliance's processes: those of `gateway run`, if it holds the root, and of the control plane."""
    try:
        holder = _lock_holder(root)
        first = {pid for pid in (holder, _control_plane(root)) if pid is not None}
    except PermissionError:
        return Own(has_ipv6=_has_ipv6(), is_visible=False)
    pids = set(first)
    youngest = 0.0
    for pid in first:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            programs = process.children() if pid == holder else []
            youngest = max(youngest, *(one.create_time() for one in (process, *programs)))
            pids |= {child.pid for child in process.children(recursive=True)}
    is_settled = time.time() - youngest > _SETTLED_SECONDS
    return Own(frozenset(pids), is_settled=is_settled or not pids, has_ipv6=_has_ipv6())


def _holder(host: str, port: int, transport: Transport, pid: int | None) -> Holder:
    if pid is None:
        return Holder(host, port, transport, None)
    name, unit, container = "", None, None
    with contextlib.suppress(psutil.Error, OSError):
        name = psutil.Process(pid).name()
        unit, container = unit_of(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace"))
    return Holder(host, port, transport, pid, name, unit, container)


def unit_of(cgroup: str) -> tuple[str | None, str | None]:
    """The systemd unit and the container that a process's /proc/PID/cgroup names; a login is no unit to stop."""
    container = _CONTAINER.search(cgroup)
    if container is not None:
        return None, container[1][:12]
    units = [unit for unit in _UNIT.findall(cgroup) if unit.endswith(".service") and not unit.startswith("user@")]
    return (units[-1] if units else None), None


def _lock_holder(root: Root) -> int | None:
    """Who holds the root's lock: the pid in it, if that process really has the file open. Raises PermissionError."""
    lock = root.lock
    try:
        pid = int(lock.read_text(encoding="ascii", errors="replace").strip())
        held = os.readlink(f"/proc/{pid}/fd/{_LOCK_DESCRIPTOR}")
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None
    return pid if held == str(lock.resolve()) else None


def _control_plane(root: Root) -> int | None:
    """Who answers on the admin socket, as the kernel tells. Raises PermissionError."""
    with contextlib.suppress(ConnectionError, FileNotFoundError, TimeoutError), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1.0)
        sock.connect(str(root.admin_socket))
        pid, _, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return int(pid)
    return None


def _has_ipv6() -> bool:
    try:
        return bool(Path("/proc/net/if_inet6").read_text(encoding="ascii"))
    except OSError:
        return False
