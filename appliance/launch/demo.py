"""The demonstration (`gateway demo`): a whole gateway on loopback, with a test certificate authority beside it.

Needs no root, no Docker and no public address: high ports, Pebble (the ACME test server of Let's Encrypt, a Debian
package) as authority, a small backend, one name proxy. Everything is the real thing but for two settings that the lack
of port 53 and of a delegation asks for: Pebble and Traefik's ACME client ask the gateway's own name server directly.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from appliance.launch.demo_authority import write_authority
from appliance.model.errors import GatewayError, Unavailable

DOMAIN = "gw.demo.test"
HOST = f"hello.{DOMAIN}"
_ADDRESS = "127.0.0.1"
_BACKEND_ADDRESS = "127.0.0.2"  # the gateway's own address would be refused as a loop
_SECONDS_TO_WORK = 60.0
_SECONDS_TO_STOP = 20.0
_GREETING = b"Hello from behind the gateway.\n"


@dataclass(frozen=True, slots=True)
class _Ports:
    """Free ports on loopback, found when the demonstration starts."""

    dns: int
    web: int
    web_secure: int
    api: int
    metrics: int
    acme: int
    acme_management: int


def run(root: Path | None, *, is_check: bool, is_json: bool) -> int:
    """Run until Ctrl-C, or with `is_check` until it works. Raises GatewayError when it does not."""
    pebble = shutil.which("pebble")
    if pebble is None:
        raise GatewayError("the demonstration needs Pebble: `apt-get install pebble` (or `make setup`)")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-")))
        home = root.absolute() if root else scratch / "root"
        print("starting Pebble, Traefik and the gateway ...", file=sys.stderr, flush=True)  # noqa: T201
        began = time.monotonic()
        appliance, ports = _start(stack, pebble, home, scratch)
        authority = _root_certificate(ports, scratch)
        _await_answer(appliance, ports, authority, scratch)
        _tell(home, ports, authority, time.monotonic() - began, is_check=is_check, is_json=is_json)
        if not is_check:
            with contextlib.suppress(KeyboardInterrupt):
                appliance.wait()
    return 0


def _start(
    stack: contextlib.ExitStack, pebble: str, home: Path, scratch: Path
) -> tuple[subprocess.Popen[bytes], _Ports]:
    ports = _Ports(*_free_ports(7))
    backend = stack.enter_context(_backend())
    _write(home, scratch, ports, backend)
    environment = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    arguments = [pebble, "-config", str(scratch / "pebble.json"), "-dnsserver", f"{_ADDRESS}:{ports.dns}"]
    stack.enter_context(_running(arguments, scratch / "pebble.log", {**os.environ, **environment}))
    for port in (ports.acme_management, ports.acme):  # it opens one after the other
        _await_port(port)
    config = scratch / "gateway.yaml"
    gateway = [sys.executable, "-P", "-m", "appliance", "run", "--root", str(home), "--config", str(config)]
    own = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY__")}
    return stack.enter_context(_running(gateway, scratch / "gateway.log", own)), ports


def _write(home: Path, scratch: Path, ports: _Ports, backend: str) -> None:
    write_authority(scratch / "acme", _ADDRESS)
    pebble = {
        "listenAddress": f"{_ADDRESS}:{ports.acme}",
        "managementListenAddress": f"{_ADDRESS}:{ports.acme_management}",
        "certificate": str(scratch / "acme/server.pem"),
        "privateKey": str(scratch / "acme/server.key"),
        "httpPort": ports.web,
        "tlsPort": ports.web_secure,
    }
    (scratch / "pebble.json").write_text(json.dumps({"pebble": pebble}), encoding="utf-8")
    (scratch / "gateway.yaml").write_text(yaml.safe_dump(_settings(scratch, ports), sort_keys=False), encoding="utf-8")
    workload = {"type": "gateway-name-proxy", "name": "hello", "backends": [backend]}
    (home / "workloads").mkdir(parents=True, exist_ok=True)
    (home / "workloads/hello.yaml").write_text(yaml.safe_dump(workload, sort_keys=False), encoding="utf-8")


def _settings(scratch: Path, ports: _Ports) -> dict[str, Any]:
    return {
        "public": {"ipv4": _ADDRESS, "domains": [DOMAIN]},
        "acme": {
            "email": "demo@example.com",
            "ca_server": f"https://{_ADDRESS}:{ports.acme}/dir",
            "ca_certificates": [str(scratch / "acme/ca.pem")],
            "propagation_check": "off",
            "preflight": False,  # nobody delegates to a demonstration on a high port
        },
        "dns": {"listen": [f"{_ADDRESS}:{ports.dns}"], "resolvers": [f"{_ADDRESS}:{ports.dns}"]},
        "entrypoints": {"web": f"{_ADDRESS}:{ports.web}", "web_secure": f"{_ADDRESS}:{ports.web_secure}"},
        "backends": {"allow_loopback": True},
        "traefik": {"api": f"{_ADDRESS}:{ports.api}", "metrics": f"{_ADDRESS}:{ports.metrics}"},
    }


def _root_certificate(ports: _Ports, scratch: Path) -> Path:
    """Where Pebble's root certificate was written; Pebble makes a new one each time it starts."""
    trusted = ssl.create_default_context(cafile=str(scratch / "acme/ca.pem"))
    connection = http.client.HTTPSConnection(_ADDRESS, ports.acme_management, timeout=5, context=trusted)
    connection.request("GET", "/roots/0")
    path = scratch / "authority.pem"
    path.write_bytes(connection.getresponse().read())
    connection.close()
    return path


