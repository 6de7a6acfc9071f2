"""The TCP transport (RFC 7766): many connections, each with any number of questions in flight, one thread.

A client that is slow, silent or does not read its answers costs a descriptor and a bounded buffer until its time is up;
when there are too many, the one goes first that has been silent longest, of the network that has most of them.
It knows frames and tables; what an answer says is decided elsewhere.
"""

import contextlib
import errno
import selectors
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from appliance import logs
from appliance.adapters.dns import questions
from appliance.adapters.dns.table import Reply, Table
from appliance.adapters.dns.tallies import Tallies
from appliance.adapters.dns.udp import MOST_ODD_PER_SECOND, Sighting
from appliance.model.rate_limits import IPV4_PREFIX_OCTETS, IPV6_PREFIX_OCTETS, Budget

log = logs.logger(__name__)

_OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
MOST_CONNECTIONS = 1000
IDLE_SECONDS = 10.0
"""Without a complete question for this long, a connection is closed (RFC 7766 §6.2.3)."""
_CHUNK = 8192
_LARGEST_FRAME = 4096
"""Octets of a question; who announces more is told from the header what becomes of it."""
_MOST_ACCEPTED = 64
"""Connections taken from a listener in one turn: who is connected already has its questions answered in between."""
_REST_SECONDS = 0.05
"""How long to wait where there are no descriptors or no memory left, and no connection that could give any back."""
_MOST_UNSENT = 16384
"""Octets of answers that may wait for a client; beyond, its questions wait too."""


class _Connection:
    """One client: its socket, octets that are no whole frame yet, and answers not sent yet.

    `is_ended`: it sends no more. `is_refused`: it sent what cannot be a question, and what it sends now is for nothing.
    In both cases it still gets the answers to what came before.
    """

    __slots__ = ("deadline", "events", "is_ended", "is_refused", "prefix", "received", "sock", "source", "unsent")

    def __init__(self, sock: socket.socket, source: bytes, deadline: float) -> None:
        self.sock = sock
        self.source = source
        self.prefix = source[: IPV4_PREFIX_OCTETS if len(source) == 4 else IPV6_PREFIX_OCTETS]
        self.events = selectors.EVENT_READ
        self.deadline = deadline
        self.is_ended = self.is_refused = False
        self.received = b""
        self.unsent = b""


