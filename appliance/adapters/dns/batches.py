"""Batches: up to 64 datagrams per system call, received and answered in one place of memory.

Why ctypes: recvmmsg(2) and sendmmsg(2) are not in `socket`, and a system call a datagram costs more than its answer.
Only the call that waits gives the interpreter lock away. The others never block (MSG_DONTWAIT), and are called through
PyDLL, which keeps it: with the lock given away at every call, any busy thread could hold up the authority for a whole
switch interval each time.

A question lies in a slot of one shared mapping, and its answer is written over it. There are two message headers to a
slot, over the same memory: one to receive, one to send. So what one brought, the client's address (and, on a wildcard
socket, the address that was asked), is where the other takes the answer, and nothing is set up anew between two calls.
It knows datagrams, and not what is in them.
"""

import ctypes
import errno
import mmap
import select
import socket
from array import array
from collections.abc import Iterable

SIZE = 64
SLOT = 2048
"""Octets per datagram: more than any question that is answered, and than any answer."""
SOURCE = 32
"""Octets per source address: a sockaddr_in6 has 28."""
_CONTROL = 64
_PATIENCE_MS = 20
IP_PKTINFO = 8  # linux/in.h; not in `socket`
_ANY_INTERFACE = memoryview(array("I", [0] * SIZE))


class Header(ctypes.Structure):
    """`struct msghdr`, recvmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_octets", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_octets", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message(ctypes.Structure):
    """`struct mmsghdr`, recvmmsg(2)."""

    _fields_ = (("header", Header), ("octets", ctypes.c_uint))


class Vector(ctypes.Structure):
    """`struct iovec`, readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("octets", ctypes.c_size_t))


