"""The authority under attack: everybody else is still answered, and memory stays flat.

One core floods, the other serves, and probers in networks of their own ask like stub resolvers do: again after 200 ms,
for a second.
"""

import os
import random
import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psutil
import pytest

from appliance.adapters.dns import DnsServer
from appliance.model.zones import Zone
from tests.peers import authority, floods
from tests.peers.authority import APEX
from tests.peers.launching import Launched
from tests.peers.probers import NETWORKS, Probers, is_answer
from tests.unit.dns_messages import VALUE, question

HOOK: Final = Path(__file__).parents[2] / "hooks" / "dns01"
REPOSITORY: Final = Path(__file__).parents[2]
FLOOD_SECONDS: Final = 60  # at most: it is ended when all have asked
LINE_RATE: Final = 100_000
"""Such questions a second on a line of 100 Mbit/s: with all that Ethernet needs a frame each of 126 octets."""
QUESTIONS: Final = 1000
MOST_GROWTH: Final = 2 << 20


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gw") as directory:
        yield Path(directory)


def hook(root: Path, verb: str, value: str) -> int:
    environment = {**os.environ, "GATEWAY_ROOT": str(root)}
    return subprocess.run([HOOK, verb, APEX, value], env=environment, timeout=20, check=False).returncode


def is_served(port: int, network: str) -> bool:
    """Whether a client in `network` is accepted and answered over TCP."""
    message = question()
    with socket.socket() as sock:
        sock.settimeout(5)
        sock.bind((network, 0))
        try:
            sock.connect(("127.0.0.1", port))
            sock.sendall(len(message).to_bytes(2, "big") + message)
            with sock.makefile("rb") as stream:
                return is_answer(message, stream.read(int.from_bytes(stream.read(2), "big")))
        except OSError:
            return False


def memory(program: Launched) -> int:
    return int(psutil.Process(program.process.pid).memory_info().rss)


@pytest.mark.parametrize(
    ("kind", "prefixes", "pace"),
    [
        ("valid", 1, 0),
        ("valid", 2000, 0),
        ("valid", 30000, LINE_RATE),  # each within its share, so all of it is answered
        ("random", 500, 0),
        ("random", 30000, 0),
        ("options", 2000, 0),
        ("garbage", 2000, 0),
        ("garbage", 30000, 0),
        ("labyrinth", 30000, 0),
        ("syn", 1, 0),
        ("idle", 1, 0),
        ("busy", 1, 0),
    ],
)
def test_others_are_answered_during_a_flood(root: Path, kind: str, prefixes: int, pace: int) -> None:
    with authority.running(root, per_second=20) as server:
        port = authority.port_of(server)
        assert hook(root, "present", VALUE) == 0
        floods.finish(
            floods.start(kind, port, 1, prefixes, pace)
        )  # what a flood may take, it takes once: buffers, cells
        before = memory(server)
        flood = floods.start(kind, port, FLOOD_SECONDS, prefixes, pace)
        with Probers(port, QUESTIONS) as probers:
            assert hook(root, "present", "during the flood") == 0
            if kind in ("syn", "idle", "busy"):  # the flood takes what TCP has to give
                assert [is_served(port, network) for network in NETWORKS[::10]].count(False) == 0
        assert flood.poll() is None, "the flood lasted as long as they asked"
        assert floods.end(flood) > 1000
        growth = memory(server) - before
    assert probers.answered >= 0.99 * QUESTIONS
    assert growth < MOST_GROWTH, f"{growth} octets"
    assert not server.log_text()


@pytest.mark.timeout(900)
def test_a_day_leaves_the_memory_as_it_was(root: Path) -> None:
    """1,000,000 questions, none of them lost, and 50,000 pairs of present and clean-up.

    What is bounded by number (the table, the history) is filled before, as far as a short while fills it.
    """
    with authority.running(root) as server:
        _live(root, server, pairs=1_000, rounds=10)
        before = memory(server)
        for _ in range(2):
            _live(root, server, pairs=25_000, rounds=50)
        growth = memory(server) - before
    assert growth < MOST_GROWTH, f"{growth} octets"


def _live(root: Path, server: Launched, *, pairs: int, rounds: int) -> None:
    """Pairs over the challenge socket, and meanwhile `rounds` times 10,000 questions."""
    asked = [APEX if number % 2 else f"{random.getrandbits(32):x}.{APEX}" for number in range(10_000)]
    (root / "questions").write_text("".join(f"{name} TXT\n" for name in asked))
    argv = ["dnsperf", "-s", "127.0.0.1", "-p", str(authority.port_of(server)), "-d", str(root / "questions")]
    questions = subprocess.Popen([*argv, "-n", str(rounds), "-q", "50"], stdout=subprocess.PIPE, text=True)
    for number in range(pairs):
        for verb in ("present", "cleanup"):
            authority.present(root, APEX, f"{number:043}", verb)
    report, _ = questions.communicate(timeout=300)
    assert re.search(rf"Queries completed:\s+{rounds * 10_000} ", report), report


def test_values_survive_a_kill_and_the_serial_rises(root: Path) -> None:
    """SIGKILL between `present` and validation loses nothing."""
    with authority.running(root) as server:
        assert hook(root, "present", VALUE) == 0
        serial = _serial(authority.port_of(server))
        server.kill()
    with authority.running(root) as server:
        port = authority.port_of(server)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            sock.settimeout(5)
            sock.send(question())
            assert VALUE.encode() in sock.recv(2048)
        assert _serial(port) > serial


def _serial(port: int) -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.settimeout(5)
        sock.send(question(rdtype="SOA"))
        return int.from_bytes(sock.recv(2048)[-20:-16], "big")


def test_zones_change_without_a_lost_question() -> None:
    """Ten thousand questions while the set of zones changes all the time: each is answered, and never wrongly."""
    server = DnsServer([("127.0.0.1", 0)])
    always, sometimes = Zone(APEX, "gw.example.com"), Zone("_acme-challenge.other.example", "other.example")
    server.set_zones([always])
    server.publish(1, {APEX: (VALUE,)})
    server.start()
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(server.bound[0])
        sock.settimeout(5)
        changes = _Changes(server, [[always, sometimes], [always]])
        changes.start()
        for number in range(10_000):
            sock.send(question(id=number))
            assert VALUE.encode() in sock.recv(2048)
        changes.ended.set()
        changes.join()
    server.stop()
    assert changes.count > 10


class _Changes(threading.Thread):
    """Sets these sets of zones in turn until `ended`."""

    def __init__(self, server: DnsServer, sets: Sequence[Sequence[Zone]]) -> None:
        super().__init__()
        self.ended = threading.Event()
        self.count = 0
        self._server = server
        self._sets = sets

    def run(self) -> None:
        while not self.ended.wait(0.0005):
            self._server.set_zones(self._sets[self.count % len(self._sets)])
            self.count += 1
