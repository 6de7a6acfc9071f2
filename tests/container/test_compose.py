"""`docker compose up` on a real engine: built from this checkout, no privileges, and what it publishes answers."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest

ROOT = Path(__file__).parents[2]
ENGINE = Path(__file__).with_name("engine")
SETTINGS = """
public:
  ipv4: 203.0.113.10
  domains: [gw.example.com]
acme:
  email: ops@example.com
  ca_server: https://acme.invalid/directory
"""


class Compose:
    """`docker compose` on this checkout, with a project and an environment of its own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {**os.environ, **environment}

    def run(self, *arguments: str, seconds: float = 600, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", "compose", "--project-name", "gateway-test", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"docker compose {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def inside(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("exec", "--no-TTY", "gateway", *command, check=check)

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.inside("gateway", "status", "--json", check=False).stdout or "{}"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def engine() -> Iterator[dict[str, str]]:
    """The variables of a Docker engine that these tests started."""
    directory = ROOT / ".venv" / "engine"
    started = subprocess.run([ENGINE, "start", directory], capture_output=True, text=True, check=False, timeout=600)
    assert started.returncode == 0, started.stderr
    yield dict(line.split("=", 1) for line in started.stdout.splitlines())
    subprocess.run([ENGINE, "stop", directory], check=True, timeout=60)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The directory of settings; empty, and to be read by the container's user."""
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        if parent.stat().st_uid == os.getuid() and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    return tmp_path


@pytest.fixture
def compose(engine: dict[str, str], settings: Path) -> Iterator[Compose]:
    """The image of this checkout, and nothing of it running yet."""
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")
    made = Compose(
        {
            **engine,
            "GATEWAY_SETTINGS": str(settings),
            "GATEWAY_ADDRESS": "127.0.0.1",
            "GATEWAY_DNS_PORT": str(_free_port()),
            "GATEWAY_HTTP_PORT": str(_free_port()),
            "GATEWAY_HTTPS_PORT": str(_free_port()),
            "EXTRA_CA": str(authorities if authorities.exists() else "/dev/null"),
            "DOCKER_BUILDKIT": "1",
        }
    )
    made.run("build")
    yield made
    made.run("down", "--volumes", "--timeout", "20")


@pytest.mark.timeout(900)
def test_up_serves_without_privileges_and_stops_in_order(compose: Compose, settings: Path) -> None:
    compose.run("up", "--detach")
    _until(lambda: "no gateway yet" in " ".join(compose.status().get("problems", [])), "it says what is missing")
    (settings / "draft").write_text(SETTINGS, encoding="utf-8")
    (settings / "draft").chmod(0o644)
    (settings / "draft").rename(settings / "gateway.yaml")
    _until(lambda: compose.status().get("healthy"), "it is healthy as soon as the settings are there")
    compose.inside("gateway", "route", "name", "1-1-blog", "blog", "http://10.1.2.3:9000")

    question = dns.message.make_query("_acme-challenge.gw.example.com", "SOA")
    port = int(compose.environment["GATEWAY_DNS_PORT"])
    for ask in (dns.query.udp, dns.query.tcp):
        assert ask(question, "127.0.0.1", port=port, timeout=5).answer, ask

    process = compose.inside("cat", "/proc/1/status").stdout
    assert "Uid:\t10001\t10001\t10001\t10001" in process
    assert all(line.split()[1] == "0" * 16 for line in process.splitlines() if line.startswith("Cap"))
    assert compose.inside("touch", "/opt/gateway/here", check=False).returncode != 0

    compose.run("stop")
    shown = json.loads(compose.run("ps", "--all", "--format", "json").stdout.splitlines()[0])
    assert (shown if isinstance(shown, dict) else shown[0])["ExitCode"] == 0
