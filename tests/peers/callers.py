"""Many callers on the bus at once, and the account of their calls: none may be lost, none answered twice.

They speak as the original's client does (push, then wait on a list of one's own), but survive a broker that restarts: a
request the broker did not confirm is sent anew under another id, as an orchestrator would; and an answer is looked at
where it lies, not popped, for what Redis pops while it ends reaches nobody, and that would be the caller's own loss.
"""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import redis

from appliance.adapters.zbus import wire
from appliance.adapters.zbus.wire import ObjectId, Request, Response
from tests.peers.broker import Broker

T = TypeVar("T")

MANAGER = ObjectId("manager", "0.0.1")

Method = tuple[str, tuple[bytes, ...]]
"""A method and its packed arguments."""


@dataclass
class Account:
    """What became of every call."""

    answers: list[tuple[Method, Response]] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    """The ids of the requests that the broker confirmed; each is to have one answer."""
    lost: list[Method] = field(default_factory=list)

    def answered_twice(self, broker: Broker) -> list[str]:
        """The confirmed ids with more than one answer."""
        with broker.client as admin:
            return [identity for identity in self.confirmed if int(cast("int", admin.llen(identity))) > 1]


class Callers:
    """A thread for each list of calls. `progress` says how many calls are answered."""

    def __init__(
        self,
        broker: Broker,
        scripts: Sequence[Sequence[Method]],
        *,
        target: ObjectId = MANAGER,
        patience_seconds: float,
    ) -> None:
        self.account = Account()
        self._broker = broker
        self._target = target
        self._patience_seconds = patience_seconds
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(script,), daemon=True) for script in scripts]
        for thread in self._threads:
            thread.start()

    def until(self, count: int, *, seconds: float = 60) -> None:
        """Wait until so many calls are answered."""
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.account.answers) >= count, seconds)
        assert done, f"{len(self.account.answers)} of {count} calls answered within {seconds} s"

    def finish(self, *, seconds: float) -> Account:
        """The account, when all is called and answered or given up."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive(), f"{len(self.account.answers)} calls answered after {seconds} s"
        return self.account

    def _run(self, script: Sequence[Method]) -> None:
        with self._broker.client as client:
            for method, inputs in script:
                self._call(client, (method, inputs))

    def _call(self, client: redis.Redis, method: Method) -> None:
        deadline = time.monotonic() + self._patience_seconds
        identity = self._send(client, method, deadline)
        found = _persist(lambda: client.blmove(identity, identity, 1), deadline) if identity else None
        with self._changed:
            if identity:
                self.account.confirmed.append(identity)
            if isinstance(found, bytes):
                self.account.answers.append((method, wire.decode_response(found)))
            else:
                self.account.lost.append(method)
            self._changed.notify_all()

    def _send(self, client: redis.Redis, method: Method, deadline: float) -> str | None:
        def send() -> str:
            identity = str(uuid.uuid4())
            request = Request(identity, method[1], self._target, identity, method[0])
            client.rpush(f"gateway.{self._target}", wire.encode_request(request))
            return identity

        return _persist(send, deadline)


def _persist(act: Callable[[], T], deadline: float) -> T | None:
    """The first true value of `act`, which is repeated through the broker's outages; None at the deadline."""
    while time.monotonic() < deadline:
        try:
            if value := act():
                return value
        except redis.RedisError:
            time.sleep(0.05)
    return None
