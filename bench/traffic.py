"""How right the passthrough totals of `gateway metrics` are: payload told against payload counted by the client.

One appliance, one passthrough workload, a connection for each request. A ratio of 1 is exact; the kernel counts the end
of a connection as one byte, which weighs most where connections are short.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.peers import addresses, appliance
from tests.peers.appliance import Appliance
from tests.peers.backends import Backend
from tests.peers.metered import metered
from tests.peers.nsd import Nsd
from tests.peers.unbound import Unbound

_ID: Final = "raw"
_HOST: Final = f"{_ID}.{addresses.DOMAIN}"
_ROUNDS: Final = ((300, 50), (300, 2_000), (100, 50_000), (20, 1_000_000), (3, 20_000_000))
_TOLERANCE: Final = 0.01
_SETTLING_SECONDS: Final = 2.0


def main() -> int:
    """Print every round, the median and the worst ratio. 1 when one is off by more than 1 %."""
    with tempfile.TemporaryDirectory(prefix="gw") as name, Backend("bench", tls_names=(_HOST,)) as backend:
        directory = Path(name)
        (directory / "dns").mkdir()
        nsd, unbound = Nsd(directory / "dns"), Unbound(directory)
        one = Appliance(directory, appliance.settings()).start()
        try:
            one.must("route", "name", _ID, _ID, backend.host_port, "--tls-passthrough")
            ratios = [ratio for count, size in _ROUNDS for ratio in _round(one, count, size)]
        finally:
            one.kill()
            unbound.stop()
            nsd.stop()
    worst = max(ratios, key=lambda ratio: abs(ratio - 1))
    print(f"median ratio {statistics.median(ratios):.6f}, worst {worst:.6f}")
    return int(abs(worst - 1) > _TOLERANCE)


def _round(one: Appliance, count: int, size: int) -> tuple[float, float]:
    before = _told(one)
    sent = received = 0
    for _ in range(count):
        with metered(_HOST) as connection:
            connection.post(b"x" * size)
        sent, received = sent + connection.sent, received + connection.received
    time.sleep(_SETTLING_SECONDS)
    after = _told(one)
    ratios = (after[0] - before[0]) / sent, (after[1] - before[1]) / received
    print(f"{count} connections, {size} bytes sent on each: requests {ratios[0]:.6f}, responses {ratios[1]:.6f}")
    return ratios


def _told(one: Appliance) -> tuple[int, int]:
    entry = one.must("metrics")[_ID]
    return entry["request_bytes"], entry["response_bytes"]
