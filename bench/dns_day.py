"""A day of the authority compressed: 1,000,000 questions and 50,000 pairs of present and clean-up.

Prints how much the resident memory grew after a short warm-up, which fills what is bounded by number (the table and the
history). The peer is the authority itself, before that day.
"""

import random
import re
import subprocess
import tempfile
from pathlib import Path

import psutil

from tests.peers import authority
from tests.peers.launching import Launched

_APEX = authority.APEX
_MOST_GROWTH = 2 << 20


def main() -> int:
    """Print the growth in octets and as a ratio. 1 when it is over 2 MB."""
    with tempfile.TemporaryDirectory(prefix="gw") as directory:
        root = Path(directory)
        with authority.running(root) as server:
            _live(root, authority.port_of(server), pairs=1_000, rounds=10)
            before = _memory(server)
            _live(root, authority.port_of(server), pairs=25_000, rounds=50)
            middle = _memory(server)
            _live(root, authority.port_of(server), pairs=25_000, rounds=50)
            after = _memory(server)
    print(f"dns day: resident octets {before}, {middle}, {after}; growth {after - before}, ratio {after / before:.3f}")
    return int(after - before > _MOST_GROWTH)


def _memory(program: Launched) -> int:
    return int(psutil.Process(program.process.pid).memory_info().rss)


def _live(root: Path, port: int, *, pairs: int, rounds: int) -> None:
    """Pairs over the challenge socket, and meanwhile `rounds` times 10,000 questions, none of them lost."""
    asked = [_APEX if number % 2 else f"{random.getrandbits(32):x}.{_APEX}" for number in range(10_000)]
    (root / "questions").write_text("".join(f"{name} TXT\n" for name in asked))
    argv = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(root / "questions"), "-n", str(rounds), "-q", "50"]
    questions = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    for number in range(pairs):
        for verb in ("present", "cleanup"):
            authority.present(root, _APEX, f"{number:043}", verb)
    report, _ = questions.communicate(timeout=300)
    found = re.search(r"Queries completed:\s+(\d+)", report)
    assert found is not None, report
    assert int(found[1]) == rounds * 10_000, report


if __name__ == "__main__":
    raise SystemExit(main())
