"""Five thousand random operations on a real Traefik: whatever people, calls, accidents and restarts do, and in whatever
order, API, files and served routes agree in the end, and nothing that was refused is served.
"""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from appliance.cli.client import AdminClient
from appliance.model.errors import Conflict, GatewayError, InvalidInput, Refused
from tests.peers import addresses, https
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.appliance import settings as gateway_settings
from tests.peers.backends import Backend
from tests.peers.launching import PeerError, await_result
from tests.peers.pebble import Pebble

_WANTED_STEPS = 5000
_RUNS = 16
_STEPS = 500
_SECONDS_TO_AGREE = 60.0

_ids = st.integers(0, 24).map(lambda number: f"{number}-w")
_labels = st.integers(0, 30).map(lambda number: f"n{number}")
_rubbish = st.sampled_from(["", "][", "type: 7\n", "a: &a [*a]\n", "type: gateway-name-proxy\nname: n1\n", "\x00\x01"])


class Operations(RuleBasedStateMachine):
    """What an API's answer says is the model: accepted is there, refused has changed nothing."""

    appliance: Appliance
    backend: Backend
    kills: int
    steps: int

    @initialize()
    def begin_empty(self) -> None:
        """Every run starts with no workload."""
        self.client = AdminClient(self.appliance.root)
        self.hosts: dict[str, str] = {}
        self.rubbish: set[str] = set()
        self.passed_through: set[str] = set()
        for view in self._call("GET", "/v1/workloads"):
            self._call("DELETE", f"/v1/workloads/{view['id']}")
        await_result(lambda: self._call("GET", "/v1/workloads") == [], "all are gone", seconds=_SECONDS_TO_AGREE)

    @rule(identity=_ids, label=_labels, passthrough=st.booleans())
    def set_name(self, identity: str, label: str, passthrough: bool) -> None:
        """Create or update a name proxy by the API."""
        backend = "10.99.0.9:9" if passthrough else self.backend.url
        document = {"type": "gateway-name-proxy", "name": label, "backends": [backend], "tls_passthrough": passthrough}
        if self._set(identity, document, f"{label}.{addresses.DOMAIN}"):
            (self.passed_through.add if passthrough else self.passed_through.discard)(identity)

    @rule(identity=_ids, label=_labels)
    def set_fqdn(self, identity: str, label: str) -> None:
        """Create or update an FQDN proxy by the API."""
        document = {"type": "gateway-fqdn-proxy", "fqdn": f"{label}.other.test", "backends": [self.backend.url]}
        self._set(identity, document, f"{label}.other.test")

    @rule(identity=_ids)
    def set_forbidden(self, identity: str) -> None:
        """A loop and a metadata address are refused and change nothing."""
        for backend in (f"http://{addresses.GATEWAY}", "http://169.254.169.254"):
            document = {"type": "gateway-name-proxy", "name": "evil", "backends": [backend]}
            with contextlib.suppress(Refused):
                self._call("PUT", f"/v1/workloads/{identity}", document)
                raise AssertionError(f"{backend} was accepted")

    @rule(identity=_ids)
    def delete(self, identity: str) -> None:
        """Delete by the API, there or not."""
        self._call("DELETE", f"/v1/workloads/{identity}")
        self.hosts.pop(identity, None)
        self.rubbish.discard(identity)

    @rule(identity=_ids, content=_rubbish)
    def write_rubbish(self, identity: str, content: str) -> None:
        """Somebody spoils a file: what was accepted before stays live."""
        (self.appliance.root / f"workloads/{identity}.yaml").write_text(content, encoding="utf-8")
        self.rubbish.add(identity)

    @rule(identity=_ids)
    def spoil_a_route_file(self, identity: str) -> None:
        """Somebody edits Traefik's directory."""
        (self.appliance.root / f"proxy/{identity}.yaml").write_text("http: {bogus: 1}\n", encoding="utf-8")

    @rule(dice=st.integers(0, 149))
    def kill_something(self, dice: int) -> None:
        """Now and then a program dies."""
        if dice > 1 or self.kills <= 0:
            return
        name = ("gateway", "traefik")[dice]
        program = self._program(name)
        if program["state"] != "RUNNING":  # supervisord gives up on what dies again and again within seconds
            return
        type(self).kills -= 1
        os.kill(program["pid"], signal.SIGKILL)
        await_result(lambda: self._program(name)["pid"] not in (None, program["pid"]), f"{name} is back", seconds=30)

    @invariant()
    def counted(self) -> None:
        """Hypothesis decides how long a run is; the test says how many steps it wants in all."""
        type(self).steps += 1

    def teardown(self) -> None:
        """API, files and Traefik agree."""
        if hasattr(self, "client"):
            await_result(self._agrees, "API, files and Traefik agree", seconds=_SECONDS_TO_AGREE)

    def _set(self, identity: str, document: dict[str, Any], host: str) -> bool:
        holder = next((other for other, held in self.hosts.items() if held == host and other != identity), None)
        try:
            self._call("PUT", f"/v1/workloads/{identity}", document)
        except Conflict:
            return False
        if holder is not None and holder not in self.rubbish:
            raise AssertionError(f"{host} was given to {identity} although {holder} holds it")
        self.hosts[identity] = host
        self.rubbish.discard(identity)
        return True

    def _program(self, name: str) -> dict[str, Any]:
        return next(item for item in self._call("GET", "/v1/status")["programs"] if item["name"] == name)

    def _call(self, method: str, path: str, document: Any = None) -> Any:
        """One call; while the control plane is being restarted it is made again."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.client.call(method, path, document)
            except (Refused, InvalidInput):
                raise
            except GatewayError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _agrees(self) -> bool:
        views = {view["id"]: view for view in self._call("GET", "/v1/workloads")}
        _require(views.keys() == self.hosts.keys() | self.rubbish, f"listed {sorted(views)}")
        for identity, host in self.hosts.items():
            view = views[identity]
            if identity in self.rubbish:
                _require(view["state"] == "quarantined", f"{view}")
            else:
                _require(view["state"] == "applied" and view["host"] == host, f"{view}")
        routers = {
            item["name"]: item["rule"]
            for protocol in ("http", "tcp")
            for item in self.appliance.traefik(f"{protocol}/routers?per_page=1000")
            if item["provider"] == "file"
        }
        _require(len(set(routers.values())) == len(routers), f"two routers for one host: {routers}")
        for identity in self.hosts.keys() - self.rubbish:
            host = self.hosts[identity]
            _require(f"(`{host}`)" in routers.get(f"{identity}-route@file", ""), f"{identity}: {routers}")
        files = {path.name for path in (self.appliance.root / "proxy").iterdir()}
        _require({f"{name.removesuffix('-route@file')}.yaml" for name in routers} == files, f"{files} {routers}")
        return self._is_served()

    def _is_served(self) -> bool:
        """A sample of the names is asked for over HTTPS."""
        terminated = [
            host
            for identity, host in sorted(self.hosts.items())
            if identity not in self.rubbish | self.passed_through and host.endswith(addresses.DOMAIN)
        ]
        for host in terminated[:5]:
            _require(https.fetch(host).status == 200, host)
        return True


def _require(condition: bool, what: str) -> None:
    """Not yet: `await_result` asks again."""
    if not condition:
        raise PeerError(what)


def test_random_operations_end_in_agreement(
    new_appliance: MakeAppliance, pebble: Pebble, backend: Any, tmp_path: Path
) -> None:
    """Set, update, delete, rubbish, conflicts, spoilt files and kills, in random order."""
    Operations.appliance = new_appliance(gateway_settings(pebble)).start()
    Operations.backend = backend("one")
    Operations.kills, Operations.steps = 8, 0
    run_state_machine_as_test(
        Operations,
        settings=settings(
            max_examples=_RUNS,
            stateful_step_count=_STEPS,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Operations.steps >= _WANTED_STEPS
