"""`docker compose` on this checkout, with the peers of a gateway beside it, as a test sees them from the host."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from appliance.launch.demo_authority import write_authority
from tests.peers import https
from tests.peers.launching import PeerError, await_result

ROOT: Final = Path(__file__).parents[2]
OVERLAY: Final = "tests/container/overlay/docker-compose.yml"
DOMAIN: Final = "gw.test"
ADDRESS: Final = "127.0.0.1"
_NUMBERS: Final = itertools.count(1)
READY: Final = "the gateway is healthy"

_NSD: Final = """\
server:
  ip-address: {network}.2
  username: ""
  zonesdir: "/peers"
  zonelistfile: "/scratch/zone.list"
  xfrdfile: "/scratch/xfrd.state"
  xfrdir: "/scratch"
  pidfile: "/scratch/nsd.pid"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: test
  zonefile: test.zone
"""
_ZONE: Final = """\
$ORIGIN test.
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A {network}.2
gw A {network}.10
*.gw CNAME gw
_acme-challenge.gw NS gw
shop.customer A {network}.10
raw.customer A {network}.10
"""
_UNBOUND: Final = """\
server:
  interface: {network}.3
  access-control: 0.0.0.0/0 allow
  username: ""
  chroot: ""
  directory: "/scratch"
  pidfile: "/scratch/unbound.pid"
  use-syslog: no
  module-config: "iterator"
  use-caps-for-id: yes
  cache-max-ttl: 60
  cache-max-negative-ttl: 1
  infra-host-ttl: 0
  infra-keep-probing: yes
  local-zone: "." static
  local-zone: "test." transparent
  num-threads: 1
stub-zone:
  name: "test."
  stub-addr: {network}.2
remote-control:
  control-enable: no
"""

_BACKEND: Final = """\
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "12")
        self.end_headers()
        self.wfile.write(b"the backend\\n")