def _await_answer(appliance: subprocess.Popen[bytes], ports: _Ports, authority: Path, scratch: Path) -> None:
    """Return once the host is served with a certificate of this authority. Raises Unavailable, with the log's end."""
    trusted = ssl.create_default_context(cafile=str(authority))
    deadline = time.monotonic() + _SECONDS_TO_WORK
    problem = "nothing answered"
    while time.monotonic() < deadline and appliance.poll() is None:
        try:
            if _fetch(trusted, ports.web_secure) == _GREETING:
                return
            problem = "the route is not there yet"
        except (OSError, http.client.HTTPException) as error:
            problem = str(error)
        threading.Event().wait(0.05)
    log = (scratch / "gateway.log").read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
    raise Unavailable("\n".join([f"https://{HOST} was not served in time: {problem}", "the log ends with:", *log]))


def _fetch(trusted: ssl.SSLContext, port: int) -> bytes:
    with (
        socket.create_connection((_ADDRESS, port), timeout=2) as plain,
        trusted.wrap_socket(plain, server_hostname=HOST) as secured,
    ):
        secured.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(secured)
        answer.begin()
        return answer.read() if answer.status == http.client.OK else b""


def _tell(home: Path, ports: _Ports, authority: Path, seconds: float, *, is_check: bool, is_json: bool) -> None:
    url = f"https://{HOST}:{ports.web_secure}/"
    curl = f"curl --cacert {authority} --resolve {HOST}:{ports.web_secure}:{_ADDRESS} {url}"
    if is_json:
        told = {"url": url, "curl": curl, "root": str(home), "seconds": round(seconds, 3)}
        print(json.dumps(told), flush=True)  # noqa: T201  what the verb is for
        return
    gateway = sys.argv[0]
    lines = [
        f"{url} is served, with a certificate for *.{DOMAIN} that was there {seconds:.1f} s after the start.",
        "See it in another terminal:",
        f"  {curl}",
        "Then look at:",
        f"  {gateway} status --root {home}",
        f"  {gateway} route list --root {home}",
        f"  {gateway} challenges --root {home}",
        f"  dig @{_ADDRESS} -p {ports.dns} SOA _acme-challenge.{DOMAIN}",
        "Ctrl-C ends it.",
    ]
    print("\n".join(lines[:1] if is_check else lines), flush=True)  # noqa: T201  what the verb is for


@contextlib.contextmanager
def _running(arguments: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program for as long as the context lasts; it does not see the terminal's Ctrl-C, only our own stop."""
    with log.open("ab") as output:
        program = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


@contextlib.contextmanager
def _backend() -> Iterator[str]:
    """A web server that greets; its URL."""
    server = ThreadingHTTPServer((_BACKEND_ADDRESS, 0), _Greeter)
    threading.Thread(target=server.serve_forever, name="backend", daemon=True).start()
    try:
        yield f"http://{_BACKEND_ADDRESS}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Greeter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Greet."""
        self.send_response(http.client.OK)
        self.send_header("Content-Length", str(len(_GREETING)))
        self.end_headers()
        self.wfile.write(_GREETING)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name for it
        """Say nothing: the terminal is for the visitor."""


def _free_ports(count: int) -> list[int]:
    """Ports that are free for TCP and UDP alike, held together while they are looked for so that they differ."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            stream = held.enter_context(socket.socket())
            stream.bind((_ADDRESS, 0))
            port = stream.getsockname()[1]
            datagram = held.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):
                datagram.bind((_ADDRESS, port))
                ports.append(port)
        return ports


def _await_port(port: int) -> None:
    deadline = time.monotonic() + _SECONDS_TO_WORK
    while True:
        try:
            socket.create_connection((_ADDRESS, port), timeout=1).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"Pebble does not answer on port {port}") from error
            threading.Event().wait(0.02)
        else:
            return
