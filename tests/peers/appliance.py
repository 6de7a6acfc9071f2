"""The appliance under test: `gateway run` on a root of its own, as an operator starts it.

Everything is done and seen from outside: files, the command line, signals to its programs, Traefik's own API.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from tests.peers import addresses
from tests.peers.fault_proxy import FaultProxy
from tests.peers.launching import Launched, PeerError, await_result
from tests.peers.pebble import Pebble

GATEWAY: Final = Path(sys.executable).with_name("gateway")
TRAEFIK: Final = Path(sys.executable).with_name("traefik")
_TRAEFIK_API: Final = ("127.0.0.1", 8099)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command came to: its exit code, what it printed (parsed when it is JSON), what it complained of."""

    code: int
    output: Any
    complaint: str


def settings(ca: Pebble | FaultProxy | None = None, *domains: str) -> dict[str, Any]:
    """A `gateway.yaml` for the namespace: the gateway's address for everything public, Pebble as the CA."""
    acme = {"email": "ops@gw.test"}
    trust = {"ca_server": ca.url, "ca_certificates": [str(ca.tls_ca)]} if ca else {}
    return {
        "public": {"ipv4": addresses.GATEWAY, "domains": list(domains or (addresses.DOMAIN,))},
        "acme": acme | trust,
        "dns": {"listen": [f"{addresses.GATEWAY}:53"]},
        "entrypoints": {"web": f"{addresses.GATEWAY}:80", "web_secure": f"{addresses.GATEWAY}:443"},
        "traefik": {"binary": str(TRAEFIK)},
    }


class Appliance:
    """One root and one settings file; started, killed and started again at will."""

    def __init__(
        self, directory: Path, values: Mapping[str, Any] | None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Without `values` there is no settings file yet."""
        self.root = directory / "root"
        self.configuration = directory / "gateway.yaml"
        if values is not None:
            self.write_settings(values)
        own = {"GATEWAY_ROOT": str(self.root), "GATEWAY_CONFIG": str(self.configuration)}
        # Nothing of the tests' own environment that could be taken for a setting reaches it.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        self.environment = inherited | own | dict(environment or {})
        self._log = directory / "appliance.log"
        self._program: Launched | None = None

    @property
    def launched(self) -> bool:
        """Whether it was ever started."""
        return self._program is not None

    @property
    def program(self) -> Launched:
        """The running `gateway run`."""
        if self._program is None:
            raise PeerError("the appliance was not started")
        return self._program

    def write_settings(self, values: Mapping[str, Any]) -> None:
        """Replace `gateway.yaml` in one step, as an editor does."""
        draft = self.configuration.with_suffix(".draft")
        draft.write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
        draft.rename(self.configuration)

    def write_workload(self, identity: str, text: str) -> None:
        """Drop a workload file in place by hand, before or after the start."""
        (self.root / "workloads").mkdir(parents=True, exist_ok=True)
        draft = self.root / f"{identity}.draft"
        draft.write_text(text, encoding="utf-8")
        draft.rename(self.root / "workloads" / f"{identity}.yaml")

    def launch(self) -> Launched:
        """Start `gateway run` without waiting for anything."""
        self._program = self.launch_another(self._log)
        return self._program

    def launch_another(self, log: Path) -> Launched:
        """Start `gateway run` on the same root and settings once more, whatever runs there already."""
        argv = [str(GATEWAY), "run", "--root", str(self.root), "--config", str(self.configuration)]
        return Launched(argv, log, environment=self.environment)

    def start(self, *, seconds: float = 30) -> "Appliance":
        """Start it, and wait until the control plane and Traefik answer."""
        self.launch()
        self.program.until(lambda: self.status() and self.traefik("version"), "the appliance answers", seconds=seconds)
        return self

    def stop(self, *, seconds: float = 30) -> int:
        """SIGTERM, as an init system stops it. The exit code; fails when it does not end or leaves a program behind."""
        started = self.started()
        self.program.process.terminate()
        code = self.program.wait(seconds=seconds)
        _, left = psutil.wait_procs(started, timeout=2)
        if left:
            self.kill(started)
            raise PeerError(f"`gateway run` ended and left {left} running\n{self.program.end_of_log()}")
        return code

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def kill(self, started: list[psutil.Process] | None = None) -> None:
        """SIGKILL for it and all it started."""
        doomed = self.started() if started is None else started
        self.program.kill()
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(doomed, timeout=5)

    def started(self) -> list[psutil.Process]:
        """Every process below `gateway run`."""
        try:
            return psutil.Process(self.program.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def cli(self, *arguments: str, seconds: float = 60) -> Outcome:
        """`gateway ARGUMENTS --json`, as an operator types it."""
        done = subprocess.run(
            [GATEWAY, *arguments, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
        try:
            output = json.loads(done.stdout)
        except ValueError:
            output = done.stdout
        return Outcome(done.returncode, output, done.stderr)

    def must(self, *arguments: str) -> Any:
        """The output of a command that has to succeed."""
        outcome = self.cli(*arguments)
        if outcome.code != 0:
            raise PeerError(f"gateway {' '.join(arguments)}: {outcome}\n{self.program.end_of_log()}")
        return outcome.output

    def workload(self, identity: str) -> Any:
        """`route show`, or None while there is none."""
        outcome = self.cli("route", "show", identity)
        return outcome.output if outcome.code == 0 else None

    def until_state(self, identity: str, state: str, *, seconds: float = 30) -> Any:
        """The workload once it is in `state`."""

        def reached() -> Any:
            shown = self.workload(identity)
            if shown is None or shown["state"] != state:
                raise PeerError(f"{shown}")
            return shown

        return self.program.until(reached, f"{identity} becomes {state}", seconds=seconds)

    def status(self) -> dict[str, Any]:
        """`GET /v1/status` of the admin API, without starting a command for it."""
        return dict(_get_json(_UnixConnection(self.root / "run" / "admin.sock"), "/v1/status"))

    def pid_of(self, name: str) -> int:
        """The process of `traefik` or `gateway` (the control plane), as a healthy `gateway status` reports it."""
        return self.program.until(lambda: self._pid_of(name), f"{name} runs")

    def _pid_of(self, name: str) -> int:
        for program in self.must("status")["programs"]:
            if program["name"] == name and program["pid"]:
                return int(program["pid"])
        raise PeerError(f"{name} has no process")

    def kill_program(self, name: str) -> int:
        """SIGKILL for `traefik` or `gateway`. The pid it had."""
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def until_replaced(self, name: str, old: int, *, seconds: float = 30) -> int:
        """The pid of `name` once supervisord runs another process than `old` for it."""

        def replacement() -> int | None:
            pid = self._pid_of(name)
            return pid if pid != old else None

        return await_result(replacement, f"{name} is back", seconds=seconds, log=self.program.end_of_log)

    def traefik(self, path: str) -> Any:
        """Traefik's own API, `version` or `http/routers` and so on."""
        connection = http.client.HTTPConnection(*_TRAEFIK_API, timeout=5)
        return _get_json(connection, f"/api/{path}")


MakeAppliance = Callable[..., Appliance]
"""What the fixture `new_appliance` gives: settings (default: without a CA), `environment=`, `settings_file=` (whether
there is one from the start). The appliance is not started yet, and killed after the test."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        """HTTP over a unix socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.close()
            raise


def _get_json(connection: http.client.HTTPConnection, path: str) -> Any:
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            with connection.getresponse() as answer:
                body = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"{path}: {error!r}") from error
        if answer.status != 200:
            raise PeerError(f"{path}: {answer.status} {body[:500]!r}")
        return json.loads(body)
