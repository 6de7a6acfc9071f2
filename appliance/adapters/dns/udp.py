"""The UDP transport: one thread for each socket, that turns batches of questions into batches of answers.

`_answer` is the hot path of the whole server; everything in it is there because it was measured (docs/decisions/0003).
It knows batches and tables; what an answer says is decided elsewhere.
"""

import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

from appliance import logs
from appliance.adapters.dns import questions
from appliance.adapters.dns.batches import SIZE, SLOT, Batch
from appliance.adapters.dns.cookies import FULL_COOKIE
from appliance.adapters.dns.questions import LARGEST_PLAIN
from appliance.adapters.dns.table import Reply, Table
from appliance.adapters.dns.tallies import Tallies
from appliance.model.answers import Rcode
from appliance.model.rate_limits import Budget, Limiter, Verdict
from appliance.model.zones import Name

log = logs.logger(__name__)

Sighting = tuple[float, bytes, Name]
"""A question answered with TXT values: when (Unix time), the client's packed address, the owner name."""

_MOST_NOTED = 16
_ALL_ANSWERED = (Verdict.ANSWER,) * SIZE
_SLIP = Verdict.SLIP
_RCODE = 1
"""The octet of a tail whose lower half is the RCODE."""
_ARCOUNT = 11
"""Where the number of additional records ends (RFC 1035 §4.1.1): one in a plain query with a cookie."""
MOST_ODD_PER_SECOND = 2000
"""Messages that are no plain queries and are answered, for each socket: a third of one core at the very worst
(hundreds of EDNS options), and more than anybody needs."""
MOST_DENIALS_PER_SECOND = 5000
"""NXDOMAIN for each socket, where answers are limited at all. Nobody waits for so many names that do not exist; without
answers a flood of them costs less, and what exists is found through it."""
MOST_PROVEN_PER_SECOND = 2000
"""Questions over the limit that are answered all the same, for the server cookie they show; for each socket."""


class UdpServer:
    """Answers on `sock` from the table that `table()` gives, asked again for every batch. `run` is a thread's body.

    `limiter()` likewise gives what judges how many answers a client may have. `seen` takes the questions that fetched
    TXT values.
    """

    def __init__(
        self,
        sock: socket.socket,
        table: Callable[[], Table],
        tallies: Tallies,
        seen: deque[Sighting],
        limiter: Callable[[], Limiter | None],
    ) -> None:
        self._sock = sock
        self._batch = Batch(sock)
        self._table = table
        self._tallies = tallies
        self._seen = seen
        self._limiter = limiter
        self._odd = Budget(MOST_ODD_PER_SECOND)
        self._denials = Budget(MOST_DENIALS_PER_SECOND)
        self._are_denials_spent = False
        self._proven = Budget(MOST_PROVEN_PER_SECOND)
        self._is_stopped = False

    def run(self) -> None:
        """Until `stop`."""
        batch, took = self._batch, self._tallies.took
        lengths: list[int] = []
        while not self._is_stopped:
            # Behind a full batch there are more: they are taken without giving the interpreter lock away.
            lengths = batch.receive(is_waiting=len(lengths) < SIZE)
            if not lengths:
                continue
            started = time.monotonic()
            batch.send(len(lengths), self._answer(batch, lengths, self._judge(len(lengths), started)))
            took(started, time.monotonic(), len(lengths))

    def stop(self) -> None:
        """Have `run` return. Callable from any thread."""
        self._is_stopped = True
        with contextlib.suppress(OSError):  # it says "not connected", and wakes who waits all the same
            self._sock.shutdown(socket.SHUT_RD)

    def _judge(self, count: int, now: float) -> Sequence[Verdict]:
        """The verdict on each datagram of a batch; and whether the denials of this second are spent."""
        limiter = self._limiter()
        self._are_denials_spent = limiter is not None and self._denials.is_spent(now)
        if limiter is None:
            return _ALL_ANSWERED
        limiter.tick(now)
        return limiter.judge(self._batch.addresses(count))

    def _answer(self, batch: Batch, lengths: list[int], verdicts: Sequence[Verdict]) -> list[int]:
        """Write the answers over the questions. The numbers of those that get none, ascending."""
        table = self._table()  # after the batch was received: what was published before a question was sent is in it
        ready, slots, answered = table.ready, batch.slots, batch.answered
        silent: list[int] = []
        fetched: list[tuple[int, Name]] = []
        limited = slipped = 0
        start = -SLOT
        for index, (length, verdict) in enumerate(zip(lengths, verdicts, strict=False)):
            start += SLOT
            end = start + length
            if verdict and not (slots[start + _ARCOUNT] == 1 and self._is_proven(table, batch, start, end)):
                tail = table.truncated(slots[start:end]) if verdict is _SLIP else b""
                limited += 1
                if tail:
                    slipped += 1
            elif reply := (length <= LARGEST_PLAIN and ready.get(slots[start + 2 : end])) or self._make(
                table, batch, start, end
            ):
                tail, cell, name = reply
                cell[0] += 1
                if name is not None:
                    fetched.append((start, name))
            else:
                tail = b""
            if tail:
                answered[index] = octets = 2 + len(tail)
                slots[start + 2 : start + octets] = tail  # the id stays
            else:
                silent.append(index)
        if limited:
            self._tallies.slipped += slipped
            self._tallies.dropped += limited - slipped
        if fetched:
            self._note(batch, fetched)
        return silent

    def _is_proven(self, table: Table, batch: Batch, start: int, end: int) -> bool:
        """Whether the client shows a server cookie that it was given: its address is no forgery (RFC 7873 §5.2.5)."""
        return (
            end - start <= LARGEST_PLAIN
            and batch.slots.find(FULL_COOKIE, start, end) > 0
            and table.is_proven(batch.slots[start:end], batch.address(start))
            and self._proven.take(time.monotonic())
        )

    def _make(self, table: Table, batch: Batch, start: int, end: int) -> Reply | None:
        """A reply that is not ready. Whatever goes wrong with one question must not end the authority for all."""
        message = batch.slots[start:end]
        try:
            if self._are_denials_spent and table.denial(message) is not None:
                self._tallies.dropped += 1
                return None
            source = batch.address(start)
            reply = table.reply(message, source)
            if reply is None:
                return self._make_odd(table, message, source)
            return None if self._is_one_denial_too_many(reply) else reply
        except Exception:
            log.exception("question not answered, please report it", message=message.hex())
            return None

    def _is_one_denial_too_many(self, reply: Reply) -> bool:
        if reply.tail[_RCODE] & 15 != Rcode.NXDOMAIN or not self._limiter() or self._denials.take(time.monotonic()):
            return False
        self._tallies.dropped += 1
        return True

    def _make_odd(self, table: Table, message: bytes, source: bytes) -> Reply | None:
        """To a message that is no plain query. Floods of them have a share, so they starve nobody."""
        if not questions.is_question(message):
            return None
        if not self._odd.take(time.monotonic()):
            self._tallies.dropped += 1
            return None
        return table.odd_reply(message, source)

    def _note(self, batch: Batch, fetched: list[tuple[int, Name]]) -> None:
        """For the history: who fetched challenge values. Under a flood the first of a batch stand for all."""
        now = time.time()
        for start, name in fetched[:_MOST_NOTED]:
            self._seen.append((now, batch.address(start), name))
