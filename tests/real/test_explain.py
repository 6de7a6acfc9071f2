"""What an operator is told of certificates: `certs`, `explain`, alerts, on a real Traefik with a real authority."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers import addresses, https
from tests.peers import appliance as appliances
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.launching import PeerError, await_result
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble

BLOG = f"blog.{addresses.DOMAIN}"
SHOP = "shop.customer.test"


def explained(one: Appliance, host: str) -> dict[str, Any]:
    outcome = one.cli("explain", host)
    assert isinstance(outcome.output, dict), outcome
    assert outcome.code == (0 if outcome.output["ok"] else 1)
    return outcome.output


def line(explanation: dict[str, Any], kind: str) -> dict[str, str]:
    return next(one for one in explanation["lines"] if one["id"].partition(":")[0] == kind)


def until_ok(one: Appliance, host: str) -> dict[str, Any]:
    def ok() -> dict[str, Any]:
        found = explained(one, host)
        if not found["ok"]:
            raise PeerError(json.dumps(found))
        return found

    return await_result(ok, f"{host} is on HTTPS", seconds=30, log=one.program.end_of_log)


def test_certs_tells_what_is_kept_and_what_is_really_served(
    appliance: Appliance, parent: Nsd, pebble: Pebble, backend: MakeBackend
) -> None:
    parent.add_host(SHOP)
    appliance.must("route", "name", "blog", "blog", backend("blog").url)
    appliance.must("route", "fqdn", "shop", SHOP, backend("shop").url)
    appliance.must("route", "fqdn", "late", "late.customer.test", backend("late").url)
    for host in (BLOG, SHOP):
        until_ok(appliance, host)

    def told() -> dict[str, Any] | None:  # a store is looked at some moments after it was written
        entries = {entry["name"]: entry for entry in appliance.must("certs")}
        is_whole = all(
            entries[name]["serial"] and not entries[name]["served"]["problem"] for name in ("*.gw.test", SHOP)
        )
        return entries if is_whole else None

    found = appliance.program.until(told, "both certificates are told of", seconds=30)
    assert sorted(found) == ["*.gw.test", "late.customer.test", SHOP]
    for name, host, kind, user in (("*.gw.test", BLOG, "wildcard", "blog"), (SHOP, SHOP, "fqdn", "shop")):
        entry, served = found[name], https.certificate_served(host)
        assert (entry["kind"], entry["workloads"]) == (kind, [user])
        assert int(entry["serial"], 16) == int(entry["served"]["serial"], 16) == served.serial
        assert entry["served"]["problem"] is None
        assert entry["days_left"] > 365
        assert "Pebble" in entry["issuer"]
    late = found["late.customer.test"]
    assert late["serial"] is None
    assert "does not exist" in late["reason"]
    assert "not for this name" in late["served"]["problem"]


def test_explain_follows_a_name_to_the_link_that_is_broken(
    appliance: Appliance, parent: Nsd, pebble: Pebble, backend: MakeBackend
) -> None:
    server = backend("blog")
    appliance.must("route", "name", "blog", "blog", server.url)
    until_ok(appliance, BLOG)
    server.__exit__(None, None, None)
    found = explained(appliance, BLOG)
    assert found["first_bad"].startswith("backend:")
    assert server.host_port in found["todo"]
    late = "late-explained.customer.test"
    appliance.must("route", "fqdn", "late", late, backend("late").url)
    assert explained(appliance, late)["first_bad"] == "dns"
    parent.add_host(late)
    until_ok(appliance, late)
    assert "gateway route name WLID free BACKEND" in explained(appliance, f"free.{addresses.DOMAIN}")["todo"]
    assert "gateway route fqdn WLID nobody.test BACKEND" in explained(appliance, "nobody.test")["todo"]
    appliance.write_workload("rival", "type: gateway-name-proxy\nname: blog\nbackends: ['http://10.99.0.9:9']\n")
    appliance.until_state("rival", "quarantined")
    assert explained(appliance, BLOG)["workload"] == "blog"
    appliance.write_workload("bad", "type: gateway-name-proxy\nname: meta\nbackends: ['http://169.254.169.254']\n")
    appliance.until_state("bad", "quarantined")
    assert "169.254.169.254" in line(explained(appliance, f"meta.{addresses.DOMAIN}"), "workload")["evidence"]
    assert appliance.cli("explain", "no host").code == 2


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook's other end."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        super().__init__((addresses.OTHER_BACKEND, 0), Handler)
        self.url = f"http://{addresses.OTHER_BACKEND}:{self.server_port}/"

    def until(self, kind: str, status: str, subject: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            wanted = {"kind": kind, "status": status}
            return next((m for m in self.messages if wanted.items() <= m.items() and subject in m["subject"]), None)

        return await_result(found, f"{kind} of {subject} is {status}: {self.messages}", seconds=40)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with contextlib.closing(server.socket):
        yield server
        server.shutdown()
        thread.join()


def test_an_operator_is_told_once_when_something_begins_and_once_when_it_ends(
    new_appliance: MakeAppliance, pebble: Pebble, receiver: Receiver, backend: MakeBackend
) -> None:
    values = appliances.settings(pebble)
    values["alerts"] = {"webhook": receiver.url, "secret": "WEBHOOK-SECRET"}
    one = new_appliance(values).start()
    one.must("route", "name", "blog", "blog", backend("blog").url)
    until_ok(one, BLOG)
    one.write_workload("bad", "type: gateway-name-proxy\nname: meta\nbackends: ['http://169.254.169.254']\n")
    raised = receiver.until("workload-quarantined", "raised", "bad")
    assert "gateway route show bad" in raised["todo"]
    one.write_workload("bad", "type: gateway-name-proxy\nname: meta\nbackends: ['http://10.99.0.9:9']\n")
    cleared = receiver.until("workload-quarantined", "cleared", "bad")
    assert cleared["since"] == raised["since"]
    (one.root / "traefik" / "acme2.json").write_bytes(b"{")
    pid = one.kill_program("traefik")
    one.until_replaced("traefik", pid)
    receiver.until("store-restored", "raised", "acme2.json")
    ids = [message["id"] for message in receiver.messages]
    assert len(set(ids)) == len(ids)
    assert "WEBHOOK-SECRET" not in one.program.log_text()


def test_a_certificate_that_is_about_to_end_and_cannot_be_renewed_is_told(
    new_appliance: MakeAppliance,
    resolver: object,
    tmp_path_factory: pytest.TempPathFactory,
    receiver: Receiver,
    backend: MakeBackend,
) -> None:
    ca = Pebble(tmp_path_factory.mktemp("pebble"), validity_seconds=600)
    stopped = False
    try:
        values = appliances.settings(ca)
        values["acme"]["certificate_hours"] = 1
        values["alerts"] = {"webhook": receiver.url}
        one = new_appliance(values).start()
        one.must("route", "name", "blog", "blog", backend("blog").url)
        until_ok(one, BLOG)
        one.must("certs")  # what is served is looked at now, and else once a minute
        ca.stop()
        stopped = True
        pid = one.kill_program("traefik")  # it looks at what is to be renewed when it starts, and each minute
        one.until_replaced("traefik", pid)
        receiver.until("renewal-failing", "raised", "*.gw.test")
        receiver.until("certificate-expiring", "raised", "*.gw.test")
        (entry,) = one.must("certs")
        assert entry["last_error"] is not None
        assert entry["served"]["problem"] is None
    finally:
        if not stopped:
            ca.stop()
