"""The container: from `docker compose up` to healthy with the wildcard certificate served, and what it holds when idle.

Needs the image of this checkout and a Docker engine, neither of which there is in the harness's namespace:
`make bench-container`. The peers (parent zone, resolver, Pebble without its delays) run already, and one name proxy is
in the volume; the clock runs from the command to the later of the two.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.container.stack import DOMAIN, Docker, Stack
from tests.peers import namespace
from tests.peers.launching import await_result

_RUNS: Final = 5
_TARGET_SECONDS: Final = 6.0
_TARGET_MB: Final = 90.0
_IDLE_SECONDS: Final = 15.0
_HOST: Final = f"wiki.{DOMAIN}"
_HOME: Final = "/var/cache/modules/gateway"
_WORDS: Final = 7
_PEERS: Final = ("parent", "resolver", "ca", "backend")
_MEMORY: Final = (
    "for p in /proc/[0-9]*; do"
    " echo $(grep ^Rss: $p/smaps_rollup) $(grep ^Pss: $p/smaps_rollup) $(tr '\\0' ' ' <$p/cmdline); done 2>/dev/null"
)


def main() -> int:
    """Print every run, the median, and the memory by program. 1 when a figure is over its target."""
    if namespace.inside():
        print("needs a Docker engine: make bench-container")
        return 0
    found = [_run(is_last=number == _RUNS - 1) for number in range(_RUNS)]
    median = statistics.median(seconds for seconds, _ in found)
    megabytes = found[-1][1]
    print(
        f"up to healthy with the wildcard certificate: {median:.2f} s (median of {_RUNS}; at most {_TARGET_SECONDS:g})"
    )
    print(f"idle RSS of everything but Traefik: {megabytes:.0f} MB (at most {_TARGET_MB:g})")
    return int(median > _TARGET_SECONDS or megabytes > _TARGET_MB)


def _run(*, is_last: bool) -> tuple[float, float]:
    """Seconds from `up` to healthy and served, and in the last run the megabytes of everything but Traefik."""
    with tempfile.TemporaryDirectory(prefix="gw") as directory:
        stack = Stack(Docker({}), Path(directory))
        try:
            stack.write_settings()
            stack.compose("up", "--detach", "--wait", "--no-build", *_PEERS)
            _write_workload(stack)
            began = time.monotonic()
            stack.compose("up", "--detach", "--no-build", "gateway")
            healthy = _seconds(began, stack, lambda: stack.inspect("{{.State.Health.Status}}") == "healthy")
            served = _seconds(began, stack, lambda: stack.until_trusted(_HOST))
            print(f"  healthy after {healthy:.2f} s, certificate served after {served:.2f} s at most")
            return max(healthy, served), _idle_megabytes(stack) if is_last else 0.0
        finally:
            stack.down()


def _seconds(began: float, stack: Stack, probe: object) -> float:
    assert callable(probe)
    await_result(probe, "the gateway is up", seconds=60, log=stack.log)
    return time.monotonic() - began


def _write_workload(stack: Stack) -> None:
    text = f'type: gateway-name-proxy\\nname: wiki\\nbackends: ["http://{stack.network}.9:9000"]\\n'
    command = f"mkdir -m 700 {_HOME}/workloads; printf '{text}' > {_HOME}/workloads/wiki.yaml"
    stack.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", "gateway", "-c", command)


def _idle_megabytes(stack: Stack) -> float:
    """Memory of everything but Traefik, shared pages counted in each program; with its share of them beside it."""
    time.sleep(_IDLE_SECONDS)
    total = share = 0.0
    for line in stack.inside("sh", "-c", _MEMORY, check=False).output.splitlines():
        words = line.split()
        if len(words) < _WORDS or "--configFile" in line or words[6] in ("sh", "tr", "grep"):
            continue
        resident, own = (int(words[at]) * 1024 / 1e6 for at in (1, 4))
        print(f"  {resident:6.1f} MB ({own:.1f} MB its own and its share)  {' '.join(words[6:])[:90]}")
        total, share = total + resident, share + own
    print(f"  {share:.1f} MB together, when shared pages are counted once")
    return total
