"""`hooks/dns01 present`, alone and 32 at once, against the original arrangement: a script that starts dnsmasq.

Both are run as Traefik runs them, and both are timed until they exit, which is when the value must be answered. The
original keeps one value at a time: of 32 at once, what is left of it is counted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from bench.original.gateway import SCRIPT
from tests.peers import addresses, authority
from tests.peers.authority import APEX

HOOK = Path(__file__).parents[1] / "hooks" / "dns01"
_AT_ONCE = 32
_MEDIAN_SECONDS = 0.025
_AT_ONCE_SECONDS = 0.5


def main() -> int:
    """Print every figure and ratio; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description="the hook against the original arrangement")
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="gw") as name:
        root = Path(name)
        # As the appliance has it: its own interpreter comes first.
        path = f"{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"
        environment = {**os.environ, "GATEWAY_ROOT": str(root), "PATH": path}
        with authority.running(root) as server:
            alone = statistics.median(_timed(HOOK, environment, [number]) for number in range(rounds))
            at_once = statistics.median(_timed(HOOK, environment, range(_AT_ONCE)) for _ in range(5))
            answered = _answered("127.0.0.1", authority.port_of(server))
        their_alone, their_at_once, theirs = _original(root)
    print(f"hook: present, alone, median of {rounds}: {alone * 1000:.1f} ms; original {their_alone * 1000:.0f} ms")
    print(f"hook: present, {_AT_ONCE} at once: {at_once:.3f} s; original {their_at_once:.3f} s")
    print(f"hook: values answered after {_AT_ONCE} at once: {answered}; original {theirs}")
    print(f"hook: alone, original to ours: ratio {their_alone / alone:.1f} (target {_MEDIAN_SECONDS * 1000:.0f} ms)")
    print(
        f"hook: {_AT_ONCE} at once, original to ours: ratio {their_at_once / at_once:.1f} (target {_AT_ONCE_SECONDS} s)"
    )
    return int(alone > _MEDIAN_SECONDS or at_once > _AT_ONCE_SECONDS or answered < _AT_ONCE)


def _original(root: Path) -> tuple[float, float, int]:
    """Alone (with the previous value's dnsmasq running, as in every order but the first), at once, values answered."""
    environment = {**os.environ, "CERT_RUN": str(root / "original"), "CERT_ADDRESS": addresses.GATEWAY}
    _timed(SCRIPT, environment, [0])
    alone = statistics.median(_timed(SCRIPT, environment, [number]) for number in range(1, 4))
    at_once = _timed(SCRIPT, environment, range(_AT_ONCE))
    answered = _answered(addresses.GATEWAY, 53)
    subprocess.run([SCRIPT, "cleanup", APEX, "x"], env=environment, check=False)
    return alone, at_once, answered


def _timed(program: Path, environment: Mapping[str, str], numbers: Sequence[int]) -> float:
    """Seconds until all of `present`, one process for each number, have ended."""
    started = time.perf_counter()
    running = [
        subprocess.Popen([program, "present", f"{APEX}.", f"{number:043}"], env=environment, stderr=subprocess.DEVNULL)
        for number in numbers
    ]
    for process in running:
        process.wait()
    return time.perf_counter() - started


def _answered(address: str, port: int) -> int:
    """How many values the authority there answers."""
    try:
        response = dns.query.tcp(dns.message.make_query(APEX, "TXT"), address, port=port, timeout=2)
    except (OSError, EOFError, dns.exception.DNSException):
        return 0
    return sum(len(rrset) for rrset in response.answer)
