"""`python -m tests.peers.authority ROOT ADDRESS:PORT PER_SECOND ZONES BUSY`: the DNS side of the daemon, alone.

Authority, challenge socket and store in a process of their own, put together as the daemon does it, for tests and
benchmarks that want nothing else to move. PER_SECOND: rate limiting, 0 for none. BUSY: 1 to plan and render 10,000
workloads in the same process all the time.
"""

import contextlib
import gc
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from appliance import logs
from appliance.adapters.challenge_files import ChallengeFiles
from appliance.adapters.challenge_socket import ChallengeSocket
from appliance.adapters.dns import DnsServer
from appliance.control.challenges import Challenges
from appliance.control.yielding import Yielding
from appliance.model.rate_limits import RateLimit
from appliance.model.zones import zones_of
from tests.peers import nameservers, planning
from tests.peers.launching import Launched, PeerError

DOMAIN: Final = "gw.example.com"
APEX: Final = f"_acme-challenge.{DOMAIN}"
_HOUSEKEEPING_SECONDS: Final = 5


@contextlib.contextmanager
def running(
    root: Path, address: str = "127.0.0.1", *, per_second: int = 0, zones: int = 1, is_busy: bool = False
) -> Iterator[Launched]:
    """The authority with its root at `root`, on a free port (`port_of`), until the block ends."""
    port = nameservers.free_port()
    (root / "run").mkdir(parents=True, exist_ok=True)
    values = (root, f"{address}:{port}", per_second, zones, int(is_busy))
    argv = [sys.executable, "-m", "tests.peers.authority", *map(str, values)]
    program = Launched(argv, root / "authority.log", cwd=Path(__file__).parents[2])
    try:
        program.until(lambda: nameservers.answers(port), "the authority answers")
        program.until((root / "run" / "challenge.sock").exists, "the challenge socket is there")
        yield program
    finally:
        program.stop()


def port_of(program: Launched) -> int:
    """The port it listens on."""
    return int(str(program.process.args[4]).rpartition(":")[2])  # type: ignore[index]


def present(root: Path, name: str, value: str, verb: str = "present") -> float:
    """Present (or clean up) over the challenge socket, as the hook does; the seconds it took."""
    started = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(root / "run" / "challenge.sock"))
        sock.settimeout(10)
        sock.sendall(f'{{"verb": "{verb}", "fqdn": "{name}", "value": "{value}"}}\n'.encode())
        answer = sock.recv(4096)
    if not answer.startswith(b'{"ok": true'):
        raise PeerError(f"the authority refused: {answer!r}")
    return time.perf_counter() - started


def apex(number: int) -> str:
    """The zone of this number: 0 is `APEX`."""
    return f"_acme-challenge.{number}.example" if number else APEX


def main(root: str, listen: str, per_second: str, zones: str, is_busy: str) -> None:
    """Serve until killed."""
    logs.configure("warning")
    sys.setswitchinterval(0.0001)  # this and the next as the daemon
    gc.set_threshold(700, 10, 100)
    address, _, port = listen.rpartition(":")
    limit = RateLimit(int(per_second)) if int(per_second) else None
    authority = DnsServer([(address, int(port))], rate_limit=limit)
    challenges = Challenges(authority, ChallengeFiles(Path(root) / "state" / "challenges.json"), time.time)
    challenges.set_zones(zones_of([], [], map(apex, range(int(zones))), None))
    authority.start()
    ChallengeSocket(Path(root) / "run" / "challenge.sock", challenges.present, challenges.clean_up).start()
    if int(is_busy):
        planning.plan_for_ever(Yielding(authority.per_second))
    while True:
        time.sleep(_HOUSEKEEPING_SECONDS)
        challenges.expire()


if __name__ == "__main__":
    main(*sys.argv[1:])
