"""`python -m tests.peers.shards [--at-once N] FILE...`: run test files, each in a namespace of its own, some at once.

The tests mostly wait: for peers, for deadlines, for a second to pass. Namespaces do not see one another, so as many
files run at a time as there are cores. What a file's run printed appears when it has ended; the exit code is 1 if any
file's was not 0, and nothing is run twice.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_OUTCOMES = re.compile(r"(\d+) (passed|failed|skipped|error|errors)\b")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the files named on the command line. The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.shards")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    # The long ones first, or one of them would be left over at the end; length of text is a fair guess.
    files = sorted(options.files, key=lambda path: -path.stat().st_size)
    with ThreadPoolExecutor(options.at_once) as pool:
        ended = list(pool.map(_run, files))
    counts = Counter[str]()
    for _, output in ended:
        closing = output.rstrip().splitlines()[-1:]
        for number, outcome in _OUTCOMES.findall("".join(closing)):
            counts[outcome.removesuffix("s") if outcome == "errors" else outcome] += int(number)
    failed = counts["failed"] + counts["error"] + sum(code not in (0, 1) for code, _ in ended)
    sys.stdout.write(f"{counts['passed']} passed, {failed} failed, {counts['skipped']} skipped\n")
    return int(any(code for code, _ in ended))


def _run(path: Path) -> tuple[int, str]:
    begun = time.monotonic()
    command = [sys.executable, "-m", "tests.peers.namespace", sys.executable, "-m", "pytest", "-q", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    sys.stdout.write(f"== {path}, {time.monotonic() - begun:.0f} s\n{done.stdout}\n")
    sys.stdout.flush()
    return done.returncode, done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