class _Headers:
    """A `mmsghdr` for each slot, of a sockaddr of `name_octets` and a control area of `control_octets`.

    Its columns, such as all lengths, are read and written by one slice each, or one by one.
    """

    def __init__(self, slots: int, sources: int, controls: int, name_octets: int, control_octets: int) -> None:
        headers, vectors = bytearray(SIZE * ctypes.sizeof(Message)), bytearray(SIZE * ctypes.sizeof(Vector))
        messages, payloads = (Message * SIZE).from_buffer(headers), (Vector * SIZE).from_buffer(vectors)
        for index, (message, payload) in enumerate(zip(messages, payloads, strict=True)):
            payload.base, payload.octets = slots + index * SLOT, SLOT
            header = message.header
            header.name, header.name_octets = sources + index * SOURCE, name_octets
            header.vectors, header.vector_count = ctypes.addressof(payload), 1
            if control_octets:
                header.control, header.control_octets = controls + index * _CONTROL, control_octets
        self.starts = [ctypes.c_void_p(ctypes.addressof(message)) for message in messages]
        self.received = memoryview(headers).cast("I")[Message.octets.offset // 4 :: ctypes.sizeof(Message) // 4]
        self.lengths = memoryview(vectors).cast("L")[Vector.octets.offset // 8 :: ctypes.sizeof(Vector) // 8]


# Without `argtypes`, every argument is an instance of its type already: converting them took as long as the call.
_waiting = ctypes.CDLL(None, use_errno=True).recvmmsg
_libc = ctypes.PyDLL(None, use_errno=True)
_receiving, _sending = _libc.recvmmsg, _libc.sendmmsg
_COUNTS = [ctypes.c_uint(count) for count in range(SIZE + 1)]
_AT_ONCE = ctypes.c_int(socket.MSG_DONTWAIT)
_ONE_AT_LEAST = ctypes.c_int(0x10000)  # MSG_WAITFORONE: wait for the first, and take what else is there


class Batch:
    """The memory for one UDP socket's datagrams, and the two system calls on it. For one thread.

    `slots[i * SLOT:]` holds datagram i and takes its answer; `answered[i]` takes how many octets that has.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        self._fd = ctypes.c_int(sock.fileno())
        self._writable = select.poll()
        self._writable.register(sock, select.POLLOUT)
        is_ipv6 = sock.family == socket.AF_INET6
        self._first, self._last = (8, 24) if is_ipv6 else (4, 8)  # of the address in a sockaddr: ipv6(7), ip(7)
        self.slots = mmap.mmap(-1, SIZE * SLOT)
        self._sources = mmap.mmap(-1, SIZE * SOURCE)
        self._controls = mmap.mmap(-1, SIZE * _CONTROL)
        control_octets = _ask_for_destination(sock)
        areas = (_address(self.slots), _address(self._sources), _address(self._controls))
        arriving, leaving = (_Headers(*areas, 28 if is_ipv6 else 16, control_octets) for _ in range(2))
        self._headers = (arriving, leaving)  # kept: the kernel goes by their addresses
        self._received, self.answered, self._starts = arriving.received, leaving.lengths, leaving.starts
        self._wait = (self._fd, arriving.starts[0], _COUNTS[SIZE], _ONE_AT_LEAST, None)
        self._take = (self._fd, arriving.starts[0], _COUNTS[SIZE], _AT_ONCE, None)
        interface = socket.CMSG_LEN(0) + (16 if is_ipv6 else 0)  # of in6_pktinfo and in_pktinfo
        interfaces = memoryview(self._controls).cast("I")[interface // 4 :: _CONTROL // 4]
        self._interfaces = interfaces if control_octets else None

    def address(self, start: int) -> bytes:
        """The packed address of the client whose datagram is at `start` of `slots`."""
        at = start // SLOT * SOURCE
        return self._sources[at + self._first : at + self._last]

    def addresses(self, count: int) -> list[bytes]:
        """The packed addresses of the clients of the first `count` datagrams."""
        sources, first, last = self._sources, self._first, self._last
        return [sources[at + first : at + last] for at in range(0, count * SOURCE, SOURCE)]

    def receive(self, *, is_waiting: bool) -> list[int]:
        """The octets of each datagram that is there, up to `SIZE`; with `is_waiting` there is one at least.

        It may be one of no octets that nobody sent, after the socket was shut down. Empty when none is there, or a
        signal came. Raises OSError.
        """
        count = _waiting(*self._wait) if is_waiting else _receiving(*self._take)
        if count >= 0:
            return self._received[:count].tolist()
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EINTR):
            return []
        raise OSError(number, f"recvmmsg: {errno.errorcode.get(number, number)}")

    def send(self, count: int, silent: Iterable[int]) -> None:
        """Send slots 0 to `count` back to where their datagrams came from, but for those of `silent` (ascending).

        An answer that cannot be delivered is lost, as any datagram may be: it must not hold up the others.
        """
        if self._interfaces:
            # The address that was asked becomes the source; the way back is the routing table's business.
            self._interfaces[:count] = _ANY_INTERFACE[:count]
        start = 0
        for index in silent:
            self._send_run(start, index)
            start = index + 1
        self._send_run(start, count)

    def _send_run(self, start: int, end: int) -> None:
        while start < end:
            sent = _sending(self._fd, self._starts[start], _COUNTS[end - start], _AT_ONCE)
            if sent > 0:
                start += sent
            elif ctypes.get_errno() != errno.EAGAIN or not self._writable.poll(_PATIENCE_MS):
                start += 1


def _address(part: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(part))


def _ask_for_destination(sock: socket.socket) -> int:
    """On a wildcard socket, have the address that was asked delivered with each datagram: the octets that takes.

    An answer must come from it (RFC 2181 §4.1), and a host with several addresses would otherwise choose by route.
    """
    if sock.getsockname()[0] not in ("0.0.0.0", "::"):  # noqa: S104 -- compared with, not bound to
        return 0
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        return socket.CMSG_SPACE(20)  # in6_pktinfo
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    return socket.CMSG_SPACE(12)  # in_pktinfo
