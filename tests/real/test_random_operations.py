"""Five thousand random operations on a real Traefik: whatever people, calls, accidents and restarts do, and in whatever
order, API, files and served routes agree in the end, and nothing that was refused is served.

The model is exact: at each moment it knows who holds which host, who waits for it, and so how each call has to end.
Operations are not waited for, unless the next one is about the same workload or host: only then its end is known.
"""

import contextlib
import dataclasses
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from appliance.cli.client import AdminClient
from appliance.model.errors import Conflict, GatewayError, InvalidInput, Refused
from tests.peers import addresses, https
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.appliance import settings as gateway_settings
from tests.peers.backends import Backend
from tests.peers.launching import PeerError, await_result
from tests.peers.pebble import Pebble

_WANTED_OPERATIONS = 5000
_RUNS = 13
_STEPS = 500
_KILLS = 12
_SECONDS_TO_AGREE = 60.0

_ids = st.integers(0, 24).map(lambda number: f"{number}-w")
_labels = st.integers(0, 30).map(lambda number: f"n{number}")
_rubbish = st.sampled_from(["", "][", "type: 7\n", "a: &a [*a]\n", "type: gateway-name-proxy\nname: n1\n", "\x00\x01"])


@dataclasses.dataclass(frozen=True)
class Version:
    """What a workload may be: a host, and how it is served."""

    host: str
    passthrough: bool = False


class Model:
    """Who has which version, and by the rules of the gateway which of them is live."""

    def __init__(self) -> None:
        self.desired: dict[str, Version | None] = {}
        """By id what its file says; None for rubbish."""
        self.live: dict[str, Version] = {}
        self.ages: dict[str, float] = {}
        self.unsettled: set[str] = set()
        """Ids and hosts of which it is not known yet that the gateway has taken the last operation in."""

    def holder(self, host: str) -> str | None:
        """Whose live version has this host."""
        return next((identity for identity, version in self.live.items() if version.host == host), None)

    def is_waiting(self, identity: str) -> bool:
        """Whether a workload is refused because somebody else has its host."""
        version = self.desired.get(identity)
        return version is not None and self.holder(version.host) != identity

    def write(self, identity: str, version: Version | None, age: float) -> None:
        """A file has this content from now on."""
        self.unsettled.add(identity)
        self.desired[identity], self.ages[identity] = version, age
        if version is not None and self.holder(version.host) in (None, identity):
            self._become(identity, version)

    def delete(self, identity: str) -> None:
        """A workload is deleted, and its host free."""
        self.unsettled.add(identity)
        self.desired.pop(identity, None)
        version = self.live.pop(identity, None)
        if version is not None:
            self._give_up(version.host)

    def _become(self, identity: str, version: Version) -> None:
        before = self.live.get(identity)
        self.live[identity] = version
        self.unsettled |= {identity, version.host}
        if before is not None and before.host != version.host:
            self._give_up(before.host)

    def _give_up(self, host: str) -> None:
        """A host that comes free goes to who has waited for it longest."""
        self.unsettled.add(host)
        waiting = [
            identity for identity, version in self.desired.items() if version is not None and version.host == host
        ]
        if waiting:
            heir = min(waiting, key=lambda identity: (self.ages[identity], identity))
            version = self.desired[heir]
            assert version is not None
            self._become(heir, version)


