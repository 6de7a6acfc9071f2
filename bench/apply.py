"""From "set this workload" to its first answer, with 100, 1,000 and 10,000 workloads, against the plain arrangement.

Ours is the whole appliance (`gateway run`, real Traefik, the admin API). The plain arrangement is the same Traefik with
its default settings and one flat file of all routes, which is written anew and renamed for each change. The wildcard
certificate comes from Pebble once; all requests are HTTPS, and a change counts as live with its first 200.
"""

import argparse
import contextlib
import functools
import http.client
import json
import os
import re
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from appliance.cli.client import AdminClient
from tests.peers import addresses, appliance, https
from tests.peers.appliance import TRAEFIK, Appliance
from tests.peers.launching import Launched, await_result
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble
from tests.peers.unbound import Unbound

_CHANGES = 7
_LONGEST_SECONDS = 120.0
_HTTPS = f"https://{addresses.GATEWAY}/ping"


def main() -> int:
    """Print a line for each size, and the ratios of one run."""
    parser = argparse.ArgumentParser(description="set to first 200")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10000])
    sizes = parser.parse_args().sizes
    speeds: dict[int, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="gw") as directory,
        _peers(Path(directory)) as (ca, backend),
    ):
        for size in sizes:
            with tempfile.TemporaryDirectory(prefix="gw") as scratch:
                ours, speeds[size] = _measure_ours(Path(scratch), size, ca, backend)
            with tempfile.TemporaryDirectory(prefix="gw") as scratch:
                plain, flat_speed = _measure_plain(Path(scratch), size, backend)
            print(
                f"apply {size}: set to first 200, median of {_CHANGES}: appliance {ours:.3f} s, plain {plain:.3f} s, "
                f"ratio {plain / ours:.2f}; requests/s appliance {speeds[size]:.0f}, plain {flat_speed:.0f}, "
                f"ratio {speeds[size] / flat_speed:.2f}",
                flush=True,
            )
    if len(speeds) > 1:
        first, last = min(speeds), max(speeds)
        print(f"apply: requests/s at {last} are {speeds[last] / speeds[first]:.2f} of those at {first}")
    return 0


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


def _name(number: int) -> str:
    """Names as orchestrators make them: hexadecimal and evenly spread."""
    return f"w{number * 2654435761 % 2**32:08x}"


def _measure_ours(scratch: Path, size: int, ca: Pebble, backend: str) -> tuple[float, float]:
    ours = Appliance(scratch, appliance.settings(ca))
    workloads = ours.root / "workloads"
    workloads.mkdir(parents=True)
    for number in range(size):
        (workloads / f"1-{number}-x.yaml").write_text(
            f'type: gateway-name-proxy\nname: {_name(number)}\nbackends: ["{backend}"]\n', encoding="utf-8"
        )
    began = time.monotonic()
    try:
        ours.launch()
        ours.program.until(ours.status, "the control plane answers", seconds=60)
        ready = time.monotonic() - began
        _until(lambda: ours.status()["workloads"]["applied"] == size)
        applied = time.monotonic() - began
        trusted = ca.root_pem()
        _until_served(_name(size - 1), trusted)
        control = psutil.Process(ours.pid_of("gateway"))
        print(
            f"boot {size}: control plane ready in {ready:.1f} s, all applied in {applied:.1f} s, "
            f"{control.memory_info().rss / 1e6:.0f} MB",
            flush=True,
        )
        speed = _requests_per_second(size)
        client = AdminClient(ours.root)
        seconds, used = zip(
            *[_one_change(client, control, f"new{number}", backend, trusted) for number in range(_CHANGES)], strict=True
        )
        print(f"one change at {size}: control plane CPU {statistics.median(used) * 1000:.0f} ms", flush=True)
        _burst(ours, client, backend, trusted, 100)
        if size >= 10000:
            _burst(ours, client, backend, trusted, 500)
        return statistics.median(seconds), speed
    finally:
        ours.kill()


def _one_change(
    client: AdminClient, control: psutil.Process, name: str, backend: str, trusted: str
) -> tuple[float, float]:
    """Seconds from the call to the first 200, and the control plane's CPU seconds for it."""
    before = sum(control.cpu_times()[:2])
    began = time.monotonic()
    client.call("PUT", f"/v1/workloads/9-9-{name}", _workload(name, backend))
    _until_served(name, trusted)
    seconds = time.monotonic() - began
    time.sleep(1.0)  # a quiet time: each change is a first one
    return seconds, sum(control.cpu_times()[:2]) - before


