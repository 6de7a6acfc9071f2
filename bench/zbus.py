"""Calls over the bus: Metrics a second, and how long a deletion of an unknown id takes; against the bare protocol.

A whole appliance with some workloads, its calls taken from a Redis on loopback by one worker, as it is by default. The
callers do as the original's client does (push and wait in one go) with little work of their own, for they share the
processors. The peer is the protocol with nothing behind it, spoken as the original's server speaks it; so a ratio above
1 means that a call costs less here than the transport alone there.
"""

import argparse
import contextlib
import socket
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from appliance.adapters.zbus import packing, wire
from appliance.adapters.zbus.wire import ObjectId, Request
from bench.original.bus import BareBus
from tests.peers import addresses, appliance
from tests.peers.appliance import Appliance
from tests.peers.broker import Broker

_ID: Final = str(uuid.UUID(int=0))
_ID_OCTETS: Final = 36
_QUEUE: Final = "gateway.manager@0.0.1"
_CALLS_A_SECOND: Final = 1000
_MOST_MILLISECONDS: Final = 3.0


def main() -> int:
    """Print the figures and their ratios; 1 when a promise is not kept."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="gw") as name, _broker(Path(name)) as broker:
        peer = BareBus(broker.socket, _QUEUE)
        bare_rate = _rate(broker, arguments.calls, arguments.callers)
        bare_delay = _delay(broker, arguments.deletions)
        peer.stop()
        with _appliance(Path(name), broker, arguments.workloads):
            rate = _rate(broker, arguments.calls, arguments.callers)
            delay = _delay(broker, arguments.deletions)
    print(
        f"Metrics: {rate:.0f} calls/s ({arguments.workloads} workloads, {arguments.callers} callers), "
        f"bare protocol {bare_rate:.0f}, ratio {rate / bare_rate:.2f}"
    )
    print(
        f"DeleteNamedProxy of an unknown id: median {delay:.2f} ms ({arguments.workloads} workloads), "
        f"bare protocol {bare_delay:.2f} ms, ratio {bare_delay / delay:.2f}"
    )
    return int(rate < _CALLS_A_SECOND or delay >= _MOST_MILLISECONDS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="calls over the bus")
    parser.add_argument("--calls", type=int, default=4000, help="of Metrics, in all")
    parser.add_argument("--callers", type=int, default=4, help="at once")
    parser.add_argument("--deletions", type=int, default=500, help="of an unknown id")
    parser.add_argument("--workloads", type=int, default=10, help="that the appliance serves")
    return parser.parse_args()


@contextlib.contextmanager
def _broker(directory: Path) -> Iterator[Broker]:
    place = directory / "redis"
    place.mkdir()
    broker = Broker(place, persistent=False)
    yield broker
    broker.kill()


@contextlib.contextmanager
def _appliance(directory: Path, broker: Broker, workloads: int) -> Iterator[None]:
    one = Appliance(directory, appliance.settings() | {"broker": broker.unix_url})
    for number in range(workloads):
        backend = f"http://{addresses.BACKEND}:{8000 + number}"
        one.write_workload(f"1-1-w{number}", f"type: gateway-name-proxy\nname: w{number}\nbackends: ['{backend}']\n")
    one.start()
    one.until_state(f"1-1-w{workloads - 1}", "applied")
    yield
    one.kill()


class Caller:
    """Calls one method again and again over one connection, without a library: text in, as much as is needed out."""

    def __init__(self, broker: Broker, method: str, *inputs: bytes) -> None:
        self._template = wire.encode_request(Request(_ID, inputs, ObjectId("manager", "0.0.1"), _ID, method))
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(broker.socket))

    def call(self) -> None:
        """One call, to the end of its answer."""
        identity = str(uuid.uuid4())
        payload = self._template.replace(_ID.encode(), identity.encode())
        self._socket.sendall(_command(b"RPUSH", _QUEUE.encode(), payload) + _command(b"BLPOP", identity.encode(), b"9"))
        received = b""
        while not _is_whole(received):
            received += self._socket.recv(65536)
        if b"Message" in received:
            raise AssertionError(received)


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _is_whole(received: bytes) -> bool:
    """Whether `:length *2 $36 key $n answer` is all there."""
    _, _, rest = received.partition(b"$36\r\n")
    size, _, answer = rest[_ID_OCTETS + 3 :].partition(b"\r\n")
    return size.isdigit() and len(answer) >= int(size) + 2


def _rate(broker: Broker, calls: int, callers: int) -> float:
    """Metrics calls a second."""

    def call() -> None:
        caller = Caller(broker, "Metrics")
        for _ in range(calls // callers):
            caller.call()

    return calls / _seconds(call, callers)


def _seconds(call: Callable[[], None], callers: int) -> float:
    threads = [threading.Thread(target=call) for _ in range(callers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def _delay(broker: Broker, deletions: int) -> float:
    """The median of a deletion, in milliseconds."""
    caller = Caller(broker, "DeleteNamedProxy", packing.pack("1-1-nobody"))
    taken: list[float] = []
    for _ in range(deletions):
        started = time.perf_counter()
        caller.call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000
