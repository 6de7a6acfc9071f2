"""Probers: many stub resolvers at once, in networks of their own, while something else goes on.

Why many: whether 99 of 100 questions are answered cannot be told from a few dozen, and a prober that waits for one
answer before it asks the next asks the less the slower the answers come.
"""

import contextlib
import itertools
import select
import socket
import threading
import time
from typing import Final, NamedTuple, Self

from tests.unit.dns_messages import VALUE, question

NETWORKS: Final = tuple(f"127.{number}.{third}.1" for number in range(200, 250) for third in range(5))
"""Of many networks, that none of them asks more than its share. No flood comes from there."""
_PACE_SECONDS: Final = 0.005
_RETRY_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 1.0


class _Pending(NamedTuple):
    message: bytes
    sock: socket.socket
    first: float
    """When it was asked first (monotonic)."""
    again: float
    """When it is to be asked again."""


class Probers(threading.Thread):
    """Ask `count` questions, 200 a second, each again after 200 ms, and give up after a second.

    Use it in a `with` block, which ends when each of them is answered or given up. `answered` counts those that got the
    whole answer, with the value, and `tries` how often they were asked in the `seconds` it took.
    """

    def __init__(self, port: int, count: int) -> None:
        super().__init__()
        self.answered = self.tries = 0
        self.seconds = 0.0
        self._asked, self._count = 0, count
        self._poll = select.poll()
        self._socks: dict[int, socket.socket] = {}
        self._pending: dict[int, _Pending] = {}
        for network in NETWORKS:
            sock = socket.socket(type=socket.SOCK_DGRAM)
            sock.bind((network, 0))
            sock.connect(("127.0.0.1", port))
            self._socks[sock.fileno()] = sock
            self._poll.register(sock, select.POLLIN)
        self._turns = itertools.cycle(self._socks.values())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    def run(self) -> None:
        """Ask at the pace, whatever comes back."""
        with contextlib.ExitStack() as stack:
            for sock in self._socks.values():
                stack.enter_context(sock)
            began = time.monotonic()
            self._run()
            self.seconds = time.monotonic() - began

    def _run(self) -> None:
        next_one = time.monotonic()
        while self._pending or self._asked < self._count:
            now = time.monotonic()
            if now >= next_one and self._asked < self._count:
                self._ask(now)
                next_one += _PACE_SECONDS
            for number, _ in self._poll.poll(1000 * _PACE_SECONDS / 2):
                self._take(self._socks[number])
            self._ask_again(now)  # last: a prober that was kept waiting has replies in its sockets by now

    def _ask(self, now: float) -> None:
        self._asked += 1
        self._send(_Pending(question(id=self._asked), next(self._turns), now, now))

    def _ask_again(self, now: float) -> None:
        for identity, pending in list(self._pending.items()):
            if now >= pending.first + _PATIENCE_SECONDS:
                del self._pending[identity]
            elif now >= pending.again:
                self._send(pending)

    def _send(self, pending: _Pending) -> None:
        self.tries += 1
        pending.sock.send(pending.message)
        identity = int.from_bytes(pending.message[:2], "big")
        self._pending[identity] = pending._replace(again=pending.again + _RETRY_SECONDS)

    def _take(self, sock: socket.socket) -> None:
        reply = sock.recv(2048)
        pending = self._pending.get(int.from_bytes(reply[:2], "big"))
        if pending and is_answer(pending.message, reply):
            del self._pending[int.from_bytes(reply[:2], "big")]
            self.answered += 1


def is_answer(message: bytes, reply: bytes) -> bool:
    """Whether it is the whole answer to this very question, with the value that was presented."""
    return reply[:2] == message[:2] and not reply[2] & 2 and VALUE.encode() in reply
