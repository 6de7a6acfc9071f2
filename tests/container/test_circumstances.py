"""The container where something is not as it should be, or not as it was: first starts, volumes, disks, upgrades."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest
import yaml

from appliance.model import state_formats
from tests.container.conftest import AUTHORITIES, SHOP, WIKI, MakeStack
from tests.container.stack import ADDRESS, ROOT, Docker, Stack
from tests.peers.backends import Backend
from tests.peers.load import Load

_HOME = "/var/cache/modules/gateway"
_USER = 10001
_SMALL_VOLUME = """
volumes:
  gateway:
    driver_opts: {type: tmpfs, device: tmpfs, o: "size=8m,uid=10001,gid=10001,mode=0711"}
"""


def test_without_settings_it_says_what_to_write_and_goes_on_by_itself(make_stack: MakeStack) -> None:
    stack = make_stack(peers=False)
    stack.compose("up", "--detach", "--no-build")
    stack.until(lambda: "no gateway yet" in " ".join(stack.status().get("problems", [])), "it says what is missing")
    assert "write the `public` section" in stack.log()
    before = stack.pid_of("gateway")
    stack.write_settings()
    stack.until_healthy()
    stack.inside("gateway", "route", "name", "1-1-blog", "blog", "http://10.1.2.3:9000")
    question = dns.message.make_query("_acme-challenge.gw.test", "SOA")
    for ask in (dns.query.udp, dns.query.tcp):
        assert ask(question, ADDRESS, port=stack.dns_port, timeout=5).answer, ask
    for _ in range(100):  # all of them come from the address of Docker's own proxy, which is no single client
        assert dns.query.udp(question, ADDRESS, port=stack.dns_port, timeout=5).answer
    assert stack.pid_of("gateway") == before, "the control plane was not restarted for the first settings"
    stack.compose("stop")
    assert stack.inspect("{{.State.ExitCode}}") == "0"


def test_host_networking_takes_away_what_does_not_go_with_it(docker: Docker) -> None:
    files = ("--file", "docker-compose.yml", "--file", "docker-compose.host.yml")
    shown = yaml.safe_load(docker("compose", *files, "config").output)["services"]["gateway"]
    assert shown["network_mode"] == "host"
    assert not shown.get("ports")
    assert not shown.get("sysctls")
    assert "GATEWAY__DNS__RATE_LIMIT__EXEMPT" not in (shown.get("environment") or {})
    assert shown["read_only"] is True


def test_a_full_disk_stops_changes_and_not_traffic(make_stack: MakeStack, tmp_path: Path) -> None:
    small = tmp_path / "small.yml"
    small.write_text(_SMALL_VOLUME, encoding="ascii")
    stack = make_stack(peers=False, files=(str(small),))
    stack.write_settings()
    stack.up()
    network = stack.inspect("{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}")
    with Backend("blue", address=network) as backend:
        stack.inside("gateway", "route", "name", "1-1-blog", "blog", backend.url)
        with Load("blog.gw.test", expect="blue", address=ADDRESS, port=stack.https_port, interval=0.05) as load:
            load.until_more(10)
            stack.inside("sh", "-c", f"cat /dev/zero > {_HOME}/filler", check=False)
            refused = stack.inside("gateway", "route", "name", "1-2-wiki", "wiki", backend.url, check=False)
            assert refused.code == 1
            assert "No space left on device" in refused.complaint
            stack.until(lambda: "No space left on device" in stack.log(), "the log says so")
            stack.until(lambda: "No space left" in json.dumps(stack.status()), "the status says so")
            load.until_more(20)
            stack.inside("rm", f"{_HOME}/filler")
            stack.inside("gateway", "route", "name", "1-2-wiki", "wiki", backend.url)
            stack.until(lambda: "No space left" not in json.dumps(stack.status()), "the trouble is over")
            load.until_more(20)
        assert load.tally().failures == 0, load.tally()
        stack.inside("sh", "-c", f"kill -9 {stack.pid_of('gateway')}")
        stack.until_healthy()
        states = {item["id"]: item["state"] for item in _workloads(stack)}
        assert states == {"1-1-blog": "applied", "1-2-wiki": "applied"}
        assert "set aside" not in stack.log()


def _workloads(stack: Stack) -> Any:
    return json.loads(stack.inside("gateway", "route", "list", "--json").output)


def _nothing(_: Path) -> None:
    """As the engine makes it: empty, and root's."""


def _closed(root: Path) -> None:
    root.chmod(0o700)


def _ours(root: Path) -> None:
    os.chown(root, _USER, _USER)


def _file_in_a_directorys_place(root: Path) -> None:
    _ours(root)
    (root / "workloads").touch()


def _directory_in_a_files_place(root: Path) -> None:
    _ours(root)
    (root / "gateway.yaml").mkdir()


def _anothers_directory(root: Path) -> None:
    _ours(root)
    (root / "state").mkdir(mode=0o700)


