"""How soon what somebody does in `proxy/` is undone, in a running appliance: every kind of it, five times.

Traefik reads nothing any more while a broken file lies there, so this is for how long no change of a route comes
through. There is no peer: nothing else that drives Traefik looks after its directory.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.fakes import until
from tests.peers import appliance
from tests.peers.appliance import Appliance
from tests.peers.backends import Backend
from tests.peers.nsd import Nsd
from tests.peers.tampering import DEEDS, contents
from tests.peers.unbound import Unbound

_ROUNDS: Final = 5
_MOST_SECONDS: Final = 1.0


def main() -> int:
    """Print median and worst of each deed. 1 when a median is over a second."""
    with tempfile.TemporaryDirectory(prefix="gw") as name, Backend("bench") as backend:
        directory = Path(name)
        (directory / "dns").mkdir()
        nsd, unbound = Nsd(directory / "dns"), Unbound(directory)
        one = Appliance(directory, appliance.settings()).start()
        try:
            for label in ("steady", "other"):
                one.must("route", "name", f"1-4-{label}", label, backend.url)
            proxy = one.root / "proxy"
            before = contents(proxy)
            taken = {deed: [_undone(deed, proxy, before) for _ in range(_ROUNDS)] for deed in DEEDS}
        finally:
            one.kill()
            unbound.stop()
            nsd.stop()
    for deed, seconds in taken.items():
        print(f"{deed.__name__}: undone after {statistics.median(seconds):.3f} s, at most {max(seconds):.3f} s")
    slowest = max(statistics.median(seconds) for seconds in taken.values())
    print(f"slowest median {slowest:.3f} s of {_MOST_SECONDS:g} s")
    return int(slowest > _MOST_SECONDS)


def _undone(deed: Callable[[Path], None], proxy: Path, before: dict[str, str]) -> float:
    began = time.monotonic()
    deed(proxy)
    until(lambda: _is_as(proxy, before))
    return time.monotonic() - began


def _is_as(proxy: Path, before: dict[str, str]) -> bool:
    try:
        return contents(proxy) == before
    except OSError:  # something went while it was looked at
        return False