class Operations(RuleBasedStateMachine):
    """What is done, to the appliance and to the model."""

    appliance: Appliance
    backend: Backend
    kills: int
    done: dict[str, int]

    @initialize()
    def begin_empty(self) -> None:
        """Every run starts with no workload."""
        self.client = AdminClient(self.appliance.root)
        self.model = Model()
        for identity in self._views():
            self._call("DELETE", f"/v1/workloads/{identity}")
        await_result(lambda: self._views() == {}, "all are gone", seconds=_SECONDS_TO_AGREE)

    @rule(identity=_ids, label=_labels, passthrough=st.booleans())
    def set_name(self, identity: str, label: str, passthrough: bool) -> None:
        """Create or update a name proxy by the API."""
        self._set(identity, Version(f"{label}.{addresses.DOMAIN}", passthrough))

    @rule(identity=_ids, label=_labels)
    def set_fqdn(self, identity: str, label: str) -> None:
        """Create or update an FQDN proxy by the API."""
        self._set(identity, Version(f"{label}.other.test"))

    @rule(identity=_ids, backend=st.sampled_from([f"http://{addresses.GATEWAY}", "http://169.254.169.254"]))
    def set_forbidden(self, identity: str, backend: str) -> None:
        """A loop and a metadata address are refused and change nothing."""
        document = {"type": "gateway-name-proxy", "name": "evil", "backends": [backend]}
        with contextlib.suppress(Refused):
            self._call("PUT", f"/v1/workloads/{identity}", document)
            raise AssertionError(f"{backend} was accepted")
        self._count("refused")

    @precondition(lambda self: hasattr(self, "model") and self.model.desired)
    @rule(number=st.integers(0, 24))
    def delete(self, number: int) -> None:
        """Delete one by the API."""
        identity = sorted(self.model.desired)[number % len(self.model.desired)]
        self._settle(identity)
        self._call("DELETE", f"/v1/workloads/{identity}")
        self.model.delete(identity)
        self._count("deleted")

    @rule(identity=_ids, label=_labels)
    def write_file(self, identity: str, label: str) -> None:
        """Somebody writes a good file: if another workload has its host, it waits for that."""
        version = Version(f"{label}.{addresses.DOMAIN}")
        self._settle(identity, version.host)
        self.model.write(identity, version, self._write(identity, _text(self._document(version))))
        self._count("waiting" if self.model.is_waiting(identity) else "written")

    @rule(identity=_ids, content=_rubbish)
    def write_rubbish(self, identity: str, content: str) -> None:
        """Somebody spoils a file: what was accepted before stays live."""
        self._settle(identity)
        self.model.write(identity, None, self._write(identity, content))
        self._count("rubbish")

    @rule(identity=_ids, dice=st.integers(0, 59))
    def accident(self, identity: str, dice: int) -> None:
        """Somebody edits Traefik's directory; now and then a program dies."""
        if dice <= 1 and self.kills > 0 and self._kill(("gateway", "traefik")[dice]):
            return
        (self.appliance.root / f"proxy/{identity}.yaml").write_text("http: {bogus: 1}\n", encoding="utf-8")
        self._count("spoilt")

    def _kill(self, name: str) -> bool:
        """Kill a program and wait for it to be back. Not one that died so often lately that supervisord pauses."""
        program = self._program(name)
        if program["state"] != "RUNNING":
            return False
        type(self).kills -= 1
        os.kill(program["pid"], signal.SIGKILL)
        await_result(lambda: self._program(name)["pid"] not in (None, program["pid"]), f"{name} is back", seconds=30)
        self._count(f"killed {name}")
        return True

    def teardown(self) -> None:
        """API, files and Traefik agree."""
        if hasattr(self, "client"):
            await_result(self._agrees, "API, files and Traefik agree", seconds=_SECONDS_TO_AGREE)

    def _set(self, identity: str, version: Version) -> None:
        """Set a workload by the API: it is taken exactly if nobody else has its host."""
        self._settle(identity, version.host)
        holder = self.model.holder(version.host)
        try:
            self._call("PUT", f"/v1/workloads/{identity}", self._document(version))
        except Conflict as error:
            if holder in (None, identity) or f"held by the workload {holder}:" not in str(error):
                raise AssertionError(f"{identity} was refused {version}, held by {holder}: {error}") from error
            self._count("conflicts")
            return
        if holder not in (None, identity):
            raise AssertionError(f"{version.host} was given to {identity} although {holder} holds it")
        self.model.write(identity, version, (self.appliance.root / f"workloads/{identity}.yaml").stat().st_mtime)
        self._count("set")

    def _document(self, version: Version) -> dict[str, Any]:
        backend = "10.99.0.9:9" if version.passthrough else self.backend.url
        common = {"tls_passthrough": version.passthrough, "backends": [backend]}
        name = version.host.removesuffix(f".{addresses.DOMAIN}")
        if name != version.host:
            return {"type": "gateway-name-proxy", "name": name, **common}
        return {"type": "gateway-fqdn-proxy", "fqdn": version.host, **common}

    def _write(self, identity: str, content: str) -> float:
        """Write a workload file in place; when it was changed."""
        path = self.appliance.root / f"workloads/{identity}.yaml"
        path.write_text(content, encoding="utf-8")
        return path.stat().st_mtime

    def _settle(self, *concerned: str) -> None:
        """Wait until everything is taken in, if the next operation is about something that may not be yet."""
        if self.model.unsettled.isdisjoint(concerned):
            return
        await_result(self._is_taken_in, "what was done is taken in", seconds=_SECONDS_TO_AGREE)
        self.model.unsettled.clear()

    def _count(self, operation: str) -> None:
        self.done[operation] = self.done.get(operation, 0) + 1

    def _program(self, name: str) -> dict[str, Any]:
        return next(item for item in self._call("GET", "/v1/status")["programs"] if item["name"] == name)

    def _views(self) -> dict[str, dict[str, Any]]:
        return {view["id"]: view for view in self._call("GET", "/v1/workloads")["workloads"]}

    def _call(self, method: str, path: str, document: Any = None) -> Any:
        """One call; while the control plane is being restarted it is made again."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.client.call(method, path, document)
            except (Refused, InvalidInput, Conflict):
                raise
            except GatewayError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _is_taken_in(self) -> bool:
        """Whether the API shows every workload as the model has it."""
        views, model = self._views(), self.model
        _require(views.keys() == model.desired.keys(), f"listed {sorted(views)}")
        for identity, version in model.desired.items():
            view = views[identity]
            shown = (view["state"], view["host"], view["tls_passthrough"])
            if version is None:
                _require(view["state"] == "quarantined" and "held by" not in view["reason"], f"{view}")
            elif model.is_waiting(identity):
                words = f"{version.host} is held by the workload {model.holder(version.host)}:"
                _require(view["state"] == "quarantined" and words in view["reason"], f"{words} {view}")
            else:
                _require(shown == ("applied", version.host, version.passthrough), f"{version} {view}")
        return True

    def _agrees(self) -> bool:
        """API, files and Traefik, and what is served."""
        self._is_taken_in()
        routers = {
            (item["name"], protocol): item["rule"]
            for protocol in ("http", "tcp")
            for item in self.appliance.traefik(f"{protocol}/routers?per_page=1000")
            if item["provider"] == "file"
        }
        wanted = {
            (f"{identity}-route@file", "tcp" if version.passthrough else "http"): (
                f"HostSNI(`{version.host}`)" if version.passthrough else f"Host(`{version.host}`)"
            )
            for identity, version in self.model.live.items()
        }
        _require(routers == wanted, f"{routers} instead of {wanted}")
        files = {path.name for path in (self.appliance.root / "proxy").iterdir()}
        _require(files == {f"{identity}.yaml" for identity in self.model.live}, f"{files} {self.model.live}")
        return self._is_served()

    def _is_served(self) -> bool:
        """A sample of the names is asked for over HTTPS."""
        hosts = sorted(version.host for version in self.model.live.values() if not version.passthrough)
        for host in hosts[:: max(1, len(hosts) // 5)]:
            _require(https.fetch(host).status == 200, host)
        return True


def _text(document: dict[str, Any]) -> str:
    return "".join(
        f"{key}: {value}\n".replace("True", "true").replace("False", "false") for key, value in document.items()
    )


def _require(condition: bool, what: str) -> None:
    """Not yet: `await_result` asks again."""
    if not condition:
        raise PeerError(what)


@pytest.mark.timeout(900)
def test_random_operations_end_in_agreement(
    new_appliance: MakeAppliance, pebble: Pebble, backend: Any, tmp_path: Path
) -> None:
    """Set, update, delete, rubbish, conflicts, spoilt files and kills, in random order."""
    Operations.appliance = new_appliance(gateway_settings(pebble)).start()
    Operations.backend = backend("one")
    Operations.kills, Operations.done = _KILLS, {}
    begun = time.monotonic()
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
    total = sum(Operations.done.values())
    print(f"{total} operations in {time.monotonic() - begun:.0f} s: {Operations.done}")  # noqa: T201
    assert total >= _WANTED_OPERATIONS
    assert {"set", "conflicts", "waiting", "rubbish", "deleted", "killed gateway", "killed traefik"} <= set(
        Operations.done
    )
