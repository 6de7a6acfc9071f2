"""Many workloads: the layout of the routes changes by itself, there and back, and no request notices."""

import json
from pathlib import Path

from appliance.cli.client import AdminClient
from appliance.render.layouts import DOCUMENTED_BELOW, TREE_FILE, TREE_FROM
from tests.peers import https
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.appliance import settings as gateway_settings
from tests.peers.backends import Backend, MakeBackend
from tests.peers.load import Load
from tests.peers.pebble import Pebble

_FEW = TREE_FROM - 10
_MANY = TREE_FROM + 10


def _workload(number: int, backend: Backend, secure: Backend) -> dict[str, object]:
    """Every kind there is; nine and eight are asked all the time."""
    name = {"type": "gateway-name-proxy", "name": f"n{number:03d}"}
    fqdn = {"type": "gateway-fqdn-proxy", "fqdn": f"shop{number}.other.test"}
    match number % 10:
        case 6:
            return {**fqdn, "backends": [secure.host_port], "tls_passthrough": True}
        case 8:
            return {**name, "backends": [secure.host_port], "tls_passthrough": True}
        case 9:
            return {**fqdn, "backends": [backend.url]}
        case _:
            return {**name, "backends": [backend.url]}


def _files(gateway: Appliance) -> set[str]:
    return {path.name for path in (gateway.root / "proxy").iterdir()}


def _all_applied(gateway: Appliance, count: int) -> None:
    gateway.program.until(
        lambda: gateway.status()["workloads"] == {"pending": 0, "applied": count, "quarantined": 0},
        f"{count} workloads are applied",
        seconds=110,
    )


def test_the_layout_changes_there_and_back_without_a_failed_request(
    new_appliance: MakeAppliance, pebble: Pebble, backend: MakeBackend
) -> None:
    server, secure = backend("one"), backend("secure", tls_names=("n008.gw.test", "shop6.other.test"))
    gateway = new_appliance(gateway_settings(pebble))
    for number in range(_FEW):
        _write(gateway.root, number, _workload(number, server, secure))
    gateway.start()
    _all_applied(gateway, _FEW)
    assert _files(gateway) == {f"{number}-w.yaml" for number in range(_FEW)}
    client = AdminClient(gateway.root)
    with (
        Load("n000.gw.test", expect='"backend": "one"') as name,
        Load("shop9.other.test", expect='"backend": "one"') as fqdn,
        Load("n008.gw.test", expect='"backend": "secure"', ca=secure.ca_pem) as passed_name,
        Load("shop6.other.test", expect='"backend": "secure"', ca=secure.ca_pem) as passed_fqdn,
    ):
        loads = (name, fqdn, passed_name, passed_fqdn)
        for load in loads:
            load.until_more()
        for number in range(_FEW, _MANY):
            client.call("PUT", f"/v1/workloads/{number}-w", _workload(number, server, secure))
        _all_applied(gateway, _MANY)
        gateway.program.until(lambda: _files(gateway) == {TREE_FILE}, "the routes are a tree", seconds=60)
        assert '"backend": "one"' in https.fetch(f"n{_MANY - 1:03d}.gw.test").body
        assert https.fetch("n999.gw.test").status == 404
        for load in loads:
            load.until_more()
        for number in range(DOCUMENTED_BELOW - 5, _MANY):
            client.call("DELETE", f"/v1/workloads/{number}-w")
        _all_applied(gateway, DOCUMENTED_BELOW - 5)
        wanted = {f"{number}-w.yaml" for number in range(DOCUMENTED_BELOW - 5)}
        gateway.program.until(lambda: _files(gateway) == wanted, "the routes are files again", seconds=60)
        tallies = [load.until_more() for load in loads]
    assert [tally.failures for tally in tallies] == [0, 0, 0, 0], tallies


def _write(root: Path, number: int, workload: dict[str, object]) -> None:
    (root / "workloads").mkdir(parents=True, exist_ok=True)
    (root / f"workloads/{number}-w.yaml").write_text(json.dumps(workload), encoding="utf-8")
