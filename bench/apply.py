"""From "set this workload" to its first answer, with 100, 1,000 and 10,000 workloads, against the plain arrangement.

Ours is the whole appliance (`gateway run`, real Traefik, the admin API). The plain arrangement is the same Traefik with
its default settings and one file for each workload, above a thousand one file for all. The wildcard certificate comes
from Pebble once; all requests are HTTPS, and a change counts as live with its first 200 over a new connection.
Every target is printed with what it was held against; the exit code is 1 when one of them is missed.
"""

import argparse
import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import apply_probes as probes
from bench.apply_sides import Ours, Plain, Side
from tests.peers import addresses
from tests.peers.appliance import TRAEFIK
from tests.peers.launching import Launched
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble
from tests.peers.unbound import Unbound

_FEW, _SOME, _MANY = 100, 1_000, 10_000
_CHANGES = 5
_STARTS = 3
_AT_REST_SECONDS, _AT_REST_TIMES = 10.0, 2
_BURST, _LARGE_BURST = 100, 500
_FIRST_ANSWER_SECONDS = {_FEW: 0.250, _SOME: 0.500}
_TIMES_FASTER_THAN_FLAT = 1.5
_SHARE_OF_REQUESTS = 0.7
_BURST_SECONDS = 1.5
_BURST_RELOADS = 3
_OWN_CPU_SECONDS = 0.050
_READY_SECONDS = 5.0
_MOST_MEMORY_MB = 250.0


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one side came to."""

    served_seconds: float
    """From its start until the last name is served."""
    first_answer_seconds: float
    """Median, from a set to the first 200."""
    own_cpu_seconds: float
    """Median, for a change, Traefik left out, and what is spent in as much time when nothing changes."""
    at_rest_cpu: float
    """That: CPU seconds a second."""
    requests_per_second: float
    burst_seconds: float
    """From the last of a burst of changes until all of them are live; 0 where it was not tried."""


class Verdicts:
    """Prints each target with the figure, and remembers whether one was missed."""

    def __init__(self) -> None:
        self.missed = 0

    def at_most(self, what: str, figure: float, bound: float, told: str) -> None:
        """The figure has to be no more than the bound."""
        self._say(what, figure, f"at most {bound:g}", told, is_met=figure <= bound)

    def at_least(self, what: str, figure: float, bound: float, told: str) -> None:
        """The figure has to be no less than the bound."""
        self._say(what, figure, f"at least {bound:g}", told, is_met=figure >= bound)

    def _say(self, what: str, figure: float, bound: str, told: str, *, is_met: bool) -> None:
        self.missed += not is_met
        print(f"{'met   ' if is_met else 'MISSED'} {what}: {figure:.3g}, target {bound} ({told})", flush=True)


def main() -> int:
    """Print the figures of each size, and a verdict for each target that belongs to it."""
    parser = argparse.ArgumentParser(description="set to first 200")
    parser.add_argument("--sizes", type=int, nargs="+", default=[_FEW, _SOME, _MANY])
    sizes = parser.parse_args().sizes
    verdicts = Verdicts()
    few_rate = 0.0
    with _scratch() as directory, _peers(directory) as (ca, backend):
        for size in sizes:
            with _scratch() as scratch:
                rate = _judge(size, verdicts, scratch, ca, backend)
            if size == _FEW:
                few_rate = rate
            if size == _MANY:
                base = few_rate or _rate(_FEW, ca, backend)
                told = f"{rate:.0f} a second against {base:.0f} with {_FEW} workloads"
                verdicts.at_least(f"{size}: share of the requests with {_FEW}", rate / base, _SHARE_OF_REQUESTS, told)
    return int(verdicts.missed > 0)


def _judge(size: int, verdicts: Verdicts, scratch: Path, ca: Pebble, backend: str) -> float:
    """Measure both sides with `size` workloads. Our requests per second."""
    ours_at, plain_at = scratch / "ours", scratch / "plain"
    ours_at.mkdir()
    plain_at.mkdir()
    ours = _ours(size, verdicts, ours_at, ca, backend)
    plain = _plain(size, plain_at, backend)
    ratio = plain.first_answer_seconds / ours.first_answer_seconds
    told = f"plain {plain.first_answer_seconds:.3f}, ratio {ratio:.2f}"
    if size in _FIRST_ANSWER_SECONDS:
        bound = _FIRST_ANSWER_SECONDS[size]
        verdicts.at_most(f"{size}: s from set to first 200", ours.first_answer_seconds, bound, told)
    if size == _MANY:
        told = f"{ours.first_answer_seconds:.3f} s against {plain.first_answer_seconds:.3f} s"
        verdicts.at_least(f"{size}: times faster than one flat file", ratio, _TIMES_FASTER_THAN_FLAT, told)
        told = f"plain {plain.own_cpu_seconds:.3f}, ratio {plain.own_cpu_seconds / ours.own_cpu_seconds:.2f}"
        verdicts.at_most(f"{size}: s of CPU for one change, without Traefik", ours.own_cpu_seconds, 0.05, told)
    if size == _SOME:
        told = f"plain {plain.burst_seconds:.2f}, ratio {plain.burst_seconds / ours.burst_seconds:.2f}"
        verdicts.at_most(f"{size}: s until {_BURST} changes are live", ours.burst_seconds, _BURST_SECONDS, told)
    print(
        f"       {size}: set to first 200 {ours.first_answer_seconds:.3f} s, {ratio:.2f} times as fast as plain; "
        f"requests a second {ours.requests_per_second:.0f}, plain {plain.requests_per_second:.0f}, "
        f"ratio {ours.requests_per_second / plain.requests_per_second:.2f}; CPU of one change "
        f"{ours.own_cpu_seconds * 1000:.0f} ms, and {ours.at_rest_cpu * 1000:.0f} ms a second at rest; "
        f"all served {ours.served_seconds:.1f} s after the start, "
        f"plain {plain.served_seconds:.1f} s",
        flush=True,
    )
    return ours.requests_per_second


def _ours(size: int, verdicts: Verdicts, scratch: Path, ca: Pebble, backend: str) -> Figures:
    side = Ours(scratch, size, ca, backend)
    try:
        ready, served = side.start()
        memory = side.most_memory_bytes() / 1e6
        figures = _figures(side, size, served, is_burst=size <= _SOME)
        if size == _MANY:
            _judge_large_burst(side, verdicts)
            told = f"all served after {served:.1f}"
            verdicts.at_most(f"{size}: s from the first start to ready", ready, _READY_SECONDS, told)
            again = list[float]()
            for _ in range(_STARTS):
                side.stop()
                again.append(side.start()[0])
                memory = max(memory, side.most_memory_bytes() / 1e6)
            told = f"median of {_shown(again)}"
            verdicts.at_most(f"{size}: s from a later start to ready", statistics.median(again), _READY_SECONDS, told)
            verdicts.at_most(f"{size}: MB of memory at most", memory, _MOST_MEMORY_MB, "of all starts")
        return figures
    finally:
        side.kill()


def _judge_large_burst(side: Ours, verdicts: Verdicts) -> None:
    """The plain arrangement is not asked for this: it reads everything anew at each write, for ten minutes."""
    before = probes.reloads()
    seconds = _burst(side, _LARGE_BURST)
    told = f"all live {seconds:.1f} s after the last"
    verdicts.at_most(f"{_MANY}: reloads for {_LARGE_BURST} changes", probes.reloads() - before, _BURST_RELOADS, told)


def _plain(size: int, scratch: Path, backend: str) -> Figures:
    side = Plain(scratch, size, backend, is_flat=size > _SOME)
    try:
        return _figures(side, size, side.start(), is_burst=size <= _SOME)
    finally:
        side.kill()


def _figures(side: Side, size: int, served: float, *, is_burst: bool) -> Figures:
    rate = probes.requests_per_second(size)
    side.settle()
    at_rest = _at_rest_cpu(side)
    seconds, cpu = list[float](), list[float]()
    for number in range(_CHANGES):
        began, before = time.monotonic(), side.cpu_seconds()
        seconds.append(_first_answer(side, f"new{number}"))
        cpu.append(side.cpu_seconds() - before - at_rest * (time.monotonic() - began))
    print(f"       {size}, {type(side).__name__.lower()}: s from set to first 200 {_shown(seconds)}", flush=True)
    print(f"       {size}, {type(side).__name__.lower()}: s of CPU for a change {_shown(cpu)}", flush=True)
    burst = _burst(side, _BURST) if is_burst else 0.0
    return Figures(served, statistics.median(seconds), statistics.median(cpu), at_rest, rate, burst)


def _at_rest_cpu(side: Side) -> float:
    """CPU seconds a second while nothing changes; the least of some, for what a start brings along may fall in one."""
    spent: list[float] = []
    for _ in range(_AT_REST_TIMES):
        before = side.cpu_seconds()
        time.sleep(_AT_REST_SECONDS)
        spent.append((side.cpu_seconds() - before) / _AT_REST_SECONDS)
    return min(spent)


def _first_answer(side: Side, label: str) -> float:
    began = time.monotonic()
    side.set([label])
    probes.until_served(label, side.trusted)
    seconds = time.monotonic() - began
    side.settle()
    return seconds


def _burst(side: Side, count: int) -> float:
    """Seconds from the last change until all of them are live."""
    labels = [f"burst{count}-{number}" for number in range(count)]
    side.set(labels)
    began = time.monotonic()
    probes.until_all_served(labels, side.trusted)
    seconds = time.monotonic() - began
    side.settle()
    return seconds


def _rate(size: int, ca: Pebble, backend: str) -> float:
    """Our requests per second alone."""
    with _scratch() as scratch:
        side = Ours(scratch, size, ca, backend)
        try:
            side.start()
            return probes.requests_per_second(size)
        finally:
            side.kill()


def _shown(seconds: list[float]) -> str:
    return " ".join(f"{figure:.3f}" for figure in sorted(seconds))


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gw") as directory:
        yield Path(directory)


@contextlib.contextmanager
def _peers(directory: Path) -> Iterator[tuple[Pebble, str]]:
    """The CA, and the URL of a backend that is faster than what is measured: another Traefik's ping."""
    with contextlib.ExitStack() as stack:
        parent = Nsd(directory)
        stack.callback(parent.stop)
        parent.add_gateway()
        resolver = Unbound(directory)
        stack.callback(resolver.stop)
        ca = Pebble(directory)
        stack.callback(ca.stop)
        point = f"{addresses.BACKEND}:9000"
        arguments = ["--ping=true", "--ping.entryPoint=ping", f"--entryPoints.ping.address={point}"]
        backend = Launched([str(TRAEFIK), "--global.checkNewVersion=false", *arguments], directory / "backend.log")
        stack.callback(backend.kill)
        yield ca, f"http://{point}"


if __name__ == "__main__":
    raise SystemExit(main())
