"""The original's way with Redis, bare: pop a request, push an answer, each on a new connection, nothing in between.

What its server does on the wire, measured: `BLPOP`, then `RPUSH` and `EXPIRE` in one go, its pool keeping no connection
idle. The answer is the one to an empty Metrics call whatever was asked, so this is faster than any gateway can be.
"""

import threading
from pathlib import Path
from typing import cast

import redis

from appliance.adapters.zbus import values, wire
from appliance.adapters.zbus.values import Metrics
from appliance.adapters.zbus.wire import Response

_KEPT_SECONDS = 300


class BareBus:
    """Answers requests in `queue` from a thread of its own, until `stop`."""

    def __init__(self, redis_socket: Path, queue: str) -> None:
        self._socket = str(redis_socket)
        self._queue = queue
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        data = values.encode_metrics(Metrics({}, {}))
        while not self._stopping.is_set():
            with redis.Redis(unix_socket_path=self._socket) as taking:
                found = cast("tuple[bytes, bytes] | None", taking.blpop([self._queue], 1))
            if found is None:
                continue
            request = wire.decode_request(found[1])
            with redis.Redis(unix_socket_path=self._socket) as answering:
                pipeline = answering.pipeline(transaction=False)
                pipeline.rpush(request.reply_to, wire.encode_response(Response(request.id, data=data)))
                pipeline.expire(request.reply_to, _KEPT_SECONDS)
                pipeline.execute()