def _burst(ours: Appliance, client: AdminClient, backend: str, trusted: str, count: int) -> None:
    reloads = _reloads()
    for number in range(count):
        client.call("PUT", f"/v1/workloads/8-{number}-b", _workload(f"burst{count}-{number}", backend))
    began = time.monotonic()
    _until_all_served([f"burst{count}-{number}.{addresses.DOMAIN}" for number in range(count)], trusted)
    seconds = time.monotonic() - began
    _until(lambda: ours.status()["workloads"]["pending"] == 0)
    print(f"burst of {count}: all live {seconds:.2f} s after the last, {_reloads() - reloads} reloads", flush=True)


def _workload(name: str, backend: str) -> dict[str, Any]:
    return {"type": "gateway-name-proxy", "name": name, "backends": [backend]}


def _measure_plain(scratch: Path, size: int, backend: str) -> tuple[float, float]:
    directory = scratch / "proxy"
    directory.mkdir()
    names = [_name(number) for number in range(size)]
    _write_flat(scratch, directory, names, backend)
    static = scratch / "traefik.yaml"
    static.write_text(
        yaml.safe_dump(
            {
                "global": {"checkNewVersion": False},
                "providers": {"file": {"directory": str(directory), "watch": True}},
                "entryPoints": {"web-secure": {"address": f"{addresses.GATEWAY}:443"}},
            }
        ),
        encoding="utf-8",
    )
    program = Launched([str(TRAEFIK), f"--configFile={static}"], scratch / "log")
    try:
        _until_served(names[-1], None)
        speed = _requests_per_second(size)
        seconds = []
        for number in range(_CHANGES):
            names.append(f"new{number}")
            began = time.monotonic()
            _write_flat(scratch, directory, names, backend)
            _until_served(names[-1], None)
            seconds.append(time.monotonic() - began)
            time.sleep(3.0)  # longer than Traefik's default throttle: each change is a first one here too
        return statistics.median(seconds), speed
    finally:
        program.kill()


def _write_flat(scratch: Path, directory: Path, names: list[str], backend: str) -> None:
    routers = {
        f"{name}-route": {"rule": f"Host(`{name}.{addresses.DOMAIN}`)", "service": name, "tls": {}} for name in names
    }
    services = {name: {"loadBalancer": {"servers": [{"url": backend}]}} for name in names}
    draft = scratch / "draft"
    draft.write_text(json.dumps({"http": {"routers": routers, "services": services}}), encoding="utf-8")
    os.rename(draft, directory / "routes.yaml")


def _until_served(name: str, trusted: str | None) -> None:
    host = f"{name}.{addresses.DOMAIN}"

    def is_served() -> bool:
        with contextlib.suppress(OSError):
            return https.fetch(host, "/ping", ca=trusted).status == 200
        return False

    _until(is_served)


def _until_all_served(hosts: list[str], trusted: str) -> None:
    """Ask for one after the other over one connection: a handshake for each would be measured too."""
    with https.connected(hosts[0], context=https.trusting(trusted)) as secure:
        connection = http.client.HTTPConnection(hosts[0])
        connection.sock = secure

        def is_served(host: str) -> bool:
            connection.request("GET", "/ping", headers={"Host": host})
            with connection.getresponse() as answer:
                answer.read()
                return answer.status == http.client.OK

        for host in hosts:
            _until(functools.partial(is_served, host))


def _until(condition: Callable[[], object]) -> None:
    await_result(condition, "the bench goes on", seconds=_LONGEST_SECONDS)


def _requests_per_second(size: int) -> float:
    """The mean over three names, spread over the routes, with keep-alive and small answers."""
    figures = []
    for number in (0, size // 2, size - 1):
        done = subprocess.run(
            ["wrk", "-t1", "-c16", "-d3s", "-H", f"Host: {_name(number)}.{addresses.DOMAIN}", _HTTPS],
            capture_output=True,
            text=True,
            check=True,
        )
        found = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
        if found is None or "Non-2xx" in done.stdout:
            raise RuntimeError(done.stdout)
        figures.append(float(found[1]))
    return statistics.mean(figures)


def _reloads() -> int:
    with urllib.request.urlopen("http://127.0.0.1:8082/metrics", timeout=10) as answer:
        found = re.search(
            r"^traefik_config_reloads_total(?:\{[^}]*\})? ([0-9.e+]+)", answer.read().decode(), re.MULTILINE
        )
    return int(float(found[1])) if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
