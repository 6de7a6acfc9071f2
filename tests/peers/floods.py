"""`python -m tests.peers.floods KIND PORT SECONDS PREFIXES PACE`: as many datagrams as one core can send, at 127.0.0.1.

KIND: `valid` (one existing name), `random` (names that do not exist), `options` (either, each with another large
EDNS option), `garbage` (octets), `labyrinth` (pointers that lead to pointers), `syn` (half-open connections), `idle`
(open connections that say nothing), `busy` (a hundred connections that ask without end). Datagrams come from PREFIXES
networks /24 of 127.0.0.0/8, all of them alike, and no more than PACE a second when that is not 0; SYNs come from
10.200.0.0/16. Prints a line when it begins, and then how many were sent; SIGTERM ends it early. For private network
namespaces only: SYNs need root there.
"""

import ctypes
import os
import random
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final, cast

from appliance.adapters.dns.batches import IP_PKTINFO, Header, Message, Vector
from tests.peers.authority import APEX

_REPOSITORY: Final = Path(__file__).parents[2]
_BEGUN: Final = "begun\n"
_BATCH: Final = 64
_ended: Final = threading.Event()
_DATAGRAMS: Final = 1 << 16
"""Prepared, and sent again and again: more than there are networks at most, so that each of them sends."""
_PAYLOADS: Final = 4096
_CONTROL: Final = 32
"""Octets of a control message with an `in_pktinfo`."""


def start(kind: str, port: int, seconds: int, prefixes: int, pace: int = 0) -> "subprocess.Popen[str]":
    """Flood from a process of its own; returns when that has begun."""
    argv = [sys.executable, "-m", "tests.peers.floods", kind, *map(str, (port, seconds, prefixes, pace))]
    flood = subprocess.Popen(argv, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert flood.stdout is not None
    if flood.stdout.readline() != _BEGUN:
        flood.kill()
        raise AssertionError("the flood did not begin")
    return flood


def finish(flood: "subprocess.Popen[str]") -> int:
    """Wait for the end of a flood; how many were sent."""
    return int(flood.communicate(timeout=30)[0])


def end(flood: "subprocess.Popen[str]") -> int:
    """End a flood; how many were sent."""
    flood.terminate()
    return finish(flood)


def message(kind: str, number: int) -> bytes:
    """One datagram of a kind."""
    if kind == "garbage":
        # The bits that would make it a response are cleared in half of them: silence would be too easy.
        octets = bytearray(os.urandom(random.randrange(1, 600)))
        if number % 2 and len(octets) > 12:
            octets[2] &= 0x01
            octets[4:12] = b"\0\1\0\0\0\0\0\2"
        return bytes(octets)
    if kind == "labyrinth":
        # Twice the labels of one octet, one octet apart, and each way ends in a pointer to the other's beginning.
        turns = b"\2\xc2\x81\xc2\x80"
        return struct.pack("!HHHHHH", number & 0xFFFF, 0x100, 0, 0, 0, 1) + b"\1" * (2039 - 12) + turns
    is_valid = kind == "valid" or (kind == "options" and number % 2)
    name = APEX if is_valid else f"{random.getrandbits(64):x}.{APEX}"
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    edns = b"\0\0\x29\x04\xd0" + bytes(4) + struct.pack("!HHH", 1204, 65001, 1200) + os.urandom(1200)
    head = struct.pack("!HHHHHH", number & 0xFFFF, 0x100, 1, 0, 0, kind == "options")
    return head + labels + b"\0\0\x10\0\1" + edns * (kind == "options")


def datagrams(kind: str, port: int, seconds: int, prefixes: int, pace: int) -> int:
    """Send datagrams for some seconds; how many."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    sock.bind(("0.0.0.0", 0))
    target = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, b"\x7f\0\0\1"))
    payloads = [ctypes.create_string_buffer(message(kind, number)) for number in range(_PAYLOADS)]
    vectors = [Vector(ctypes.addressof(payload), len(payload) - 1) for payload in payloads]
    controls, messages = ctypes.create_string_buffer(_DATAGRAMS * _CONTROL), (Message * _DATAGRAMS)()
    for number, one in enumerate(messages):
        prefix = 1 + number % prefixes
        source = bytes((127, prefix >> 8, prefix & 255, 1 + number % 250))
        struct.pack_into("=Qiii4s4x4x", controls, number * _CONTROL, 28, socket.IPPROTO_IP, IP_PKTINFO, 0, source)
        vector, control = vectors[number % _PAYLOADS], ctypes.addressof(controls) + number * _CONTROL
        one.header = Header(ctypes.addressof(target), 16, ctypes.addressof(vector), 1, control, _CONTROL, 0)
    libc = ctypes.CDLL(None)
    sent, began = 0, _begin()
    while _is_on(began + seconds):
        at = random.randrange(_DATAGRAMS - _BATCH)
        sent += max(0, int(libc.sendmmsg(sock.fileno(), ctypes.byref(messages[at]), _BATCH, 0)))
        if pace:
            time.sleep(max(0.0, began + sent / pace - time.monotonic()))
    return sent


def syns(port: int, seconds: int) -> int:
    """Send SYNs from hosts that will never answer; how many."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sent, deadline = 0, _begin() + seconds
    target = bytes((127, 0, 0, 1))
    while _is_on(deadline):
        source = bytes((10, 200)) + os.urandom(2)
        tcp = struct.pack(
            "!HHIIBBHHH", random.randrange(1024, 65535), port, random.getrandbits(32), 0, 0x50, 2, 8192, 0, 0
        )
        check = _checksum(source + target + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + tcp)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0, source, target)
        sock.sendto(ip + tcp[:16] + struct.pack("!H", check) + tcp[18:], ("127.0.0.1", 0))
        sent += 1
    return sent


