"""The verb `top`: the gateway as it runs, once every few seconds, until `q`.

On a terminal it draws over what it drew before; elsewhere it prints one object a line, or one table and ends.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from appliance.cli import rates, teaching, traffic_table
from appliance.cli.client import AdminClient
from appliance.cli.rates import Look
from appliance.cli.teaching import Commands
from appliance.model.errors import Unavailable

_LEAST_SECONDS = 0.2
_USUAL_SECONDS = 2.0
_CERTIFICATES_SECONDS = 30.0
_PATIENCE_SECONDS = 30.0
_OTHER_SCREEN, _USUAL_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def add_verb(commands: "Commands[argparse.ArgumentParser]") -> None:
    """The grammar of the verb."""
    summary = "the gateway as it runs: workloads, requests, bytes, errors, certificates"
    parser = teaching.verb(commands, "top", summary, "gateway top", "gateway top --json -n 10 --interval 1")
    parser.add_argument("-n", "--iterations", type=int, default=None, help="how often (default: until q or Ctrl-C)")
    parser.add_argument(
        "--interval", type=float, default=_USUAL_SECONDS, help=f"seconds between looks (default {_USUAL_SECONDS:g})"
    )
    parser.add_argument("--root", type=Path, default=argparse.SUPPRESS, help="the appliance's directory")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.set_defaults(verb=top)


def top(options: Namespace) -> int:
    """Show it. Ends with 0 on `q` and Ctrl-C: that is how one leaves it."""
    looks = _Looks(options.root, max(_LEAST_SECONDS, options.interval))
    is_live = sys.stdout.isatty() and sys.stdin.isatty() and not options.json
    limit = options.iterations if options.iterations is not None or is_live or options.json else 1
    with contextlib.suppress(KeyboardInterrupt):
        if is_live:
            with _Screen() as screen:
                _live(looks, screen, limit)
        else:
            for found in looks.frames(limit):
                print(json.dumps(found) if options.json else "\n".join(text(found, 200)), flush=True)
    return 0


class _Looks:
    """Looks at a gateway, again and again."""

    def __init__(self, root: Path, interval_seconds: float) -> None:
        self._client = AdminClient(root)
        self.interval_seconds = interval_seconds
        self._certificates: tuple[float, Sequence[Mapping[str, Any]]] | None = None

    def take(self) -> Look:
        """One look."""
        ask = self._client.call
        status, accounts = ask("GET", "/v1/status"), ask("GET", "/v1/metrics", wait_seconds=_PATIENCE_SECONDS)
        return Look(time.monotonic(), status, accounts, self._known_certificates(), ask("GET", "/v1/programs"))

    def frames(self, limit: int | None) -> Iterator[dict[str, Any]]:
        """One frame an interval, each over the time since the look before."""
        before, count = self.take(), 0
        while limit is None or count < limit:
            time.sleep(self.interval_seconds)
            now = self.take()
            yield rates.frame(before, now)
            before, count = now, count + 1

    def _known_certificates(self) -> Sequence[Mapping[str, Any]]:
        """Not asked for each time: the gateway looks at what is really served."""
        known = self._certificates
        if known is None or time.monotonic() - known[0] > _CERTIFICATES_SECONDS:
            found = self._client.call("GET", "/v1/certificates", wait_seconds=_PATIENCE_SECONDS)
            known = self._certificates = (time.monotonic(), found)
        return known[1]


def _live(looks: _Looks, screen: "_Screen", limit: int | None) -> None:
    before, count = looks.take(), 0
    screen.draw(["measuring ...", "", "q: quit"])
    while not screen.is_left(looks.interval_seconds):
        width, _ = shutil.get_terminal_size()
        try:
            now = looks.take()
        except Unavailable as error:  # it may be about to be back, as after an upgrade
            screen.draw([str(error)[:width], "", "q: quit"])
            continue
        screen.draw(text(rates.frame(before, now), width, has_colour=not os.environ.get("NO_COLOR")))
        before, count = now, count + 1
        if limit is not None and count >= limit:
            return


class _Screen:
    """The terminal's other screen, with keys read as they are pressed. Leaves the terminal as it was."""

    def __enter__(self) -> Self:
        import termios
        import tty

        self._before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        sys.stdout.write(_OTHER_SCREEN)
        return self

    def __exit__(self, *_: object) -> None:
        import termios

        sys.stdout.write(_USUAL_SCREEN)
        sys.stdout.flush()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def draw(self, lines: Sequence[str]) -> None:
        """Put these lines over what was there; what does not fit is left out."""
        _, height = shutil.get_terminal_size()
        sys.stdout.write(_HOME + "".join(f"{line}{_END_OF_LINE}\r\n" for line in lines[: height - 1]) + _END_OF_SCREEN)
        sys.stdout.flush()

    def is_left(self, seconds: float) -> bool:
        """Wait; True when `q` is pressed meanwhile."""
        import select

        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([sys.stdin], [], [], left)
            if ready and os.read(sys.stdin.fileno(), 100) in (b"q", b"Q", b""):
                return True
        return False


def text(found: Mapping[str, Any], width: int, *, has_colour: bool = False) -> list[str]:
    """A frame as lines of at most `width` columns: first what concerns everything, then the busiest workloads."""
    counts = ", ".join(f"{count} {state}" for state, count in found["workloads"].items())
    lines = [f"{_health(found['healthy'], has_colour=has_colour)}  workloads: {counts}"[: width + 20 * has_colour]]
    lines += [f"  problem: {one}"[:width] for one in found["problems"]]
    rate = found["per_second"]
    carried = f"in {_bytes(rate['request_bytes'])}/s, out {_bytes(rate['response_bytes'])}/s"
    lines.append(f"traffic: {rate['requests']:.1f} requests/s, {rate['errors']:.1f} answered 5xx/s, {carried}"[:width])
    lines.append(_certificates(found["certificates"])[:width])
    lines += [f"programs: {', '.join(map(_program, found['programs'])) or 'unknown'}"[:width], ""]
    return lines + [line[:width] for line in _table(found["busiest"])]


def _health(is_healthy: object, *, has_colour: bool) -> str:
    word = "healthy" if is_healthy else "NOT HEALTHY"
    return f"\x1b[{'32' if is_healthy else '1;31'}m{word}\x1b[0m" if has_colour else word


def _certificates(found: Mapping[str, Any]) -> str:
    first = found["first"]
    ends = f", the first to end is {first['name']} in {first['days_left']:.1f} days" if first else ""
    missing = f", {found['missing']} not there" if found["missing"] else ""
    return f"certificates: {found['count']}{ends}{missing}"


def _program(one: Mapping[str, Any]) -> str:
    size = "" if one["resident_bytes"] is None else f" {_bytes(one['resident_bytes'])}"
    restarts = f" ({one['restarts']} restarts)" if one["restarts"] else ""
    return f"{one['name']} {one['state']}{size}{restarts}"


def _table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    if not found:
        return ["no traffic is measured"]
    header = ("WORKLOAD", "HOST", "REQUESTS/S", "5XX/S", "IN/S", "OUT/S")
    rows = [header, *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    requests, errors = ("-" if one[key] is None else f"{one[key]:.1f}" for key in ("requests", "errors"))
    return one["workload"], one["host"], requests, errors, _bytes(one["request_bytes"]), _bytes(one["response_bytes"])


def _bytes(count: float) -> str:
    return traffic_table.size(round(count))
