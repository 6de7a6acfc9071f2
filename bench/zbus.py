"""Calls over the bus: Metrics a second, and how long a deletion of an unknown id takes; against the bare protocol.

A whole appliance with some workloads, its calls taken from a Redis on loopback by one worker, as it is by default. The
callers are threads of this very process, one after the other in each. The peer is the protocol with nothing behind it,
spoken as the original speaks it, so a ratio above 1 means that a call costs less here than the transport alone there.
"""

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from appliance.client.zbus import ZbusGateway
from bench.original.bus import BareBus
from tests.peers import addresses, appliance
from tests.peers.appliance import Appliance
from tests.peers.broker import Broker

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
    parser.add_argument("--workloads", type=int, default=100, help="that the appliance serves")
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


def _rate(broker: Broker, calls: int, callers: int) -> float:
    """Metrics calls a second."""

    def call() -> None:
        with ZbusGateway(broker.unix_url) as gateway:
            for _ in range(calls // callers):
                gateway.metrics()

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
    taken: list[float] = []
    with ZbusGateway(broker.unix_url) as gateway:
        for _ in range(deletions):
            started = time.perf_counter()
            gateway.delete_named_proxy("1-1-nobody")
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000
