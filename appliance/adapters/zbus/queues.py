"""One list of requests in Redis: taking from it, answering, giving back, so that no death of anybody loses a request.

The original pops a request and has it in memory alone. Here taking *moves* it to a list of this appliance's own
(`gateway.taken.<instance>.<object>`), and one transaction removes it there and delivers its answer. So

* what was taken when this process dies is found there by the next one, and is carried out then;
* an answer is delivered once: if the connection breaks in the transaction, the list tells whether it was done.

Redis itself may forget (no persistence, a replica that lagged). A key beside the list, the epoch, comes with each new
memory; where it differs from the one an answer was given under, that answer is given again. See decisions/0008-zbus.md.
"""

import secrets
import threading
from collections.abc import Callable
from typing import TypeVar, cast

import redis

from appliance import logs
from appliance.adapters.zbus import connections
from appliance.model.brokers import Broker

log = logs.logger(__name__)

ROUND_SECONDS = 1
"""How long one blocking take waits; and so how long a stop may have to."""
_ANSWER_KEPT_SECONDS = 300
"""How long an answer nobody collects stays in Redis: what the original's server says."""

_T = TypeVar("_T")


class Taken:
    """A request that is ours to answer. `doubt`: the epoch under which an answer may or may not have gone out."""

    __slots__ = ("doubt", "is_recorded", "payload")

    def __init__(self, payload: bytes, *, is_recorded: bool) -> None:
        self.payload = payload
        self.is_recorded = is_recorded
        self.doubt: bytes | None = None


