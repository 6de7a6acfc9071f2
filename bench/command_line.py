"""How long the command line takes to start, against its target; and what of that is Python's own start."""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

_GATEWAY = Path(sys.executable).with_name("gateway")
_TARGET_SECONDS = 0.2
_STARTS = 20


def main() -> int:
    """Print the medians; 1 when one is over the target."""
    parser = argparse.ArgumentParser(prog="bench command-line")
    parser.add_argument("--runs", type=int, default=_STARTS)
    runs = parser.parse_args().runs
    bare = _median([sys.executable, "-c", "pass"], runs)
    print(f"python itself      {1000 * bare:6.0f} ms")
    slowest = 0.0
    for arguments in (["--version"], ["route", "list", "--help"], ["completion", "bash"], ["token", "new", "--help"]):
        took = _median([str(_GATEWAY), *arguments], runs)
        slowest = max(slowest, took)
        told = f"gateway {' '.join(arguments)}"
        print(f"{told:<32} {1000 * took:6.0f} ms  {took / bare:4.1f} x python, target {1000 * _TARGET_SECONDS:.0f} ms")
    return int(slowest > _TARGET_SECONDS)


def _median(command: list[str], runs: int) -> float:
    """Seconds from start to end."""
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        found.append(time.perf_counter() - began)
    return statistics.median(found)
