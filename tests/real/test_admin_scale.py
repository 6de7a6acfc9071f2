"""Many callers of the admin API at once, on a real appliance: no call is lost, and no workload."""

import http.client
import json
import queue
import threading
from pathlib import Path
from typing import Any

import yaml

from appliance.adapters.token_file import TokenFile
from appliance.cli.client import AdminClient
from appliance.model.tokens import Role
from tests.peers import addresses, https
from tests.peers.appliance import MakeAppliance
from tests.peers.appliance import settings as gateway_settings
from tests.peers.backends import MakeBackend
from tests.peers.pebble import Pebble

_WORKLOADS = 1000
_CALLERS = 50


def _set_all(root: Path, url: str, outcomes: "queue.Queue[Any]") -> None:
    """Set all workloads, as many at once as there are callers."""
    numbers: queue.Queue[int] = queue.Queue()
    for number in range(_WORKLOADS):
        numbers.put(number)

    def call() -> None:
        client = AdminClient(root)
        while True:
            try:
                number = numbers.get_nowait()
            except queue.Empty:
                return
            document = {"type": "gateway-name-proxy", "name": f"n{number:03}", "backends": [url]}
            try:
                outcomes.put(client.call("PUT", f"/v1/workloads/{number}-w", document)["id"])
            except Exception as error:
                outcomes.put(error)

    callers = [threading.Thread(target=call) for _ in range(_CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


def test_a_thousand_workloads_by_fifty_at_once_are_all_there(
    new_appliance: MakeAppliance, pebble: Pebble, backend: MakeBackend
) -> None:
    """Each call is answered, each workload is a file, listed once, applied, and served."""
    server = backend("one")
    gateway = new_appliance(gateway_settings(pebble)).start()
    outcomes: queue.Queue[Any] = queue.Queue()
    _set_all(gateway.root, server.url, outcomes)
    wanted = {f"{number}-w" for number in range(_WORKLOADS)}
    assert set(outcomes.queue) == wanted
    assert outcomes.qsize() == _WORKLOADS
    files = {path.stem: yaml.safe_load(path.read_text()) for path in (gateway.root / "workloads").glob("*.yaml")}
    assert files.keys() == wanted
    assert {content["name"] for content in files.values()} == {f"n{number:03}" for number in range(_WORKLOADS)}
    counts = {"pending": 0, "applied": _WORKLOADS, "quarantined": 0}
    gateway.program.until(lambda: gateway.status()["workloads"] == counts, "all are applied", seconds=110)
    listed = [item["id"] for item in AdminClient(gateway.root).all_workloads()]
    assert listed == sorted(wanted)
    assert '"backend": "one"' in https.fetch("n999.gw.test").body


def test_tcp_is_for_bearers_of_tokens(new_appliance: MakeAppliance, tmp_path: Path, backend: MakeBackend) -> None:
    """The listener is there only with a token file, tokens made while it runs are good at once, and callers over TCP
    see what callers on this host do."""
    file, port = tmp_path / "tokens", 9090
    values = gateway_settings()
    values["admin"] = {"listen": f"{addresses.GATEWAY}:{port}", "token_file": str(file)}
    gateway = new_appliance(values).start()
    assert any("gateway token new" in notice for notice in gateway.status()["notices"])
    made = gateway.must("token", "new", "ci", "--role", "write")
    document = {"type": "gateway-name-proxy", "name": "blog", "backends": [backend("one").url]}

    def ask(method: str, path: str, token: str = "", body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(addresses.GATEWAY, port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        with connection.getresponse() as answer:
            content = json.loads(answer.read())
        connection.close()
        return answer.status, content

    assert ask("PUT", "/v1/workloads/blog", body=document)[0] == 401
    status, shown = ask("PUT", "/v1/workloads/blog?wait=applied", made["token"], document)
    assert (status, shown["state"]) == (200, "applied")
    reader = TokenFile(file).create("reader", Role.READ)
    assert ask("DELETE", "/v1/workloads/blog", reader)[0] == 403
    # What is said of its certificate changes by itself, perhaps between the two.
    gateway.program.until(
        lambda: ask("GET", "/v1/workloads/blog", reader) == (200, gateway.workload("blog")), "both tell the same"
    )
    gateway.must("token", "revoke", "ci")
    assert ask("DELETE", "/v1/workloads/blog", made["token"])[0] == 401
    log = [json.loads(line) for line in gateway.program.log_text().splitlines() if '"admin change"' in line]
    assert [(line["actor"], line["status"]) for line in log] == [("token ci", 200), ("token reader", 403)]
    assert made["token"] not in gateway.program.log_text()