def _settings_of_another_version(root: Path) -> None:
    _ours(root)
    (root / "gateway.yaml").write_text("public: {ipv4: 203.0.113.10}\nteleport: {speed: 9}\n", encoding="ascii")


def _newer_state(root: Path) -> None:
    _ours(root)
    (root / "state").mkdir()
    (root / "state/format").write_text(f"{state_formats.CURRENT + 1}\n", encoding="ascii")


@pytest.mark.parametrize(
    ("prepare", "options", "code", "words"),
    [
        (_nothing, "", 1, f"uid {_USER}"),
        (_closed, "", 1, f"uid {_USER}"),
        (_ours, "ro", 1, "Read-only file system"),
        (_file_in_a_directorys_place, "", 1, "workloads"),
        (_directory_in_a_files_place, "", 2, "Is a directory"),
        (_anothers_directory, "", 1, f"uid {_USER}"),
        (_settings_of_another_version, "", 2, "teleport"),
        (_newer_state, "", 1, f"format {state_formats.CURRENT + 1}"),
    ],
)
def test_what_cannot_be_worked_with_is_refused_in_one_clear_line(
    docker: Docker, image: str, tmp_path: Path, prepare: Callable[[Path], None], options: str, code: int, words: str
) -> None:
    for parent in list(tmp_path.parents)[:3]:
        if parent != Path("/tmp"):
            parent.chmod(0o755)
    root = tmp_path / "root"
    root.mkdir()
    prepare(root)
    mounts = ("--volume", f"{root}:{_HOME}:{options or 'rw'}", "--tmpfs", "/tmp")
    ended = docker("run", "--rm", "--read-only", "--cap-drop", "ALL", *mounts, image, check=False, seconds=60)
    said = (ended.output + ended.complaint).strip().splitlines()
    assert ended.code == code, said
    assert len(said) == 1, said
    assert words in said[0]


def test_ports_that_need_a_privilege_are_named_with_the_sysctl_to_set(docker: Docker, image: str) -> None:
    """As on a host network, where the container's own sysctl does not count."""
    sysctl = ("--sysctl", "net.ipv4.ip_unprivileged_port_start=1024")
    ended = docker("run", "--rm", "--cap-drop", "ALL", *sysctl, image, check=False, seconds=60)
    assert ended.code == 1
    assert "net.ipv4.ip_unprivileged_port_start=53" in ended.complaint + ended.output


def test_a_traefik_that_cannot_be_kept_running_ends_the_container(docker: Docker, image: str) -> None:
    ended = docker("run", "--rm", "--env", "GATEWAY__TRAEFIK__BINARY=/bin/false", image, check=False, seconds=90)
    assert ended.code == 70, ended.complaint


@pytest.fixture(scope="session")
def previous_image(docker: Docker) -> str:
    """The image of the commit before this checkout: the last one, if there are changes that are not committed."""

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False).stdout

    is_changed = bool(git("status", "--porcelain").strip())
    commit = b"" if is_changed else git("rev-parse", "--verify", "--quiet", "HEAD~1").strip()
    archive = git("archive", commit.decode() or "HEAD")
    secret = ("--secret", f"id=ca,src={AUTHORITIES}") if AUTHORITIES.exists() else ()
    name = "gateway-appliance:previous"
    docker("build", "--quiet", "--tag", name, "--file", "images/Dockerfile", *secret, "-", stdin=archive)
    return name


@pytest.mark.timeout(240, func_only=True)
def test_an_upgrade_on_the_old_volume_keeps_routes_certificates_and_counters(
    make_stack: MakeStack, previous_image: str
) -> None:
    stack = make_stack()
    stack.docker.environment["GATEWAY_IMAGE"] = previous_image
    stack.write_settings()
    stack.compose("up", "--detach", "--no-build")
    stack.until(stack.status, "the control plane answers")
    backend = f"http://{stack.network}.9:9000"
    stack.inside("gateway", "route", "name", "1-2-wiki", "wiki", backend)
    stack.inside("gateway", "route", "fqdn", "1-3-shop", SHOP, backend)
    serials = {host: stack.until_trusted(host).certificate for host in (WIKI, SHOP)}
    orders = stack.orders()
    counted = stack.until(lambda: _requests(stack), "the requests are counted")

    stack.docker.environment["GATEWAY_IMAGE"] = "gateway-appliance:dev"
    stack.up()
    assert {host: stack.until_trusted(host).certificate for host in serials} == serials
    assert {item["id"]: item["state"] for item in _workloads(stack)} == {"1-2-wiki": "applied", "1-3-shop": "applied"}
    assert _requests(stack) >= counted
    assert stack.orders() == orders


def _requests(stack: Stack) -> int:
    shown = json.loads(stack.inside("gateway", "metrics", "--json").output)
    return sum((shown["1-2-wiki"]["requests"] or {}).values())
