"""Operators' own Traefik fragments: a good one goes live, a bad one is refused with its reason and harms nobody."""

from typing import Any

import pytest

from tests.peers import addresses, https
from tests.peers import appliance as appliances
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.launching import PeerError
from tests.peers.load import Load

HOST = "own.example.org"
HEADERS = "http: {middlewares: {stamp: {headers: {customResponseHeaders: {X-Stamp: first}}}}}\n"
UNREADABLE = "http:\n  middlewares: {compress: [}\n"


def router(url: str, *, name: str = "own", host: str = HOST, middlewares: str = "[]", more: str = "") -> str:
    return (
        f"http:\n  routers:\n    {name}: {{rule: 'Host(`{host}`)', service: {name}, tls: {{}}, "
        f"middlewares: {middlewares}{more}}}\n"
        f"  services:\n    {name}: {{loadBalancer: {{servers: [{{url: '{url}'}}]}}}}\n"
    )


def write(gateway: Appliance, name: str, text: str) -> None:
    """Put a fragment in place as an editor does."""
    draft = gateway.root / "extra" / f".{name}.draft"
    draft.write_text(text, encoding="utf-8")
    draft.rename(draft.with_name(f"{name}.yaml"))


def fragment(gateway: Appliance, name: str) -> dict[str, Any]:
    for item in gateway.must("extra"):
        if item["name"] == name:
            return dict(item)
    raise PeerError(f"there is no fragment {name} yet")


def until_state(gateway: Appliance, name: str, state: str) -> dict[str, Any]:
    def reached() -> dict[str, Any]:
        found = fragment(gateway, name)
        if found["state"] != state:
            raise PeerError(str(found))
        return found

    return gateway.program.until(reached, f"{name} is {state}", seconds=30)


@pytest.fixture
def gateway(new_appliance: MakeAppliance) -> Appliance:
    """An appliance without a certificate authority: none of this needs one."""
    return new_appliance(appliances.settings()).start()


def test_a_middleware_and_a_router_that_uses_it_go_live_from_two_files(
    gateway: Appliance, backend: MakeBackend
) -> None:
    server = backend("own")
    write(gateway, "zz-stamp", HEADERS)
    write(gateway, "own", router(server.url, middlewares="[stamp]"))
    until_state(gateway, "own", "applied")
    until_state(gateway, "zz-stamp", "applied")
    answer = https.fetch(HOST)
    assert '"backend": "own"' in answer.body
    assert answer.headers["x-stamp"] == "first"
    assert sorted(path.name for path in (gateway.root / "proxy").glob("zz-*")) == [
        "zz-extra-own.yaml",
        "zz-extra-zz-stamp.yaml",
    ]


def test_a_changed_fragment_is_tried_again_and_a_removed_one_goes(gateway: Appliance, backend: MakeBackend) -> None:
    server, other = backend("first"), backend("second", address=addresses.OTHER_BACKEND)
    write(gateway, "own", router(server.url))
    until_state(gateway, "own", "applied")
    write(gateway, "own", router(other.url))
    gateway.program.until(lambda: '"backend": "second"' in https.fetch(HOST).body, "the new version is served")
    write(gateway, "own", UNREADABLE)
    refused = until_state(gateway, "own", "refused")
    assert refused["live"]
    assert "the version accepted before is still served" in refused["reason"]
    assert '"backend": "second"' in https.fetch(HOST).body
    (gateway.root / "extra" / "own.yaml").unlink()
    gateway.program.until(lambda: https.fetch(HOST).status == 404, "the fragment's router is gone")
    assert gateway.must("extra") == []
    assert not list((gateway.root / "proxy").glob("zz-*"))


