"""A typed client of a gateway on the message bus: what the original's generated stub is to programs in Go.

    with ZbusGateway("unix:///var/run/redis.sock") as gateway:
        fqdn = gateway.set_named_proxy("37-2039-blog", "blog", ["http://10.1.2.3:9000"])

Where that stub crashes (the broker goes away, an answer makes no sense, nobody answers), this raises. It sends a
request anew only when the broker never confirmed it, so the gateway may in the rarest case carry one out twice; its
methods are made for that.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import redis

from appliance.adapters.zbus import connections, packing, values, wire
from appliance.adapters.zbus.connections import Pause
from appliance.adapters.zbus.packing import MalformedValue
from appliance.adapters.zbus.values import Metrics, Proxy, Status
from appliance.adapters.zbus.wire import ObjectId, Request, Response, Undecodable
from appliance.model import brokers
from appliance.model.errors import Refused, Unavailable

MODULE = "gateway"
DEFAULT_SECONDS = 30.0
"""Longer than a gateway's own patience with Traefik, so that its words arrive."""
_ROUND_SECONDS = 1.0
_STATUS = ObjectId("zbus", "1.0")

_T = TypeVar("_T")


class ZbusGateway:
    """A gateway reached through a broker (`unix://`, `tcp://`, `redis://`, `rediss://`). For one thread at a time.

    Every method waits up to `timeout_seconds` and raises Refused with the gateway's words when it would not, and
    Unavailable when the broker or the gateway did not answer; the request may then still be carried out, now or later.
    """

    def __init__(self, broker: str, *, object_name: str = "manager", timeout_seconds: float = DEFAULT_SECONDS) -> None:
        self._broker = brokers.parse(broker)
        self._object = ObjectId(object_name, "0.0.1")
        self._timeout_seconds = timeout_seconds
        self._redis = connections.connect(self._broker, longest_wait_seconds=_ROUND_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. It begins anew when a method is called."""
        self._redis.close()

    def set_named_proxy(
        self,
        identity: str,
        name: str,
        backends: Sequence[str],
        *,
        tls_passthrough: bool = False,
        network: str | None = None,
    ) -> str:
        """Route `<name>.<gateway domain>` to the backends. The whole host name, once Traefik serves it."""
        proxy = Proxy(name, tuple(backends), tls_passthrough, network)
        data = self._call(self._object, "SetNamedProxy", packing.pack(identity), values.encode_name_proxy(proxy))
        return _result(data, packing.text)

    def set_fqdn_proxy(
        self,
        identity: str,
        fqdn: str,
        backends: Sequence[str],
        *,
        tls_passthrough: bool = False,
        network: str | None = None,
    ) -> None:
        """Route `fqdn` to the backends; returns once Traefik serves it."""
        proxy = Proxy(fqdn, tuple(backends), tls_passthrough, network)
        self._call(self._object, "SetFQDNProxy", packing.pack(identity), values.encode_fqdn_proxy(proxy))

    def delete_named_proxy(self, identity: str) -> None:
        """Delete a workload of either kind; one that is not there is fine."""
        self._call(self._object, "DeleteNamedProxy", packing.pack(identity))

    def metrics(self) -> Metrics:
        """Bytes of requests and responses by workload."""
        return _result(self._call(self._object, "Metrics"), values.metrics)

    def status(self) -> Status:
        """The module's objects, and what its workers are doing; answered even while all of them are busy."""
        return _result(self._call(_STATUS, ""), values.status)

    def _call(self, target: ObjectId, method: str, *inputs: bytes) -> bytes | None:
        deadline = time.monotonic() + self._timeout_seconds
        reply_to = self._send(target, method, inputs, deadline)
        response = self._receive(reply_to, deadline)
        if response.failure is not None:
            raise Unavailable(f"the module answers: {response.failure}")
        if response.error is not None:
            raise Refused(response.error or "the module reports an error without words")
        return response.data

    def _send(self, target: ObjectId, method: str, inputs: tuple[bytes, ...], deadline: float) -> str:
        pause = Pause()
        while True:
            identity = str(uuid.uuid4())
            request = Request(identity, inputs, target, identity, method)
            try:
                self._redis.rpush(f"{MODULE}.{target}", wire.encode_request(request))
            except redis.RedisError as error:
                self._wait_for_broker(error, pause, deadline)
            else:
                return identity

    def _receive(self, reply_to: str, deadline: float) -> Response:
        pause = Pause()
        while (remaining := deadline - time.monotonic()) > 0:
            wait = max(0.01, min(_ROUND_SECONDS, remaining))
            try:
                found = cast("tuple[bytes, bytes] | None", self._redis.blpop([reply_to], wait))
            except redis.RedisError as error:
                self._wait_for_broker(error, pause, deadline)
                continue
            if found is not None:
                return _response(found[1])
        raise Unavailable(
            f"no answer within {self._timeout_seconds:g} s from {self._broker.shown}: is the gateway running, with "
            "this broker? The request stays queued and is carried out when it is"
        )

    def _wait_for_broker(self, error: redis.RedisError, pause: Pause, deadline: float) -> None:
        """Wait a while before the next attempt. Raises Unavailable when waiting is of no use."""
        self._redis.connection_pool.disconnect()
        seconds = pause.grow()
        is_passing = isinstance(error, redis.exceptions.ConnectionError | redis.exceptions.TimeoutError)
        is_refusal = isinstance(error, redis.exceptions.AuthenticationError)
        if is_refusal or not is_passing or time.monotonic() + seconds > deadline:
            raise connections.unavailable(error) from error
        time.sleep(seconds)


def _response(payload: bytes) -> Response:
    try:
        return wire.decode_response(payload)
    except Undecodable as error:
        raise Unavailable(f"the module's answer cannot be read: {error}") from error


def _result(data: bytes | None, read: Callable[[Any], _T]) -> _T:
    try:
        return read(packing.unpack(data or b""))
    except MalformedValue as error:
        raise Unavailable(f"the module's result cannot be read: {error}") from error
