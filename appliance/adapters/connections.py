"""The kernel's own count of the bytes of each TCP connection, read through netlink (sock_diag(7)).

Keeps `control.ports.Connections`. Passthrough is counted here without being in its way: the kernel keeps `tcp_info` for
every socket anyway. Open sockets are listed; of each socket that ends the kernel multicasts a last reading (Linux 4.2),
so that the shortest connection is counted to the byte. Neither needs a privilege: sockets of the same network namespace
are shown to everybody in it. It knows sockets and bytes, and nothing of workloads.
"""

import ctypes
import errno
import functools
import ipaddress
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.model.errors import Unavailable
from appliance.model.flows import Flow, FlowReading
from appliance.model.traffic import Endpoint

_NETLINK_SOCK_DIAG = 4  # include/uapi/linux/netlink.h, not in Python's socket module
_SOCK_DIAG_BY_FAMILY = 20  # include/uapi/linux/sock_diag.h
_ENDED_TCP, _ENDED_TCP6 = 1, 3  # SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_INET_DIAG_INFO = 2
_STATES = sum(1 << state for state in (1, 2, 4, 5, 8, 9, 11))  # all that carry bytes: not TIME_WAIT, CLOSE, LISTEN
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, pid
_REQUEST = struct.Struct("=BBBxI48x")  # inet_diag_req_v2: family, protocol, extensions, states, any socket
_PORT_OFFSET, _ADDRESS_OFFSET, _COOKIE_OFFSET, _ATTRIBUTES_OFFSET = 6, 24, 44, 72  # in inet_diag_msg
_RECEIVED_OFFSET, _ACKED_OFFSET, _SENT_OFFSET = 128, 120, 200  # in tcp_info: Linux 4.1, 4.1, 4.19
_BLOCK_BYTES = 256 * 1024
_QUEUE_BYTES = 8 * 1024 * 1024
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_MOST_FILTERED_PORTS = 256
_STOP_SECONDS = 0.5
_PATIENCE_SECONDS = 5.0


class KernelConnections:
    """Follows the connections to some endpoints. `start()` raises Unavailable where the kernel will not tell."""

    def __init__(self) -> None:
        self._endpoints: frozenset[Endpoint] = frozenset()
        self._events: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._lock = threading.Lock()
        self._ended: list[Flow] = []
        self._is_whole = True

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin to collect endings. `on_failure` is told when that ends unexpectedly. Raises Unavailable."""
        try:
            events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
        except OSError as error:
            raise _unavailable(error) from error
        try:
            _enlarge(events)
            events.bind((0, 1 << (_ENDED_TCP - 1) | 1 << (_ENDED_TCP6 - 1)))
            events.settimeout(_STOP_SECONDS)
            list(_listed(socket.AF_INET))
        except OSError as error:
            events.close()
            raise _unavailable(error) from error
        self._events = events
        self.watch(self._endpoints)
        self._thread = threading.Thread(target=self._collect, args=(on_failure,), name="connections", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End. May be repeated."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._events is not None:
            self._events.close()

    def numbering(self) -> str:
        """The kernel and network namespace whose cookies are told; never the same for another run of a kernel."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/net')}"

    def watch(self, endpoints: frozenset[Endpoint]) -> None:
        """Follow the connections to exactly these."""
        self._endpoints = endpoints
        if self._events is not None:
            _let_through(self._events, sorted({port for _, port in endpoints}))

    def read(self) -> FlowReading:
        """All open connections, then all that ended since the last call. Raises Unavailable."""
        try:
            families = (socket.AF_INET, socket.AF_INET6) if self._endpoints else ()
            listed = [flow for family in families for flow in _listed(family) if flow.endpoint in self._endpoints]
        except OSError as error:
            raise _unavailable(error) from error
        with self._lock:
            ended, self._ended = self._ended, []
            is_whole, self._is_whole = self._is_whole, True
        return FlowReading(tuple(listed), tuple(ended), time.time(), is_whole)

    def _collect(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while not self._stopping:
                self._collect_some()
        except BaseException as error:  # noqa: BLE001  whatever it was, the daemon decides
            on_failure(error)

    def _collect_some(self) -> None:
        if self._events is None:
            return
        try:
            block = self._events.recv(_BLOCK_BYTES)
        except TimeoutError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            with self._lock:
                self._is_whole = False
            return
        flows = [flow for flow in _flows(block) if flow.endpoint in self._endpoints]
        with self._lock:
            self._ended += flows


def _enlarge(events: socket.socket) -> None:
    """Room for some thousand endings; without the privilege for that, for as many as the system lets us have."""
    try:
        events.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _QUEUE_BYTES)
    except PermissionError:
        events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE_BYTES)