class Queue:
    """One request list. `take` belongs to one thread; the rest is safe from any. All raise Unavailable."""

    def __init__(self, broker: Broker, name: str, instance: str) -> None:
        self.name = name
        prefix = f"gateway.taken.{instance}"
        self._taken_key = f"{prefix}.{name.partition('.')[2]}"
        self._epoch_key = f"{prefix}.epoch"
        self._taker = connections.connect(broker, longest_wait_seconds=ROUND_SECONDS)
        self._ledger = connections.connect(broker)
        self._lock = threading.Lock()
        self._held: list[Taken] = []
        self._epoch: bytes | None = None
        self._is_in_step = False
        self._can_move = True
        self._is_closed = False

    def take(self) -> list[Taken]:
        """The next request, waited for up to a second; after a break also those that were taken and not known of."""
        return _translated(self._take, self._fall_out_of_step)

    def answer(self, taken: Taken, reply_to: str, payload: bytes) -> None:
        """Deliver an answer to the list `reply_to`, exactly once however often this is called."""
        with self._lock:
            _translated(lambda: self._answer(taken, reply_to, payload), self._ledger.connection_pool.disconnect)

    def drop(self, taken: Taken) -> None:
        """Forget a request that cannot be answered."""
        with self._lock:
            _translated(lambda: self._drop(taken), self._ledger.connection_pool.disconnect)

    def give_back(self) -> int:
        """Put what is not answered back to the front of the list, in order, and answer nothing more. How many."""
        with self._lock:
            self._is_closed = True
            return _translated(self._give_back, self._ledger.connection_pool.disconnect)

    def close(self) -> None:
        """End the connections. May be repeated."""
        self._taker.close()
        self._ledger.close()

    @property
    def unrecorded(self) -> int:
        """How many requests are held in memory alone: they would be lost with this process."""
        with self._lock:
            return sum(not taken.is_recorded for taken in self._held)

    def _take(self) -> list[Taken]:
        if not self._is_in_step:
            adopted = self._get_in_step()
            self._is_in_step = True
            if adopted:
                return adopted
        taken = self._move() if self._can_move else self._pop()
        if taken is None:
            self._look_for_strays()
            return []
        with self._lock:
            self._held.append(taken)
        return [taken]

    def _move(self) -> Taken | None:
        try:
            payload = self._taker.blmove(self.name, self._taken_key, ROUND_SECONDS, "LEFT", "RIGHT")
        except redis.exceptions.OutOfMemoryError:
            return self._pop()  # which a full Redis allows, and which makes room
        except redis.exceptions.ResponseError as error:
            if "unknown command" not in str(error).lower():
                raise
            self._can_move = False
            log.warning("the broker is older than Redis 6.2: a request is lost if this process dies while taking it")
            return None
        return Taken(cast("bytes", payload), is_recorded=True) if payload is not None else None

    def _pop(self) -> Taken | None:
        """Take as the original does, and record it right after."""
        found = cast("tuple[bytes, bytes] | None", self._taker.blpop([self.name], ROUND_SECONDS))
        if found is None:
            return None
        taken = Taken(found[1], is_recorded=False)
        with self._lock:
            self._record(taken)
        return taken

    def _record(self, taken: Taken) -> None:
        """Enter it in the list. A replica that had not heard of the take has it in the queue still."""
        transaction = self._ledger.pipeline(transaction=True)
        transaction.lrem(self.name, 1, cast("str", taken.payload))
        transaction.rpush(self._taken_key, taken.payload)
        try:
            transaction.execute()
            taken.is_recorded = True
        except redis.RedisError as error:
            log.debug("a request is held in memory alone", reason=str(error))

    def _get_in_step(self) -> list[Taken]:
        """Bring the list and what is held here to the same, after anything may have happened. What is new to us."""
        with self._lock:
            self._epoch = self._read_epoch()
            there = cast("list[bytes]", self._ledger.lrange(self._taken_key, 0, -1))
            for taken in self._held:
                if taken.payload in there:
                    there.remove(taken.payload)
                    taken.is_recorded = True
                elif taken.doubt is None:
                    self._record(taken)
            adopted = [Taken(payload, is_recorded=True) for payload in there]
            self._held += adopted
        if adopted:
            log.info("requests found that were taken and not answered", queue=self.name, count=len(adopted))
        return adopted

    def _look_for_strays(self) -> None:
        """A take whose connection broke may be carried out by Redis later than we came back: then the counts differ."""
        with self._lock:
            recorded = sum(taken.is_recorded for taken in self._held)
            self._is_in_step = self._ledger.llen(self._taken_key) == recorded

    def _fall_out_of_step(self) -> None:
        self._is_in_step = False
        self._taker.connection_pool.disconnect()
        with self._lock:
            self._ledger.connection_pool.disconnect()

    def _read_epoch(self) -> bytes | None:
        """The epoch of Redis's memory, begun here where there is none; None where there is no room for one."""
        try:
            self._ledger.set(self._epoch_key, secrets.token_hex(8), nx=True)
        except redis.exceptions.OutOfMemoryError:
            log.debug("no room for an epoch")
        return cast("bytes | None", self._ledger.get(self._epoch_key))

    def _answer(self, taken: Taken, reply_to: str, payload: bytes) -> None:
        if self._is_closed or taken not in self._held:
            return
        if not self._was_answered(taken):
            self._deliver(taken, reply_to.encode("utf-8", "surrogateescape"), payload)
        self._held.remove(taken)

    def _deliver(self, taken: Taken, reply_to: bytes, payload: bytes) -> None:
        transaction = self._ledger.pipeline(transaction=True)
        transaction.lrem(self._taken_key, 1, cast("str", taken.payload))
        transaction.rpush(cast("str", reply_to), payload)
        transaction.expire(reply_to, _ANSWER_KEPT_SECONDS)
        try:
            results = transaction.execute(raise_on_error=False)
        except redis.exceptions.ResponseError:
            raise  # refused as a whole
        except (redis.RedisError, OSError):
            taken.doubt = self._epoch
            raise
        if isinstance(results[1], redis.exceptions.ResponseError):
            log.warning("an answer cannot be delivered: the key to answer to is not a list", queue=self.name)

    def _drop(self, taken: Taken) -> None:
        if not self._is_closed and taken in self._held:
            self._ledger.lrem(self._taken_key, 1, cast("str", taken.payload))
            self._held.remove(taken)

    def _was_answered(self, taken: Taken) -> bool:
        if taken.doubt is None or not taken.is_recorded or self._ledger.get(self._epoch_key) != taken.doubt:
            return False
        there = cast("list[bytes]", self._ledger.lrange(self._taken_key, 0, -1))
        return there.count(taken.payload) < sum(other.payload == taken.payload for other in self._held)

    def _give_back(self) -> int:
        returned = [taken for taken in self._held if not self._was_answered(taken)]
        if not returned:
            return 0
        if self._ledger.type(self.name) not in (b"list", b"none"):  # or a transaction would do half of it
            raise redis.exceptions.ResponseError("WRONGTYPE")
        transaction = self._ledger.pipeline(transaction=True)
        for taken in reversed(returned):
            transaction.lrem(self._taken_key, 1, cast("str", taken.payload))
            transaction.lpush(self.name, taken.payload)
        transaction.execute()
        self._held.clear()
        return len(returned)


def _translated(act: Callable[[], _T], on_error: Callable[[], object]) -> _T:
    """What `act` returns; an error of redis-py as Unavailable, after `on_error`."""
    try:
        return act()
    except (redis.RedisError, OSError) as error:
        on_error()
        raise connections.unavailable(error) from error
