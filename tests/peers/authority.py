"""`python -m tests.peers.authority ROOT ADDRESS:PORT [PER_SECOND]`: the DNS side of the daemon, alone in a process.

Authority, challenge socket and store, put together as the daemon does it, for tests and benchmarks that want nothing
else to move. PER_SECOND: rate limiting; without it there is none.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from appliance import logs
from appliance.adapters.challenge_files import ChallengeFiles
from appliance.adapters.challenge_socket import ChallengeSocket
from appliance.adapters.dns import DnsServer
from appliance.control.challenges import Challenges
from appliance.model.rate_limits import RateLimit
from appliance.model.zones import zones_of
from tests.peers import nameservers
from tests.peers.launching import Launched

DOMAIN: Final = "gw.example.com"
APEX: Final = f"_acme-challenge.{DOMAIN}"


@contextlib.contextmanager
def running(root: Path, address: str = "127.0.0.1", per_second: int = 0, zones: int = 1) -> Iterator[Launched]:
    """The authority with its root at `root`, on a free port (`port_of`), until the block ends."""
    port = nameservers.free_port()
    (root / "run").mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "tests.peers.authority", str(root), f"{address}:{port}", str(per_second), str(zones)]
    program = Launched(argv, root / "authority.log", cwd=Path(__file__).parents[2])
    try:
        program.until(lambda: nameservers.answers(port), "the authority answers")
        yield program
    finally:
        program.stop()


def port_of(program: Launched) -> int:
    """The port it listens on."""
    return int(str(program.process.args[4]).rpartition(":")[2])  # type: ignore[index]


def main(root: str, listen: str, per_second: str = "0", zones: str = "1") -> None:
    """Serve until killed."""
    logs.configure("warning")
    sys.setswitchinterval(0.0005)
    address, _, port = listen.rpartition(":")
    limit = RateLimit(int(per_second)) if int(per_second) else None
    authority = DnsServer([(address, int(port))], rate_limit=limit)
    challenges = Challenges(authority, ChallengeFiles(Path(root) / "state" / "challenges.json"), time.time)
    domains = [DOMAIN, *(f"{number}.example" for number in range(1, int(zones)))]
    challenges.set_zones(zones_of(domains, ["_acme-challenge"], [], None))
    authority.start()
    ChallengeSocket(Path(root) / "run" / "challenge.sock", challenges.present, challenges.clean_up).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
