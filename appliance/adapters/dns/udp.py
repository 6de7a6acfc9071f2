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
from appliance.adapters.dns.batches import SIZE, SLOT, SOURCE, Batch
from appliance.adapters.dns.table import Reply, Table
from appliance.adapters.dns.tallies import Tallies
from appliance.model.rate_limits import IPV4_PREFIX_OCTETS, IPV6_PREFIX_OCTETS, Limiter, Verdict
from appliance.model.zones import Name

log = logs.logger(__name__)

Sighting = tuple[float, bytes, Name]
"""A question answered with TXT values: when (Unix time), the client's packed address, the owner name."""

_MOST_NOTED = 16
_ALL_ANSWERED = (Verdict.ANSWER,) * SIZE
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
                started = time.perf_counter()
                batch.send(self._answer(batch, lengths))
                self._tallies.took(time.perf_counter() - started, len(lengths))
            if len(lengths) < SIZE:
                return

    def _answer(self, batch: Batch, lengths: list[int]) -> list[int]:
        """Write the answers over the questions; how long each became, 0 for none."""
        table = self._table()  # after the batch was received: what was published before a question was sent is in it
        ready, slots = table.ready, batch.slots
        verdicts = _judge(self._limiter, batch, len(lengths)) if self._limiter else _ALL_ANSWERED
        answered: list[int] = []
        fetched: list[tuple[int, Name]] = []
        start = -SLOT
        for length, verdict in zip(lengths, verdicts, strict=False):
            start += SLOT
            if verdict:
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
        try:
            return table.reply(message, self._source(batch, start))
        except Exception:
            log.exception("question not answered, please report it", message=message.hex())
            return None

    def _note(self, batch: Batch, fetched: list[tuple[int, Name]]) -> None:
        """For the history: who fetched challenge values. Under a flood the first of a batch stand for all."""
        now = time.time()
        for start, name in fetched[:_MOST_NOTED]:
            self._seen.append((now, self._source(batch, start), name))

    def _source(self, batch: Batch, start: int) -> bytes:
        at = start // SLOT * SOURCE
        return batch.sources[at + batch.address_start : at + batch.address_end]


def _judge(limiter: Limiter, batch: Batch, count: int) -> list[Verdict]:
    """What rate limiting has to say about each datagram."""
    limiter.tick(time.monotonic())
    first, last = batch.address_start, batch.address_end
    end = first + (IPV4_PREFIX_OCTETS if last - first == 4 else IPV6_PREFIX_OCTETS)
    judge, sources = limiter.judge, batch.sources
    return [
        judge(sources[at + first : at + end], sources[at + first : at + last])
        for at in range(0, count * SOURCE, SOURCE)
    ]