def _let_through(events: socket.socket, ports: list[int]) -> None:
    """Let the kernel pass on only what goes to these ports: a busy gateway ends thousands of others a second.

    A classic socket filter (Documentation/networking/filter.rst): load the port, compare, accept or go on.
    """
    everything, nothing = (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0)
    steps = [(0x28, 0, 0, _HEADER.size + _PORT_OFFSET)]
    for port in ports:
        steps += [(0x15, 0, 1, port), everything]
    steps.append(nothing)
    if len(ports) > _MOST_FILTERED_PORTS:
        steps = [everything]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    events.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(steps), ctypes.addressof(program)))


def _listed(family: int) -> Iterator[Flow]:
    """Every open TCP socket of an address family in this network namespace. Raises OSError."""
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), _STATES)
    header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_PATIENCE_SECONDS)
        kernel.sendto(header + request, (0, 0))
        while True:
            block = kernel.recv(_BLOCK_BYTES)
            yield from _flows(block)
            if _ends(block):
                return


def _messages(block: bytes) -> Iterator[tuple[int, memoryview]]:
    position = 0
    while position + _HEADER.size <= len(block):
        length, kind, *_ = _HEADER.unpack_from(block, position)
        if length < _HEADER.size:
            return
        yield kind, memoryview(block)[position + _HEADER.size : position + length]
        position += (length + 3) & ~3


def _ends(block: bytes) -> bool:
    """Whether a listing ends here. Raises OSError when the kernel refuses it."""
    for kind, message in _messages(block):
        if kind == _NLMSG_ERROR:
            code = -struct.unpack_from("=i", message)[0]
            raise OSError(code, os.strerror(code))
        if kind == _NLMSG_DONE:
            return True
    return False


def _flows(block: bytes) -> Iterator[Flow]:
    for kind, message in _messages(block):
        if kind != _SOCK_DIAG_BY_FAMILY or len(message) < _ATTRIBUTES_OFFSET:
            continue
        counted = _counted(message)
        if counted is None:
            continue
        raw = message[_ADDRESS_OFFSET : _ADDRESS_OFFSET + (4 if message[0] == socket.AF_INET else 16)]
        (port,) = struct.unpack_from("!H", message, _PORT_OFFSET)
        (cookie,) = struct.unpack_from("=Q", message, _COOKIE_OFFSET)
        yield Flow(cookie, (_address(bytes(raw)), port), *counted)


def _counted(message: memoryview) -> tuple[int, int] | None:
    """Payload bytes sent and received, from the attribute with `tcp_info`; None where there is none."""
    position = _ATTRIBUTES_OFFSET
    while position + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, position)
        if kind == _INET_DIAG_INFO and length >= 4 + _RECEIVED_OFFSET + 8:
            counts = message[position + 4 : position + length]
            (received,) = struct.unpack_from("=Q", counts, _RECEIVED_OFFSET)
            return _sent(counts), received
        position += max(4, (length + 3) & ~3)
    return None


def _sent(counts: memoryview) -> int:
    """What was sent, each byte once. Older kernels tell only what was acknowledged, opening and end included."""
    if len(counts) >= _SENT_OFFSET + 16:
        sent, again = struct.unpack_from("=QQ", counts, _SENT_OFFSET)
        return int(sent - again)
    (acknowledged,) = struct.unpack_from("=Q", counts, _ACKED_OFFSET)
    return int(acknowledged)


@functools.lru_cache(maxsize=65536)
def _address(raw: bytes) -> str:
    address = ipaddress.ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).compressed


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(
        f"the kernel does not tell the bytes of connections (sock_diag: {error.strerror or error}): passthrough is "
        "counted on Linux 4.2 or later with INET_DIAG, in containers where netlink sockets are allowed"
    )
