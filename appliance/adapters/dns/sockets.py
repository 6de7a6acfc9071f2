"""Sockets: one UDP and one TCP socket for each address listened on, or a message that says which could not be had."""

import contextlib
import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from appliance import logs
from appliance.model.errors import Unavailable

log = logs.logger(__name__)

Listen = tuple[str, int]
"""An IP address and a port; port 0: any free one, the same for UDP and TCP."""

_BUFFER = 4 << 20
"""Octets of datagrams that may wait while the process is busy elsewhere: about ten thousand questions."""
_BACKLOG = 1024
_TRIES = 20
_PMTUDISC_OMIT = 5  # linux/in.h: ignore what strangers say about the path's MTU, answers are small enough
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 33, 32
_SO_MEMINFO = 55
_MEMORY = struct.Struct("9I")
_NO_IPV6 = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL))


class Pair(NamedTuple):
    """The two sockets of one address."""

    udp: socket.socket
    tcp: socket.socket


def bind(listen: Iterable[Listen]) -> list[Pair]:
    """The sockets for all of `listen`. Raises Unavailable, with none left open, when one cannot be had.

    The IPv6 wildcard is left out, with a warning, on a host without IPv6: it is in the default settings.
    """
    pairs: list[Pair] = []
    try:
        for address, port in listen:
            try:
                pairs.append(_pair(address, port))
            except OSError as error:
                if not (address == "::" and error.errno in _NO_IPV6):
                    raise Unavailable(f"cannot listen for DNS on {address} port {port}: {error.strerror}") from error
                log.warning("this host has no IPv6, DNS listens on IPv4 only", reason=error.strerror)
    except BaseException:
        close(pairs)
        raise
    return pairs


def overflowed(sock: socket.socket) -> int:
    """Datagrams that came to this socket and found no room (SO_MEMINFO, linux/sock_diag.h); 0 when it is closed."""
    try:
        return int(_MEMORY.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMORY.size))[8])
    except OSError:  # or a kernel before 4.12, that does not tell
        return 0


def close(pairs: Iterable[Pair]) -> None:
    """Close all of them."""
    for pair in pairs:
        pair.udp.close()
        pair.tcp.close()


def _pair(address: str, port: int) -> Pair:
    """UDP and TCP on one port. For port 0 the kernel chooses for TCP, and UDP may find that one taken."""
    for attempt in range(_TRIES):
        tcp = _socket(address, port, socket.SOCK_STREAM)
        try:
            tcp.listen(_BACKLOG)
            return Pair(_socket(address, tcp.getsockname()[1], socket.SOCK_DGRAM), tcp)
        except OSError:
            tcp.close()
            if port or attempt == _TRIES - 1:
                raise
    raise AssertionError


def _socket(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    is_ipv6 = ipaddress.ip_address(address).version == 6
    sock = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, kind)
    try:
        if is_ipv6:  # "::" beside "0.0.0.0", not over it
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            _prepare_datagrams(sock, is_ipv6=is_ipv6)
        sock.setblocking(False)
        sock.bind((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _prepare_datagrams(sock: socket.socket, *, is_ipv6: bool) -> None:
    level, option = (socket.IPPROTO_IPV6, 23) if is_ipv6 else (socket.IPPROTO_IP, 10)  # *_MTU_DISCOVER
    with contextlib.suppress(OSError):
        sock.setsockopt(level, option, _PMTUDISC_OMIT)
    for forced, plain in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
        except PermissionError:  # without CAP_NET_ADMIN the system's maximum holds
            sock.setsockopt(socket.SOL_SOCKET, plain, _BUFFER)
