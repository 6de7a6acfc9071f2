"""Name servers to compare with: NSD, Knot and dnsmasq serving zones we give, on loopback, in the foreground.

Each is a context manager that yields when the server answers, and ends the process it started.
"""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.peers.launching import Launched

_PROBE = b"\0\1\1\0\0\1\0\0\0\0\0\0\0\0\6\0\1"  # SOA of the root: any rcode will do


@contextlib.contextmanager
def nsd(directory: Path, zones: Mapping[str, str], port: int) -> Iterator[int]:
    """NSD with one server process, rate limiting off. `zones`: apex -> text of the zone file. Yields the port."""
    directory.mkdir(parents=True, exist_ok=True)
    config = [
        "server:",
        f'  ip-address: "127.0.0.1@{port}"',
        "  server-count: 1",
        '  username: ""',
        '  chroot: ""',
        f'  zonesdir: "{directory}"',
        '  database: ""',
        f'  pidfile: "{directory}/nsd.pid"',
        f'  xfrdfile: "{directory}/xfrd.state"',
        f'  zonelistfile: "{directory}/zone.list"',
        f'  xfrdir: "{directory}"',
        "  rrl-ratelimit: 0",
        "  rrl-whitelist-ratelimit: 0",
        "  refuse-any: yes",
        "remote-control:",
        "  control-enable: no",
    ]
    for apex, text in zones.items():
        (directory / f"{apex}.zone").write_text(text)
        config += ["zone:", f'  name: "{apex}"', f'  zonefile: "{apex}.zone"']
    (directory / "nsd.conf").write_text("\n".join(config) + "\n")
    with running(["nsd", "-d", "-c", str(directory / "nsd.conf")], directory / "nsd.log", port):
        yield port


@contextlib.contextmanager
def knot(directory: Path, zones: Mapping[str, str], port: int) -> Iterator[int]:
    """Knot DNS with one UDP worker. `zones`: apex -> text of the zone file. Yields the port."""
    directory.mkdir(parents=True, exist_ok=True)
    config = [
        "server:",
        f"  listen: 127.0.0.1@{port}",
        "  udp-workers: 1",
        "  tcp-workers: 1",
        "  background-workers: 1",
        f'  rundir: "{directory}"',
        "database:",
        f'  storage: "{directory}"',
        "template:",
        "  - id: default",
        f'    storage: "{directory}"',
        "    semantic-checks: off",
        "zone:",
    ]
    for apex, text in zones.items():
        (directory / f"{apex}.zone").write_text(text)
        config += [f"  - domain: {apex}", f'    file: "{apex}.zone"']
    (directory / "knot.conf").write_text("\n".join(config) + "\n")
    with running(["knotd", "-c", str(directory / "knot.conf")], directory / "knot.log", port):
        yield port


@contextlib.contextmanager
def dnsmasq(directory: Path, zone: str, texts: Mapping[str, str], port: int) -> Iterator[int]:
    """dnsmasq as an authority for `zone`, with one TXT value per owner name. Yields the port."""
    directory.mkdir(parents=True, exist_ok=True)
    config = [
        "no-resolv", "no-hosts", "no-daemon", "bind-interfaces", "listen-address=127.0.0.1", f"port={port}",
        "conf-file=/dev/null", "pid-file", f"auth-server=ns.{zone},lo", f"auth-zone={zone}", "auth-ttl=1",
        *(f"txt-record={owner},{value}" for owner, value in texts.items()),
    ]  # fmt: skip
    (directory / "dnsmasq.conf").write_text("\n".join(config) + "\n")
    with running(["dnsmasq", "-C", str(directory / "dnsmasq.conf")], directory / "dnsmasq.log", port):
        yield port


def free_port() -> int:
    """A port that is free for UDP and TCP on loopback now."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        return int(tcp.getsockname()[1])


@contextlib.contextmanager
def running(argv: list[str], log: Path, port: int) -> Iterator[int]:
    """A name server on loopback that answers on `port` over UDP when this yields it; ended afterwards."""
    program = Launched(argv, log)
    try:
        program.until(lambda: answers(port), f"{program.name} answers")
        yield port
    finally:
        program.stop()


def answers(port: int) -> bool:
    """Whether somebody answers DNS over UDP on this port of loopback now. Raises OSError when not."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(0.05)
        sock.send(_PROBE)
        return bool(sock.recv(512))
