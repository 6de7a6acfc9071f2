"""From an empty root to the first HTTPS answer with the apex and wildcard certificate: ours against the original.

The clock starts with the program's start (`gateway run`; Traefik for the original) and stops when a client that trusts
only the CA gets the backend's answer with a certificate for both names. One name proxy is there from the start. The CA
is a fresh Pebble without its artificial delays, the parent and the resolver run already.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench.original.gateway import Original
from tests.peers import addresses, appliance, https
from tests.peers.appliance import Appliance
from tests.peers.backends import Backend
from tests.peers.launching import Launched, PeerError
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble
from tests.peers.unbound import Unbound

_NAME: Final = "blog"
_HOST: Final = f"{_NAME}.{addresses.DOMAIN}"
_WANTED: Final = tuple(sorted((addresses.DOMAIN, f"*.{addresses.DOMAIN}")))
_POLL: Final = 0.01
_TARGET_SECONDS: Final = 3.0

Start = Callable[[Path, Pebble, Backend], contextlib.AbstractContextManager[Launched]]


def main() -> int:
    """Print every run, the medians and their ratio. 1 when a run failed or ours is over its target."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="gw") as directory, _dns(Path(directory)), Backend("bench") as backend:
        ours = _runs("appliance", _appliance, backend, arguments.runs, arguments.timeout)
        original = _runs("original", _original, backend, arguments.original_runs, arguments.timeout)
    if ours and original:
        ratio = statistics.median(original) / statistics.median(ours)
        print(
            f"time to certificate: appliance {statistics.median(ours):.2f} s (median of {len(ours)}), "
            f"original {statistics.median(original):.1f} s (median of {len(original)}), ratio {ratio:.0f}"
        )
    wanted = [(ours, arguments.runs), (original, arguments.original_runs)]
    is_incomplete = any(count and len(figures) < count for figures, count in wanted)
    is_slow = bool(ours) and statistics.median(ours) > _TARGET_SECONDS
    if is_slow:
        print(f"time to certificate: the appliance's median is over its {_TARGET_SECONDS:.0f} s")
    return int(is_incomplete or is_slow)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="empty root to the first HTTPS answer")
    parser.add_argument("--runs", type=int, default=5, help="of the appliance")
    parser.add_argument("--original-runs", type=int, default=1, help="of the original arrangement, about 100 s each")
    parser.add_argument("--timeout", type=float, default=240, help="seconds after which a run counts as failed")
    return parser.parse_args()


@contextlib.contextmanager
def _dns(directory: Path) -> Iterator[None]:
    parent = Nsd(directory)
    parent.add_gateway()
    resolver = Unbound(directory)
    try:
        yield
    finally:
        resolver.stop()
        parent.stop()


def _runs(label: str, start: Start, backend: Backend, count: int, timeout: float) -> list[float]:
    """The seconds of every run that came to a certificate; each begins with an empty root and a fresh CA."""
    figures = []
    for number in range(1, count + 1):
        with tempfile.TemporaryDirectory(prefix="gw") as directory:
            root = Path(directory, "gateway")
            root.mkdir()
            ca = Pebble(Path(directory))
            try:
                figures.append(_measure(start, root, ca, backend, timeout))
                print(f"{label}, run {number}: {figures[-1]:.2f} s", flush=True)
            except PeerError as error:
                print(f"{label}, run {number} failed: {error}", flush=True)
            finally:
                ca.stop()
    return figures


def _measure(start: Start, root: Path, ca: Pebble, backend: Backend, timeout: float) -> float:
    trusted = ca.root_pem()
    began = time.monotonic()
    with start(root, ca, backend) as program:
        while not _served(trusted):
            if program.process.poll() is not None or time.monotonic() - began > timeout:
                raise PeerError(f"no certificate after {time.monotonic() - began:.0f} s\n{program.end_of_log()}")
            time.sleep(_POLL)
        return time.monotonic() - began


def _served(ca: str) -> bool:
    try:
        answer = https.fetch(_HOST, ca=ca)
    except OSError:
        return False
    names = answer.certificate.names if answer.certificate else ()
    return answer.status == 200 and '"backend": "bench"' in answer.body and names == _WANTED


@contextlib.contextmanager
def _appliance(root: Path, ca: Pebble, backend: Backend) -> Iterator[Launched]:
    ours = Appliance(root, appliance.settings(ca))
    ours.write_workload("1-1-bench", f'type: gateway-name-proxy\nname: {_NAME}\nbackends: ["{backend.url}"]\n')
    program = ours.launch()
    try:
        yield program
    finally:
        ours.kill()


@contextlib.contextmanager
def _original(root: Path, ca: Pebble, backend: Backend) -> Iterator[Launched]:
    original = Original(root, ca, _NAME, backend.url)
    try:
        yield original.program
    finally:
        original.kill()


if __name__ == "__main__":
    raise SystemExit(main())
