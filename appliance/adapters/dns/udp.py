"""The UDP transport: one thread that turns batches of questions into batches of answers.

`_answer` is the hot path of the whole server; everything in it is there because it was measured (docs/decisions/0003).
It knows batches and tables; what an answer says is decided elsewhere.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

from appliance import logs
from appliance.adapters.dns.batches import SIZE, SLOT, Batch
from appliance.adapters.dns.table import Reply, Table
from appliance.adapters.dns.tallies import Tallies
from appliance.model.rate_limits import Budget, Limiter, Verdict
from appliance.model.zones import Name

log = logs.logger(__name__)

Sighting = tuple[float, bytes, Name]
"""A question answered with TXT values: when (Unix time), the client's packed address, the owner name."""

_MOST_NOTED = 16
_ALL_ANSWERED = (Verdict.ANSWER,) * SIZE
MOST_ODD_PER_SECOND = 2000
"""Messages that are no plain queries and are answered: a tenth of what one core could, and more than anybody needs."""
MOST_PROVEN_PER_SECOND = 2000
"""Questions over the limit that are answered all the same, for the server cookie they show."""
_TURNS = 16
"""Batches answered on one socket before the others get their turn."""


class UdpServer:
    """Answers on `socks` from the table that `table()` gives, asked again for every batch. `run` is a thread's body.

    `seen` takes the questions that fetched TXT values.
    """

    def __init__(
        self,
        socks: Sequence[socket.socket],
        wake: socket.socket,
        table: Callable[[], Table],
        tallies: Tallies,
        seen: deque[Sighting],
        limiter: Limiter | None,
    ) -> None:
        self._batches = {sock.fileno(): Batch(sock) for sock in socks}
        self._wake = wake
        self._table = table
        self._tallies = tallies
        self._seen = seen
        self._limiter = limiter
        self._odd = Budget(MOST_ODD_PER_SECOND)
        self._proven = Budget(MOST_PROVEN_PER_SECOND)

    def run(self) -> None:
        """Until `wake` becomes readable."""
        poller = select.poll()
        for fd in (*self._batches, self._wake.fileno()):
            poller.register(fd, select.POLLIN)
        while True:
            for fd, _ in poller.poll():
                if fd not in self._batches:
                    return
                self._drain(self._batches[fd])

    def _drain(self, batch: Batch) -> None:
        for _ in range(_TURNS):
            lengths = batch.receive()
            if lengths:
                started = time.monotonic()
                if self._limiter:
                    self._limiter.tick(started)
                batch.send(self._answer(batch, lengths))
                self._tallies.took(time.monotonic() - started, len(lengths))
            if len(lengths) < SIZE:
                return

    def _answer(self, batch: Batch, lengths: list[int]) -> list[int]:
        """Write the answers over the questions; how long each became, 0 for none."""
        table = self._table()  # after the batch was received: what was published before a question was sent is in it
        ready, slots = table.ready, batch.slots
        verdicts = self._limiter.judge(batch.addresses(len(lengths))) if self._limiter else _ALL_ANSWERED
        answered: list[int] = []
        fetched: list[tuple[int, Name]] = []
        start = -SLOT
        for length, verdict in zip(lengths, verdicts, strict=False):
            start += SLOT
            if verdict and not self._is_proven(table, batch, start, length):
                answered.append(self._limited(table, batch, start, length, verdict))
                continue
            reply = ready.get(slots[start + 2 : start + length]) or self._make(table, batch, start, length)
            if reply is None:
                answered.append(0)
                continue
            tail, cell, name = reply
            cell[0] += 1
            if name is not None:
                fetched.append((start, name))
            end = 2 + len(tail)
            slots[start + 2 : start + end] = tail  # the id stays
            answered.append(end)
        if fetched:
            self._note(batch, fetched)
        return answered

    def _is_proven(self, table: Table, batch: Batch, start: int, length: int) -> bool:
        """Whether the client shows a server cookie that it was given: its address is no forgery (RFC 7873 §5.2.5)."""
        message = batch.slots[start : start + length]
        return table.is_proven(message, batch.address(start)) and self._proven.take(time.monotonic())

    def _limited(self, table: Table, batch: Batch, start: int, length: int, verdict: Verdict) -> int:
        """Nothing, or just so much that a real client comes back over TCP. The octets to send."""
        tail = table.truncated(batch.slots[start : start + length]) if verdict is Verdict.SLIP else b""
        if not tail:
            self._tallies.dropped += 1
            return 0
        self._tallies.slipped += 1
        batch.slots[start + 2 : start + 2 + len(tail)] = tail
        return 2 + len(tail)

    def _make(self, table: Table, batch: Batch, start: int, length: int) -> Reply | None:
        """A reply that is not ready. Whatever goes wrong with one question must not end the authority for all."""
        message = batch.slots[start : start + length]
        source = batch.address(start)
        try:
            return table.reply(message, source) or self._make_odd(table, message, source)
        except Exception:
            log.exception("question not answered, please report it", message=message.hex())
            return None

    def _make_odd(self, table: Table, message: bytes, source: bytes) -> Reply | None:
        """To a message that only the slow parser understands. Floods of them have a share, so they starve nobody."""
        if not self._odd.take(time.monotonic()):
            self._tallies.dropped += 1
            return None
        return table.odd_reply(message, source)

    def _note(self, batch: Batch, fetched: list[tuple[int, Name]]) -> None:
        """For the history: who fetched challenge values. Under a flood the first of a batch stand for all."""
        now = time.time()
        for start, name in fetched[:_MOST_NOTED]:
            self._seen.append((now, batch.address(start), name))