BAD = {
    "yaml": (UNREADABLE, "line 2"),
    "key": (router("http://10.99.0.9", more=", bogus: 1"), "field not found, node: bogus"),
    "section": ("htttp: {}\n", "did you mean `http`"),
    "empty": ("http: {routers: {}}\n", "routers cannot be a standalone element"),
    "middleware": (router("http://10.99.0.9", middlewares="[nowhere]"), 'middleware "nowhere@file" does not exist'),
    "unused": ("http: {middlewares: {bad: {ipAllowList: {sourceRange: [nonsense]}}}}\n", "invalid CIDR address"),
    "options": ("tls: {options: {strict: {cipherSuites: [NOPE]}}}\n", "invalid CipherSuite: NOPE"),
    "twice": (router("http://10.99.0.9", name="good", host="other.example.org"), "defined twice"),
    "workload": (router("http://10.99.0.9", name="1-4-steady"), "belongs to the workload 1-4-steady"),
    "gateway-host": (router("http://10.99.0.9", host="steady.gw.test"), "this gateway's domain gw.test"),
    "workload-host": (router("http://10.99.0.9", host="shop.customer.org"), "which the workload 1-4-shop holds"),
    "any-host": (router("http://10.99.0.9").replace(f"Host(`{HOST}`)", "PathPrefix(`/`)"), "not bound to hosts"),
    "template": (router("http://10.99.0.9", host='{{ env "HOME" }}.example.org'), "Go template"),
    "orders": (router("http://10.99.0.9").replace("tls: {}", "tls: {certResolver: resolver}"), "orders a certificate"),
    "huge": ("# " + "x" * 300_000 + "\n", "larger than 262144 bytes: at most so many are read"),
    "tcp": (
        (
            "tcp: {routers: {t: {rule: 'HostSNI(`tcp.example.org`)', service: t, tls: {passthrough: true}}}, "
            "services: {t: {loadBalancer: {servers: [{address: 'tcp://10.99.0.9:1'}]}}}}\n"
        ),
        "too many colons in address",
    ),
}


def test_every_kind_of_bad_fragment_is_refused_with_its_reason_while_all_routes_serve_on(
    gateway: Appliance, backend: MakeBackend
) -> None:
    server = backend("steady")
    gateway.must("route", "name", "1-4-steady", "steady", server.url)
    gateway.must("route", "fqdn", "1-4-shop", "shop.customer.org", server.url)
    write(gateway, "good", router(server.url, name="good"))
    until_state(gateway, "good", "applied")
    with Load("steady.gw.test", expect='"backend": "steady"') as load:
        load.until_more()
        for name, (text, _) in BAD.items():
            write(gateway, f"bad-{name}", text)
        write(gateway, "second", router(server.url, name="second", host="second.example.org"))
        until_state(gateway, "second", "applied")
        for name, (_, words) in BAD.items():
            refused = until_state(gateway, f"bad-{name}", "refused")
            assert words in refused["reason"], refused
            assert not refused["live"]
        gateway.must("route", "name", "1-4-later", "later", backend("later").url)
        assert '"backend": "later"' in https.fetch("later.gw.test").body
        tally = load.until_more()
    assert tally.failures == 0, tally
    assert '"backend": "steady"' in https.fetch("second.example.org").body
    assert '"backend": "steady"' in https.fetch(HOST).body
    status = gateway.must("status")
    assert f"{len(BAD)} fragment(s) in extra/ refused: `gateway extra` says why" in status["notices"]
    assert status["healthy"], status


def test_a_restart_keeps_the_accepted_version_although_its_file_has_become_bad(
    gateway: Appliance, backend: MakeBackend
) -> None:
    server = backend("own")
    write(gateway, "own", router(server.url))
    until_state(gateway, "own", "applied")
    write(gateway, "own", UNREADABLE)
    write(gateway, "bad", UNREADABLE)
    until_state(gateway, "bad", "refused")
    gateway.restart()
    gateway.program.until(lambda: '"backend": "own"' in https.fetch(HOST).body, "the accepted version is served")
    assert until_state(gateway, "own", "refused")["live"]
    pid = gateway.kill_program("gateway")
    gateway.until_replaced("gateway", pid)
    assert until_state(gateway, "own", "refused")["live"]
    assert '"backend": "own"' in https.fetch(HOST).body