ThreadingHTTPServer(("", 9000), Handler).serve_forever()
"""


@dataclasses.dataclass(frozen=True)
class Ended:
    """What a command came to."""

    code: int
    output: str
    complaint: str


class Docker:
    """The engine's command line."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {**os.environ, **environment}

    def __call__(self, *arguments: str, seconds: float = 300, check: bool = True, stdin: bytes | None = None) -> Ended:
        """`docker ARGUMENTS`; fails unless it succeeds or `check` is off. Output that is no text is kept by `raw`."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            check=False,
            timeout=seconds,
            input=stdin if stdin is not None else b"",
        )
        ended = Ended(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if check and ended.code != 0:
            raise PeerError(f"docker {' '.join(arguments)}: {ended.code}\n{ended.output}\n{ended.complaint}")
        return ended

    def raw(self, *arguments: str) -> bytes:
        """The bytes that `docker ARGUMENTS` prints."""
        done = subprocess.run(
            ["docker", *arguments], cwd=ROOT, env=self.environment, capture_output=True, check=True, timeout=60
        )
        return done.stdout


class Stack:
    """One project: the gateway, with settings of its own, and if wanted the peers."""

    def __init__(self, docker: Docker, directory: Path, *, peers: bool = True, files: Sequence[str] = ()) -> None:
        number = next(_NUMBERS)
        self.network = f"10.213.{number}"
        self.name = f"gateway-test-{os.getpid()}-{number}"
        self._files = ["docker-compose.yml", *([OVERLAY] if peers else []), *files]
        self.settings, self.peers = directory / "config", directory / "peers"
        for path in (directory, self.settings, self.peers):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
        _let_others_pass(directory)
        self.dns_port, self.http_port, self.https_port = (_free_port() for _ in range(3))
        self.docker = Docker(
            {
                **docker.environment,
                "GATEWAY_SETTINGS": str(self.settings),
                "GATEWAY_ADDRESS": ADDRESS,
                "GATEWAY_DNS_PORT": str(self.dns_port),
                "GATEWAY_HTTP_PORT": str(self.http_port),
                "GATEWAY_HTTPS_PORT": str(self.https_port),
                "TEST_NETWORK": self.network,
                "TEST_PEERS": str(self.peers),
            }
        )
        if peers:
            self._write_peers()

    def compose(self, *arguments: str, **options: Any) -> Ended:
        """`docker compose ARGUMENTS` in this project."""
        files = [word for file in self._files for word in ("--file", file)]
        return self.docker("compose", *files, "--project-name", self.name, *arguments, **options)

    def inside(self, *command: str, **options: Any) -> Ended:
        """A command in the gateway's container."""
        return self.docker("exec", self.container(), *command, **options)

    def container(self) -> str:
        """The gateway's container."""
        return f"{self.name}-gateway-1"

    def inspect(self, template: str) -> str:
        """A fact about the gateway's container."""
        return self.docker("inspect", "--format", template, self.container()).output.strip()

    def write_settings(self, **changes: Any) -> None:
        """The settings of this gateway, in one step; the keys of a section that is given are added to it."""
        values: dict[str, Any] = {
            "public": {"ipv4": f"{self.network}.10", "domains": [DOMAIN]},
            "acme": {
                "email": "ops@gw.test",
                "ca_server": f"https://{self.network}.4:14000/dir",
                "ca_certificates": ["/etc/gateway/ca.pem"],
            },
            "dns": {"resolvers": [f"{self.network}.3"]},
        }
        for section, content in changes.items():
            values[section] = {**values.get(section, {}), **content}
        draft = self.settings / "draft"
        draft.write_text(yaml.safe_dump(values), encoding="utf-8")
        draft.chmod(0o644)
        draft.rename(self.settings / "gateway.yaml")

    def up(self, *services: str) -> None:
        """Start it, and wait until every container is up and the gateway healthy."""
        ended = self.compose("up", "--detach", "--wait", "--no-build", *services, check=False)
        if ended.code != 0:
            status = self.inside("gateway", "status", check=False)
            raise PeerError("\n".join((ended.complaint[-500:], status.output, status.complaint, self.log()[-6000:])))

    def status(self) -> dict[str, Any]:
        """`gateway status --json`; empty while nothing answers."""
        said = self.inside("gateway", "status", "--json", check=False).output
        return dict(json.loads(said)) if said.startswith("{") else {}

    def pid_of(self, name: str) -> int:
        """The process, inside the container, of one of the appliance's programs; 0 while it is not running."""
        return {item["name"]: int(item["pid"] or 0) for item in self.status().get("programs", [])}.get(name, 0)

    def until_healthy(self, seconds: float = 60) -> None:
        """Wait until the gateway says so itself."""
        self.until(lambda: self.status().get("healthy"), READY, seconds)

    def until(self, probe: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """The first true value of `probe`."""
        return await_result(probe, what, seconds=seconds, log=lambda: self.log()[-4000:])

    def log(self) -> str:
        """Everything that the gateway's container has printed."""
        ended = self.docker("logs", self.container(), check=False)
        return ended.output + ended.complaint

    def orders(self) -> int:
        """How many certificates were ordered."""
        ended = self.docker("logs", f"{self.name}-ca-1")
        return len(re.findall(r'Added order "', ended.output + ended.complaint))

    def authority(self) -> str:
        """The root that the test's certificate authority issues under, as PEM."""
        trusted = ssl.create_default_context(cafile=str(self.peers / "ca.pem"))
        url = f"https://{self.network}.4:15000/roots/0"
        with urllib.request.urlopen(url, timeout=5, context=trusted) as answer:
            return bytes(answer.read()).decode("ascii")

    def fetch(self, host: str, path: str = "/", ca: str | None = None) -> https.Answer:
        """A request to the published port."""
        return https.fetch(host, path, address=ADDRESS, port=self.https_port, ca=ca)

    def until_trusted(self, host: str, seconds: float = 60) -> https.Answer:
        """A good answer with a certificate of the test's authority."""
        authority = self.authority()

        def good() -> https.Answer | None:
            answer = self.fetch(host, ca=authority)
            return answer if answer.status == 200 else None

        found: https.Answer = self.until(good, f"{host} is served with a certificate", seconds)
        return found

    def down(self) -> None:
        """Take everything of the project away."""
        self.compose("down", "--volumes", "--timeout", "20", "--remove-orphans")

    def _write_peers(self) -> None:
        write_authority(self.peers, f"{self.network}.4")
        pebble = {
            "listenAddress": f"{self.network}.4:14000",
            "managementListenAddress": f"{self.network}.4:15000",
            "certificate": "/peers/server.pem",
            "privateKey": "/peers/server.key",
            "httpPort": 80,
            "tlsPort": 443,
        }
        texts = {"nsd.conf": _NSD, "test.zone": _ZONE, "unbound.conf": _UNBOUND, "backend.py": _BACKEND}
        for name, text in texts.items():
            (self.peers / name).write_text(text.format(network=self.network), encoding="ascii")
        (self.peers / "pebble.json").write_text(json.dumps({"pebble": pebble}), encoding="ascii")
        shutil.copy(self.peers / "ca.pem", self.settings / "ca.pem")
        self.peers.chmod(0o755)
        for path in (*self.peers.iterdir(), self.settings / "ca.pem"):
            path.chmod(0o644)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def _let_others_pass(directory: Path) -> None:
    """The container's user is nobody here, and pytest's directories are for their owner alone."""
    for parent in list(directory.parents)[:4]:
        if parent.stat().st_uid == os.getuid() and parent not in (Path("/tmp"), Path("/")):
            parent.chmod(parent.stat().st_mode | 0o011)