class TcpServer:
    """Answers on `listeners` from the table that `table()` gives. `run` is a thread's body."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        wake: socket.socket,
        table: Callable[[], Table],
        tallies: Tallies,
        seen: deque[Sighting],
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._wake = wake
        self._table = table
        self._tallies = tallies
        self._seen = seen
        self._odd = Budget(MOST_ODD_PER_SECOND)
        self._connections: OrderedDict[int, _Connection] = OrderedDict()  # by descriptor, longest silent first
        self._by_prefix: dict[bytes, OrderedDict[int, _Connection]] = {}

    def run(self) -> None:
        """Until `wake` becomes readable."""
        for sock in (*self._listeners.values(), self._wake):
            self._selector.register(sock, selectors.EVENT_READ)
        try:
            while self._turn():
                pass
        finally:
            for connection in list(self._connections.values()):
                self._close(connection)
            self._selector.close()

    def _turn(self) -> bool:
        """Wait for events and see to them; False when it is time to stop."""
        for key, events in self._selector.select(self._patience()):
            if key.fileobj is self._wake:
                return False
            if key.fd in self._listeners:
                self._accept(self._listeners[key.fd])
            elif key.fd in self._connections:  # else it has just made room for another one
                self._converse(self._connections[key.fd], events)
        now = time.monotonic()
        while self._connections and (oldest := next(iter(self._connections.values()))).deadline <= now:
            self._close(oldest)
        return True

    def _patience(self) -> float | None:
        if not self._connections:
            return None
        return max(0.0, next(iter(self._connections.values())).deadline - time.monotonic())

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # nobody waits, or a client is gone again: accept(2), nobody else's fault
            for _ in range(_MOST_ACCEPTED):
                self._welcome(*self._accepted(listener))

    def _accepted(self, listener: socket.socket) -> tuple[socket.socket, str]:
        """A new client and its address. Raises OSError."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            has_room = error.errno in (errno.EMFILE, errno.ENFILE) and self._make_room()
            if error.errno in _OUT_OF_RESOURCES and not has_room:
                time.sleep(_REST_SECONDS)  # the listener stays ready, so this would be tried without end
            raise
        return sock, str(address[0])

    def _welcome(self, sock: socket.socket, address: str) -> None:
        if len(self._connections) >= MOST_CONNECTIONS:
            self._make_room()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        source = socket.inet_pton(sock.family, address.partition("%")[0])
        connection = _Connection(sock, source, time.monotonic() + IDLE_SECONDS)
        self._selector.register(sock, selectors.EVENT_READ)
        self._connections[sock.fileno()] = connection
        self._by_prefix.setdefault(connection.prefix, OrderedDict())[sock.fileno()] = connection

    def _make_room(self) -> bool:
        """Close the longest silent connection of a prefix that has most: a flood makes room for itself.

        False: there is none.
        """
        if not self._by_prefix:
            return False
        most = max(map(len, self._by_prefix.values()))
        self._close(next(one for one in self._connections.values() if len(self._by_prefix[one.prefix]) == most))
        return True

    def _converse(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                chunk = connection.sock.recv(_CHUNK)
                connection.is_ended = not chunk
                if not connection.is_refused:
                    connection.received += chunk
            while self._answer(connection) and self._flush(connection):
                pass
            self._go_on(connection)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._close(connection)

    def _go_on(self, connection: _Connection) -> None:
        """Wait for more, or part: not before what was asked is answered (RFC 1035 §4.2.2)."""
        is_over = not connection.unsent
        if connection.is_ended and is_over:
            self._close(connection)
            return
        if connection.is_refused and is_over:  # to close with octets unread would take the answers back, by a reset
            connection.sock.shutdown(socket.SHUT_WR)
        self._watch(connection)

    def _answer(self, connection: _Connection) -> bool:
        """Answer whole frames (RFC 1035 §4.2.2) until too much waits to be sent; False when nothing is to be sent.

        A frame that is too long is answered by its header, and is the last thing that is heard of this client.
        """
        started = time.monotonic()
        table = self._table()
        received = connection.received
        answers = [connection.unsent]
        at, count, waiting = 0, 0, len(connection.unsent)
        while waiting < _MOST_UNSENT and len(received) >= at + 2:
            end = at + 2 + (received[at] << 8 | received[at + 1])
            is_too_long = end - at > _LARGEST_FRAME
            if is_too_long:
                end = at + 2 + questions.HEADER
            if end > len(received):
                break
            reply = table.ready.get(received[at + 4 : end]) or self._make(table, received[at + 2 : end], connection)
            if reply is not None:
                answers.append(self._frame(received[at + 2 : at + 4], reply, connection))
                waiting += len(answers[-1])
                count += 1
            at = end
            if is_too_long:
                connection.is_refused, at = True, len(received)
                break
        connection.received = received[at:]
        if count:
            connection.unsent = b"".join(answers)
            self._touch(connection)
            self._tallies.took(started, time.monotonic(), count)
        return waiting > 0

    def _frame(self, identity: bytes, reply: Reply, connection: _Connection) -> bytes:
        reply.cell[0] += 1
        if reply.fetched is not None:
            self._seen.append((time.time(), connection.source, reply.fetched))
        return (2 + len(reply.tail)).to_bytes(2, "big") + identity + reply.tail

    def _make(self, table: Table, message: bytes, connection: _Connection) -> Reply | None:
        try:
            return table.reply(message, connection.source) or self._make_odd(table, message, connection.source)
        except Exception:
            log.exception("question not answered, please report it", message=message.hex())
            return None

    def _make_odd(self, table: Table, message: bytes, source: bytes) -> Reply | None:
        """To a message that is no plain query: as many a second as over UDP, the rest get silence."""
        if not questions.is_question(message):
            return None
        if not self._odd.take(time.monotonic()):
            self._tallies.dropped += 1
            return None
        return table.odd_reply(message, source)

    def _flush(self, connection: _Connection) -> bool:
        """Send what can be sent; whether all went and questions are left that had to wait for it."""
        with contextlib.suppress(BlockingIOError):
            sent = connection.sock.send(connection.unsent)
            connection.unsent = connection.unsent[sent:]
            self._touch(connection)
        return not connection.unsent and len(connection.received) > 2

    def _watch(self, connection: _Connection) -> None:
        """While much waits to be sent, or to be answered, read no more questions from this client."""
        has_room = len(connection.unsent) < _MOST_UNSENT and len(connection.received) < _LARGEST_FRAME
        events = selectors.EVENT_READ if has_room and not connection.is_ended else 0
        if connection.unsent:
            events |= selectors.EVENT_WRITE
        if connection.events != events:
            connection.events = events
            self._selector.modify(connection.sock, events)

    def _touch(self, connection: _Connection) -> None:
        connection.deadline = time.monotonic() + IDLE_SECONDS
        self._connections.move_to_end(connection.sock.fileno())
        self._by_prefix[connection.prefix].move_to_end(connection.sock.fileno())

    def _close(self, connection: _Connection) -> None:
        fd = connection.sock.fileno()
        del self._connections[fd]
        neighbours = self._by_prefix[connection.prefix]
        del neighbours[fd]
        if not neighbours:
            del self._by_prefix[connection.prefix]
        self._selector.unregister(connection.sock)
        connection.sock.close()
