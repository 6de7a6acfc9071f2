"""The two sides of `apply`: the appliance, and the plain arrangement, Traefik with its default settings and files.

Both serve the same names from the same backend. The plain arrangement writes a file as the original does: one for each
workload, or (`is_flat`) one for all, anew for each change; its own share of a change is what writing costs.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import psutil
import yaml

from appliance.cli.client import AdminClient
from bench import apply_probes as probes
from tests.peers import addresses, appliance
from tests.peers.appliance import TRAEFIK, Appliance
from tests.peers.launching import Launched
from tests.peers.pebble import Pebble

_CPU_CLOCK = 2
"""CPUCLOCK_SCHED, of include/linux/posix-timers.h."""
_START_SECONDS = 120.0
_QUIET_SECONDS = 1.0
"""After a change, until what follows from it (accounts are saved) is done and the next change is a first one again."""
_PLAIN_QUIET_SECONDS = 3.0
"""Longer than Traefik's default throttle of 2 s."""


class Side(Protocol):
    """One arrangement with `size` workloads."""

    trusted: str | None
    """The CA (PEM) that names are asked for with; None: any certificate will do."""

    def set(self, names: Sequence[str]) -> None:
        """Set new workloads of these names, one after the other."""

    def settle(self) -> None:
        """Wait until nothing is under way any more."""

    def cpu_seconds(self) -> float:
        """What deciding and writing has cost so far, Traefik left out."""


class Ours:
    """The appliance: `gateway run` on a root with workload files."""

    def __init__(self, scratch: Path, size: int, ca: Pebble, backend: str) -> None:
        self.trusted: str | None = None
        self._ca, self._size, self._backend = ca, size, backend
        self._appliance = Appliance(scratch, appliance.settings(ca))
        self._client = AdminClient(self._appliance.root)
        self._control: psutil.Process | None = None
        self._sets = self._settled = 0
        workloads = self._appliance.root / "workloads"
        workloads.mkdir(parents=True)
        for number in range(size):
            (workloads / f"1-{number}-x.yaml").write_text(
                f'type: gateway-name-proxy\nname: {probes.name(number)}\nbackends: ["{backend}"]\n', encoding="utf-8"
            )

    def start(self) -> tuple[float, float]:
        """Seconds until the control plane answers, and until everything is applied and the last name is served."""
        began = time.monotonic()
        self._appliance.launch()
        self._appliance.program.until(self._appliance.status, "the control plane answers", seconds=_START_SECONDS)
        ready = time.monotonic() - began
        self._until_applied(self._size + self._sets)
        self.trusted = self._ca.root_pem()
        probes.until_served(probes.name(self._size - 1), self.trusted)
        served = time.monotonic() - began
        self._control = psutil.Process(self._appliance.pid_of("gateway"))
        return ready, served

    def most_memory_bytes(self) -> int:
        """The largest resident set the control plane has had."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def stop(self) -> None:
        """As an init system stops it; it can be started again."""
        self._appliance.stop(seconds=60)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._appliance.kill()

    def set(self, names: Sequence[str]) -> None:
        """Through the admin API."""
        for name in names:
            self._sets += 1
            document = {"type": "gateway-name-proxy", "name": name, "backends": [self._backend]}
            self._client.call("PUT", f"/v1/workloads/9-{self._sets}-x", document)

    def settle(self) -> None:
        """Wait until all that was set is applied, and a little longer. Asks for each: a status looks at all of them."""
        while self._settled < self._sets:
            path = f"/v1/workloads/9-{self._settled + 1}-x"
            probes.until(lambda: self._client.call("GET", path)["state"] == "applied", pause_seconds=0.1)  # noqa: B023
            self._settled += 1
        time.sleep(_QUIET_SECONDS)

    def cpu_seconds(self) -> float:
        """Of the control plane, by its CPU clock (clock_getcpuclockid(3)): ticks of 10 ms would be too coarse."""
        return time.clock_gettime(~self._process.pid << 3 | _CPU_CLOCK)

    @property
    def _process(self) -> psutil.Process:
        if self._control is None:
            raise RuntimeError("the appliance was not started")
        return self._control

    def _until_applied(self, count: int) -> None:
        probes.until(lambda: self._appliance.status()["workloads"]["applied"] == count, pause_seconds=0.5)


class Plain:
    """Traefik with default settings on a directory of files."""

    trusted: str | None = None

    def __init__(self, scratch: Path, size: int, backend: str, *, is_flat: bool) -> None:
        self._scratch, self._backend, self._is_flat = scratch, backend, is_flat
        self._directory = scratch / "proxy"
        self._directory.mkdir()
        self._names = [probes.name(number) for number in range(size)]
        self._program: Launched | None = None
        self._cpu_seconds = 0.0
        self._write(self._names)

    def start(self) -> float:
        """Seconds until the last name is served."""
        static = self._scratch / "traefik.yaml"
        content = {
            "global": {"checkNewVersion": False},
            "providers": {"file": {"directory": str(self._directory), "watch": True}},
            "entryPoints": {"web-secure": {"address": f"{addresses.GATEWAY}:443"}},
        }
        static.write_text(yaml.safe_dump(content), encoding="utf-8")
        began = time.monotonic()
        self._program = Launched([str(TRAEFIK), f"--configFile={static}"], self._scratch / "log")
        probes.until_served(self._names[-1], None)
        return time.monotonic() - began

    def kill(self) -> None:
        """End it."""
        if self._program is not None:
            self._program.kill()

    def set(self, names: Sequence[str]) -> None:
        """Write for each of them."""
        began = time.process_time()
        for name in names:
            self._names.append(name)
            self._write([name])
        self._cpu_seconds += time.process_time() - began

    def settle(self) -> None:
        """Wait longer than Traefik's throttle."""
        time.sleep(_PLAIN_QUIET_SECONDS)

    def cpu_seconds(self) -> float:
        """Of writing."""
        return self._cpu_seconds

    def _write(self, fresh: Sequence[str]) -> None:
        if self._is_flat:
            self._replace("routes.yaml", self._names)
            return
        for name in fresh:
            self._replace(f"{name}.yaml", [name])

    def _replace(self, file_name: str, names: Sequence[str]) -> None:
        draft = self._scratch / "draft"
        draft.write_text(json.dumps({"http": self._http(names)}), encoding="utf-8")
        os.rename(draft, self._directory / file_name)

    def _http(self, names: Sequence[str]) -> dict[str, Any]:
        routers = {
            f"{name}-route": {"rule": f"Host(`{name}.{addresses.DOMAIN}`)", "service": name, "tls": {}}
            for name in names
        }
        services = {name: {"loadBalancer": {"servers": [{"url": self._backend}]}} for name in names}
        return {"routers": routers, "services": services}
