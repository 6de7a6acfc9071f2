"""The authority against NSD and dnsmasq: the same zone, the same machine, the same run, the servers taking turns.

dnsperf on loopback asks over UDP and TCP; one server process each, rate limiting off. Every figure is the median of the
rounds, every ratio is to the peer of the same run.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from appliance import logs
from appliance.adapters.dns import DnsServer
from appliance.control.challenges import Challenges
from appliance.model.challenges import Challenge
from appliance.model.histories import Entry
from appliance.model.zones import Zone
from tests.peers import authority, nameservers
from tests.peers.authority import APEX
from tests.peers.launching import Launched

_PROJECT = Path(__file__).parents[1]
_VALUE = "x" * 43
_MANY = 1000
_RATE = 20_000
_LATENCY_ROUNDS = 25
"""Of two seconds each, of which the second counts, since a server that was idle has to get going; and compared with
their neighbours: what else the machine does spreads the percentiles of any server over a factor of ten, from one second
to the next but one."""
_PRESENTS = 300

_OURS = "ours"
_WILDCARD = "ours on a wildcard socket"
_LARGE = "ours with 1,000 zones and values"
_BUSY = "ours while 10,000 workloads are planned"
_APART = "ours while another process plans them"
_LOWEST = "ours while another process plans them at the lowest priority"
_NSD_APART = "NSD while another process plans them"
_VARIANTS = ((_OURS, "127.0.0.1", 1), (_WILDCARD, "0.0.0.0", 1), (_LARGE, "127.0.0.1", _MANY))


def main() -> int:
    """Print every figure and ratio; 1 when a target is missed or a question was lost."""
    parser = argparse.ArgumentParser(description="DNS authority against NSD and dnsmasq")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gw") as name, ExitStack() as stack:
        directory = Path(name)
        perf = _Dnsperf(directory, options.rounds, options.seconds)
        perf.ports |= _start(stack, directory)
        return _measure(directory, perf)


def _start(stack: ExitStack, directory: Path) -> dict[str, int]:
    """All servers but the busy one, by name; each idles while another is asked."""
    zone = (
        f"$ORIGIN {APEX}.\n@ 60 IN SOA {authority.DOMAIN}. hostmaster.{authority.DOMAIN}. 1 60 60 3600 1\n"
        f'@ 60 IN NS {authority.DOMAIN}.\n@ 1 IN TXT "{_VALUE}"\n'
    )
    port = nameservers.free_port
    ports = {
        "NSD": stack.enter_context(nameservers.nsd(directory / "nsd", {APEX: zone}, port())),
        "dnsmasq": stack.enter_context(nameservers.dnsmasq(directory / "dnsmasq", APEX, {APEX: _VALUE}, port())),
    }
    for name, address, zones in _VARIANTS:
        ports[name] = _start_ours(stack, directory / str(len(ports)), address, zones)
    return ports


def _start_ours(stack: ExitStack, root: Path, address: str, zones: int) -> int:
    server = stack.enter_context(authority.running(root, address, zones=zones))
    for number in range(zones):
        authority.present(root, authority.apex(number), _VALUE)
    return authority.port_of(server)


def _measure(directory: Path, perf: "_Dnsperf") -> int:
    names = [f"{number * 2654435761 % 2**32:x}.{APEX}" for number in range(100_000)]
    udp = perf.speeds("UDP", tuple(perf.ports), [APEX])
    tcp = perf.speeds("TCP, persistent connections", ("NSD", _OURS), [APEX], "-m", "tcp")
    large = perf.speeds("UDP, 1,000 names in turn", (_LARGE,), [authority.apex(number) for number in range(_MANY)])
    missing = perf.speeds("UDP, random names", ("NSD", _OURS), names)
    with ExitStack() as stack:
        busy = stack.enter_context(authority.running(directory / "busy", is_busy=True))
        perf.ports[_BUSY] = authority.port_of(busy)
        authority.present(directory / "busy", APEX, _VALUE)
        stack.enter_context(perf.resting((_BUSY,), busy.process.pid))
        perf.ports |= {_APART: perf.ports[_OURS], _LOWEST: perf.ports[_OURS], _NSD_APART: perf.ports["NSD"]}
        for servers, priority in (((_APART, _NSD_APART), ()), ((_LOWEST,), ("lowest",))):
            argv = [sys.executable, "-m", "tests.peers.planning", *priority]
            planner = Launched(argv, directory / "planner.log", cwd=_PROJECT)
            stack.callback(planner.stop)
            stack.enter_context(perf.resting(servers, planner.process.pid))
        p99 = perf.p99s(("NSD", _OURS, _BUSY, _APART, _LOWEST, _NSD_APART))
    with ExitStack() as stack:
        present = _present_ms(stack, directory / "present")
    print(f"dns: present over the socket, answered and stored, median of {_PRESENTS}: {present:.2f} ms")
    answerable = max(_answerable_seconds(1), _answerable_seconds(_MANY))
    print(f"dns: questions lost: {perf.lost}")
    return _verdict(
        {
            "UDP, ours to dnsmasq": (udp[_OURS] / udp["dnsmasq"], 1.3),
            "UDP, ours to NSD": (udp[_OURS] / udp["NSD"], 0.9),
            "UDP, a wildcard socket to NSD": (udp[_WILDCARD] / udp["NSD"], 0.9),
            "UDP, one name of 1,000 to the only one": (udp[_LARGE] / udp[_OURS], 0.85),
            "UDP, 1,000 names in turn to the only one": (large[_LARGE] / udp[_OURS], 0.85),
            "TCP, ours to NSD": (tcp[_OURS] / tcp["NSD"], 0.5),
            "UDP, random names, ours to NSD": (missing[_OURS] / missing["NSD"], 0.0),
            "p99 at 20,000 a second, the lowest rate reached to that": (perf.lowest_rate / _RATE, 0.95),
            "p99 at 20,000 a second, NSD's to ours": (p99.ratio("NSD", _OURS), 0.5),
            "p99 at 20,000 a second, quiet to planning": (p99.ratio(_OURS, _BUSY), 1 / 3),
            "p99 at 20,000 a second, planned by another process to planning": (p99.ratio(_APART, _BUSY), 0.0),
            "p99 at 20,000 a second, planned at the lowest priority to planning": (p99.ratio(_LOWEST, _BUSY), 0.0),
            "p99 at 20,000 a second, NSD's beside planning to ours planning": (p99.ratio(_NSD_APART, _BUSY), 0.0),
            "present to answerable, 1 ms to ours": (0.001 / answerable, 1.0),
        },
        perf.lost,
    )


def _verdict(ratios: Mapping[str, tuple[float, float]], lost: int) -> int:
    missed = lost > 0
    for what, (ratio, least) in ratios.items():
        target = f"target {least:.2f}" if least else "no target"
        print(f"dns: {what}: ratio {ratio:.2f} ({target}{'' if ratio >= least else ', MISSED'})")
        missed |= ratio < least
    return int(missed)


def _present_ms(stack: ExitStack, root: Path) -> float:
    stack.enter_context(authority.running(root))
    took = [authority.present(root, APEX, f"{number:043}") for number in range(100)]
    for number in range(_PRESENTS):
        took.append(authority.present(root, APEX, f"{number % 100:043}", "cleanup"))
        took.append(authority.present(root, APEX, f"{number % 100:043}"))
    return statistics.median(took) * 1000


class _Nowhere:
    """A store that keeps nothing: what is answered is answered before it is stored."""

    def load(self) -> tuple[int, tuple[Challenge, ...]]:
        return 0, ()

    def save(self, serial: int, challenges: Iterable[Challenge]) -> None:
        pass

    def load_history(self) -> Sequence[Entry]:
        return ()

    def save_history(self, entries: Iterable[Entry]) -> None:
        pass


def _answerable_seconds(count: int) -> float:
    """The median from the call of `present` until it is answered, at `count` values. Prints `publish` alone, too."""
    logs.configure("warning")
    server = DnsServer([])
    names = list(map(authority.apex, range(count)))
    values = dict.fromkeys(names, (_VALUE,))
    server.set_zones(Zone(name, "example") for name in names)
    server.publish(1, values)
    publishing = []
    for turn in range(_PRESENTS):
        changed = values | {APEX: (f"{turn:043}",)}
        publishing.append(_took(partial(server.publish, turn, changed)))
    challenges = Challenges(server, _Nowhere(), time.time)
    challenges.set_zones(Zone(name, "example") for name in names)
    for name in names:
        challenges.present(name, _VALUE, "the benchmark")
    presenting = []
    for _ in range(_PRESENTS):
        challenges.clean_up(APEX, _VALUE, "the benchmark")
        presenting.append(_took(partial(challenges.present, APEX, _VALUE, "the benchmark")))
    for what, took in (("publish", publishing), ("present to answerable", presenting)):
        print(f"dns: {what} at {count:,} values, median of {_PRESENTS}: {statistics.median(took) * 1000:.3f} ms")
    return statistics.median(presenting)


def _took(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class _Latencies:
    """Percentiles by server and round."""

    def __init__(self, runs: Mapping[str, Sequence[float]]) -> None:
        self._runs = runs

    def ratio(self, server: str, other: str) -> float:
        """One server's to another's: the median over the rounds."""
        return statistics.median(a / b for a, b in zip(self._runs[server], self._runs[other], strict=True))


class _Dnsperf:
    """dnsperf on one core, each server in turn, round after round. `lost` counts questions of ours without answer."""

    def __init__(self, directory: Path, rounds: int, seconds: int) -> None:
        self.ports: dict[str, int] = {}
        self.lost = 0
        self.lowest_rate = float(_RATE)
        self._directory = directory
        self._rounds = rounds
        self._seconds = seconds
        self._resting: dict[str, int] = {}

    @contextmanager
    def resting(self, servers: Sequence[str], process: int) -> Iterator[None]:
        """Inside, `process`, which has work of its own, only runs while one of `servers` is asked."""
        os.kill(process, signal.SIGSTOP)
        self._resting |= dict.fromkeys(servers, process)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    def speeds(self, what: str, servers: Sequence[str], names: Sequence[str], *arguments: str) -> dict[str, float]:
        """Answers a second of each server."""
        runs: dict[str, list[float]] = {server: [] for server in servers}
        for _ in range(self._rounds):
            for server in servers:
                report = self._run(server, names, "-c", "8", "-q", "200", *arguments)
                runs[server].append(_speed(report))
        medians = {server: statistics.median(speeds) for server, speeds in runs.items()}
        for server, speed in medians.items():
            print(f"dns: {what}: {server}: {speed:,.0f} answers a second", flush=True)
        return medians

    def p99s(self, servers: Sequence[str]) -> "_Latencies":
        """The 99th percentile of the latency of each server at 20,000 questions a second, in seconds."""
        runs: dict[str, list[float]] = {server: [] for server in servers}
        for turn in range(_LATENCY_ROUNDS):
            for server in servers if turn % 2 else reversed(servers):
                report = self._run(server, [APEX], "-c", "8", "-q", "2000", "-Q", str(_RATE), "-v", seconds=2)
                self.lowest_rate = min(self.lowest_rate, _speed(report))
                told = re.findall(r"^> NOERROR .* ([\d.]+)$", report, re.MULTILINE)  # in the order of the answers
                latencies = sorted(map(float, told[-_RATE:]))
                runs[server].append(latencies[len(latencies) * 99 // 100])
        for server, found in runs.items():
            print(f"dns: p99 at {_RATE:,} a second: {server}: {statistics.median(found) * 1000:.2f} ms", flush=True)
        return _Latencies(runs)

    def _run(self, server: str, names: Sequence[str], *arguments: str, seconds: int | None = None) -> str:
        asked = self._directory / "questions"
        asked.write_text("".join(f"{name} TXT\n" for name in names))
        argv = ["dnsperf", "-s", "127.0.0.1", "-p", str(self.ports[server]), "-d", str(asked), "-T", "1"]
        argv += ["-l", str(seconds or self._seconds), *arguments]
        with self._awake(server):
            report = self._report(argv)
        if server not in ("NSD", _NSD_APART, "dnsmasq"):
            self.lost += int(_found(r"Queries lost:\s+(\d+)", report))
        return report

    @contextmanager
    def _awake(self, server: str) -> Iterator[None]:
        process = self._resting.get(server)
        if process is None:
            yield
            return
        os.kill(process, signal.SIGCONT)
        try:
            yield
        finally:
            os.kill(process, signal.SIGSTOP)

    def _report(self, argv: Sequence[str]) -> str:
        """What dnsperf prints; by way of a file, since a reader beside it would want a core of its own."""
        printed = self._directory / "report"
        with printed.open("w") as output:
            subprocess.run(argv, stdout=output, check=True)
        return printed.read_text()


def _speed(report: str) -> float:
    return float(_found(r"Queries per second:\s+([\d.]+)", report))


def _found(pattern: str, report: str) -> str:
    found = re.search(pattern, report)
    if found is None:
        raise ValueError(f"dnsperf did not print {pattern}: {report[-2000:]}")
    return found[1]
