"""The admin API is what its OpenAPI document says, whatever it is sent: found out by schemathesis."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.adapters import admin
from appliance.adapters.admin import assembly
from appliance.adapters.admin.guard import Guard
from appliance.adapters.admin.tallies import Tallies
from appliance.adapters.token_file import TokenFile
from appliance.control.explaining import Explainer
from appliance.control.inventory import Inventory
from appliance.model.findings import Finding, Status
from appliance.model.inventory import Presented
from appliance.model.throttles import Throttle
from appliance.model.tokens import Role
from appliance.model.zones import Zone
from tests.plane import Plane, fqdn, name

_SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
_BUDGET_SECONDS = 45
_CONFIGURATION = """
[checks]
# What a document means (an address, a host of this gateway) is judged by rules that no schema can tell: 422 says which.
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "412", "415", "422", "429", "503"]
"""


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane()
    plane.start()
    plane.put(name("blog"), name("wiki", "docs"), fqdn("shop", "shop.other.test"))
    plane.store.damage("bad", "half a file")
    plane.look()
    yield plane
    plane.stop()


class Port:
    """An HTTPS port that presents a certificate for some names, and none for others."""

    def presented(self, host: str) -> Presented | str:
        """By the length of the name, so that there are both."""
        if len(host) % 2:
            return "it hung up"
        return Presented("1f", "A Test CA", (host,), time.time() - 100, time.time() + 1000)

    def refused(self) -> str | None:
        """It takes connections."""
        return None


def with_everything(plane: Plane) -> None:
    """Give the gateway the use cases that the plane leaves out, on fakes, and something to tell."""
    gateway, board, port = plane.gateway, plane.applier.board, Port()
    explainer = Explainer(
        board=board,
        lookups=plane.lookups,
        proxy=plane.traefik,
        issuance=plane.issuance,
        probe=lambda: port,
        dial=lambda address, _: None if address.endswith("3") else "it refuses",
    )
    inventory = Inventory(issuance=plane.issuance, probe=lambda: port, stored=tuple, users=lambda: [("*.gw", "blog")])
    check = Finding("delegation.ns:gw.example.com", Status.FAIL, "there is none", "create it").document()
    gateway._explain = lambda host: explainer.explain(host).document()
    gateway._inventory = inventory.documents
    gateway._doctor = lambda: {"checks": [check]}
    gateway._challenges.set_zones([Zone("_acme-challenge.gw.example.com", "gw.example.com")])
    gateway.present("_acme-challenge.gw.example.com", "value", "a test")


def test_the_api_is_what_its_document_says(plane: Plane, tmp_path: Path) -> None:
    with_everything(plane)
    tokens = TokenFile(tmp_path / "tokens")
    token = tokens.create("schemathesis", Role.WRITE)
    document, configuration = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    document.write_text(json.dumps(assembly.rooms(plane.gateway).openapi()), encoding="utf-8")
    configuration.write_text(_CONFIGURATION, encoding="utf-8")
    failures: list[BaseException] = []
    unhurried = Throttle(burst=1_000_000)  # that failures are braked is another test's matter
    guarded = Guard(assembly.rooms(plane.gateway), tokens, Tallies(), unhurried)
    api = admin.tcp(guarded, "127.0.0.1", 0)
    api.start(failures.append)
    command: list[str | Path] = [_SCHEMATHESIS, "--config-file", configuration, "--no-color", "run", document]
    command += ["--url", f"http://127.0.0.1:{api.port}", "-H", f"Authorization: Bearer {token}"]
    command += ["--exclude-path", "/v1/events"]  # it never ends: tests/unit has its own tests
    command += ["--max-time", str(_BUDGET_SECONDS), "--request-timeout", "10", "--seed", "1", "--workers", "2"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False, cwd=tmp_path)
    finally:
        api.stop()
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    assert not failures
