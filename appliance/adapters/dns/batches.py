"""Batches: up to 64 datagrams per system call, received and answered in one place of memory.

Why ctypes: recvmmsg(2) and sendmmsg(2) are not in `socket`, and a system call a datagram costs more than its answer.
Why PyDLL, which keeps the interpreter lock: these calls never block (MSG_DONTWAIT), and giving the lock away twice a
batch would let any busy thread hold up the authority for a whole switch interval each time.

A question lies in a slot of one shared mapping; its answer is written over it, and the very message header that brought
the client's address (and, on a wildcard socket, the address that was asked) takes the answer back.
It knows datagrams, and not what is in them.
"""

import ctypes
import errno
import mmap
import select
import socket
from array import array

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


_libc = ctypes.PyDLL(None, use_errno=True)
for _call in (_libc.recvmmsg, _libc.sendmmsg):
    _call.restype = ctypes.c_int
_libc.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class Batch:
    """The memory for one UDP socket's datagrams, and the two system calls on it. For one thread.

    `slots[i * SLOT:]` holds datagram i and takes its answer.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._fd = sock.fileno()
        self._writable = select.poll()
        self._writable.register(sock, select.POLLOUT)
        is_ipv6 = sock.family == socket.AF_INET6
        self._first, self._last = (8, 24) if is_ipv6 else (4, 8)  # of the address in a sockaddr: ipv6(7), ip(7)
        self.slots = mmap.mmap(-1, SIZE * SLOT)
        self._sources = mmap.mmap(-1, SIZE * SOURCE)
        self._controls = mmap.mmap(-1, SIZE * _CONTROL)
        headers, vectors = bytearray(SIZE * ctypes.sizeof(Message)), bytearray(SIZE * ctypes.sizeof(Vector))
        self._messages = (Message * SIZE).from_buffer(headers)
        self._vectors = (Vector * SIZE).from_buffer(vectors)
        self._lay_out(28 if is_ipv6 else 16, _ask_for_destination(sock))
        self._starts = [ctypes.addressof(message) for message in self._messages]
        # Whole columns of the structures, read and written by one slice each.
        self._received = memoryview(headers).cast("I")[Message.octets.offset // 4 :: ctypes.sizeof(Message) // 4]
        self._lengths = memoryview(vectors).cast("L")[Vector.octets.offset // 8 :: ctypes.sizeof(Vector) // 8]
        self._full = memoryview(array("L", [SLOT] * SIZE))
        interface = socket.CMSG_LEN(0) + (16 if is_ipv6 else 0)  # of in6_pktinfo and in_pktinfo
        self._interfaces = memoryview(self._controls).cast("I")[interface // 4 :: _CONTROL // 4]

    def address(self, start: int) -> bytes:
        """The packed address of the client whose datagram is at `start` of `slots`."""
        at = start // SLOT * SOURCE
        return self._sources[at + self._first : at + self._last]

    def addresses(self, count: int) -> list[bytes]:
        """The packed addresses of the clients of the first `count` datagrams."""
        sources, first, last = self._sources, self._first, self._last
        return [sources[at + first : at + last] for at in range(0, count * SOURCE, SOURCE)]

    def receive(self) -> list[int]:
        """The octets of each datagram that is waiting, up to `SIZE`; empty when none is. Raises OSError."""
        self._lengths[:] = self._full
        count = _libc.recvmmsg(self._fd, self._starts[0], SIZE, socket.MSG_DONTWAIT, None)
        if count >= 0:
            return self._received[:count].tolist()
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EINTR):
            return []
        raise OSError(number, f"recvmmsg: {errno.errorcode.get(number, number)}")

    def send(self, lengths: list[int]) -> None:
        """Send slot i back to where datagram i came from, `lengths[i]` octets of it; 0: nothing.

        An answer that cannot be delivered is lost, as any datagram may be: it must not hold up the others.
        """
        count = len(lengths)
        self._lengths[:count] = memoryview(array("L", lengths))
        # The address that was asked becomes the source; the way back is the routing table's business.
        self._interfaces[:] = _ANY_INTERFACE
        start = 0
        while 0 in lengths:
            end = lengths.index(0)
            self._send_run(start, end)
            lengths[end] = -1
            start = end + 1
        self._send_run(start, count)

    def _send_run(self, start: int, end: int) -> None:
        while start < end:
            sent = _libc.sendmmsg(self._fd, self._starts[start], end - start, socket.MSG_DONTWAIT)
            if sent > 0:
                start += sent
            elif ctypes.get_errno() != errno.EAGAIN or not self._writable.poll(_PATIENCE_MS):
                start += 1

    def _lay_out(self, name_octets: int, control_octets: int) -> None:
        """Point every header at its slot, its source and its control area; the kernel keeps the sizes as they are."""
        slot, source, control = (_address(part) for part in (self.slots, self._sources, self._controls))
        for index, (message, vector) in enumerate(zip(self._messages, self._vectors, strict=True)):
            vector.base = slot + index * SLOT
            header = message.header
            header.name, header.name_octets = source + index * SOURCE, name_octets
            header.vectors, header.vector_count = ctypes.addressof(vector), 1
            if control_octets:
                header.control, header.control_octets = control + index * _CONTROL, control_octets


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