def test_what_another_traefik_accepted_is_tried_before_this_one_reads_it(
    gateway: Appliance, backend: MakeBackend
) -> None:
    """After an upgrade, a fragment that the new Traefik cannot read would mean no routes at all."""
    write(gateway, "own", router(backend("own").url))
    until_state(gateway, "own", "applied")
    gateway.stop()
    memory = gateway.root / "state" / "fragments.json"
    memory.write_text(memory.read_text().replace('"binary": "', '"binary": "another '), encoding="utf-8")
    gateway.start()
    until_state(gateway, "own", "applied")
    assert "fragment taken out until it is tried with this Traefik" in gateway.program.log_text()
    assert '"backend": "own"' in https.fetch(HOST).body


def test_a_workload_cannot_take_what_a_fragment_has(gateway: Appliance, backend: MakeBackend) -> None:
    server = backend("own")
    write(gateway, "own", router(server.url))
    until_state(gateway, "own", "applied")
    by_host = gateway.cli("route", "fqdn", "1-4-thief", HOST, server.url)
    assert by_host.code == 1
    assert f"{HOST} is served by the operator's fragment extra/own.yaml" in by_host.complaint
    by_name = gateway.cli("route", "name", "own", "own", server.url)
    assert by_name.code == 1
    assert "the id own is a name in the operator's fragment extra/own.yaml" in by_name.complaint


def test_a_copy_that_somebody_edits_or_deletes_is_restored(gateway: Appliance, backend: MakeBackend) -> None:
    write(gateway, "own", router(backend("own").url))
    until_state(gateway, "own", "applied")
    copy = gateway.root / "proxy" / "zz-extra-own.yaml"
    text = copy.read_text()
    copy.unlink()
    gateway.program.until(lambda: copy.exists() and copy.read_text() == text, "the deleted copy is back")
    copy.write_text("http: {}\n")
    gateway.program.until(lambda: copy.exists() and copy.read_text() == text, "the edited copy is back")


def test_check_tells_the_same_without_applying_and_without_an_appliance(
    new_appliance: MakeAppliance, backend: MakeBackend
) -> None:
    gateway = new_appliance(appliances.settings())
    directory = gateway.configuration.parent / "fragments"
    directory.mkdir()
    good, bad = directory / "good.yaml", directory / "bad.yaml"
    good.write_text(router(backend("own").url))
    assert gateway.cli("check", str(good)).code == 0
    bad.write_text(BAD["middleware"][0].replace("own:", "bad:").replace("service: own", "service: bad"))
    outcome = gateway.cli("check", str(directory))
    assert outcome.code == 1
    reasons = {item["name"]: item["reason"] for item in outcome.output["files"]}
    assert reasons["good"] == ""
    assert 'middleware "nowhere@file" does not exist' in reasons["bad"]
    assert not gateway.root.exists()


def test_check_judges_workload_files_among_those_there_are(gateway: Appliance, backend: MakeBackend) -> None:
    gateway.must("route", "name", "1-4-blog", "blog", backend("blog").url)
    candidate = gateway.configuration.parent / "1-4-other.yaml"
    candidate.write_text('type: gateway-name-proxy\nname: blog\nbackends: ["http://10.99.0.10"]\n')
    refused = gateway.cli("check", str(candidate))
    assert refused.code == 1
    assert "held by the workload 1-4-blog" in refused.output["files"][0]["reason"]
    candidate.write_text('type: gateway-name-proxy\nname: news\nbackends: ["http://10.99.0.10"]\n')
    assert gateway.cli("check", str(candidate)).code == 0
    assert gateway.cli("check", str(gateway.root / "workloads")).code == 0
    assert gateway.workload("1-4-other") is None