def connections(port: int, seconds: int) -> int:
    """Open connections and say nothing, up to 5,000 at a time; how many."""
    opened: list[socket.socket] = []
    count, deadline = 0, _begin() + seconds
    while _is_on(deadline):
        sock = socket.socket()
        sock.settimeout(1)
        sock.bind((f"127.77.{count % 16}.1", 0))
        try:
            sock.connect(("127.0.0.1", port))
        except OSError:
            sock.close()
            continue
        opened.append(sock)
        count += 1
        if len(opened) > 5000:
            opened.pop(0).close()
    return count


def questions_without_end(port: int, seconds: int) -> int:
    """Ask over a hundred connections, as much as each takes, and read what comes; how many octets were sent."""
    frame = message("valid", 7)
    frames = (len(frame).to_bytes(2, "big") + frame) * 200
    selector = selectors.DefaultSelector()
    for number in range(100):
        sock = socket.socket()
        sock.bind((f"127.78.{number % 16}.1", 0))
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
    sent, deadline = 0, _begin() + seconds
    at: dict[int, int] = {}
    while _is_on(deadline):
        for key, events in selector.select(1):
            sock = cast("socket.socket", key.fileobj)
            if events & selectors.EVENT_READ:
                sock.recv(1 << 16)
            if events & selectors.EVENT_WRITE:
                taken = sock.send(frames[at.get(key.fd, 0) :])
                at[key.fd] = (at.get(key.fd, 0) + taken) % len(frames)
                sent += taken
    return sent


def _begin() -> float:
    """Say so. When that was."""
    signal.signal(signal.SIGTERM, lambda *_: _ended.set())
    sys.stdout.write(_BEGUN)
    sys.stdout.flush()
    return time.monotonic()


def _is_on(deadline: float) -> bool:
    return time.monotonic() < deadline and not _ended.is_set()


def _checksum(octets: bytes) -> int:
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~int(total) & 0xFFFF


if __name__ == "__main__":
    os.nice(10)  # a real flood comes from elsewhere: it takes the server's time, not its place on this machine's cores
    _kind, _port, _seconds, _prefixes, _pace = sys.argv[1], *map(int, sys.argv[2:6])
    if _kind == "syn":
        _sent = syns(_port, _seconds)
    elif _kind == "idle":
        _sent = connections(_port, _seconds)
    elif _kind == "busy":
        _sent = questions_without_end(_port, _seconds)
    else:
        _sent = datagrams(_kind, _port, _seconds, _prefixes, _pace)
    sys.stdout.write(f"{_sent}\n")
