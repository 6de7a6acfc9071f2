"""`gateway top`: rates of two looks, lines that fit, one object a line for programs, a terminal left as it was."""

import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters import admin
from appliance.adapters.admin import assembly
from appliance.cli import main, rates, top
from appliance.cli.rates import Look
from tests import showcase

STATUS: dict[str, Any] = {"healthy": True, "problems": [], "workloads": {"applied": 2, "pending": 0, "quarantined": 1}}
CERTIFICATES: list[dict[str, Any]] = [
    {"name": "b.example.com", "days_left": 61.0},
    {"name": "a.example.com", "days_left": 8.25},
    {"name": "c.example.com", "days_left": None},
]


def account(bytes_in: int | None, bytes_out: int | None, requests: dict[str, int] | None) -> dict[str, Any]:
    return {"host": "h.example.com", "request_bytes": bytes_in, "response_bytes": bytes_out, "requests": requests}


def look(at: float, **accounts: dict[str, Any]) -> Look:
    return Look(at, STATUS, accounts, CERTIFICATES, [])


@pytest.mark.parametrize(
    ("before", "now", "rate"),
    [
        (account(0, 0, {}), account(100, 400, {"2xx": 8, "5xx": 2}), (5.0, 1.0, 50.0, 200.0)),
        (account(9, 9, {"2xx": 5}), account(9, 9, {"2xx": 5}), (0.0, 0.0, 0.0, 0.0)),
        (account(50, 50, {"2xx": 5}), account(10, 10, {"2xx": 1}), (0.0, 0.0, 0.0, 0.0)),
        (account(0, 0, None), account(100, 100, None), (None, None, 50.0, 50.0)),
        (account(None, None, None), account(100, 100, {}), None),
        (account(0, 0, {}), account(None, None, None), None),
    ],
)
def test_a_rate_is_what_was_added_a_second(
    before: dict[str, Any], now: dict[str, Any], rate: tuple[float | None, ...] | None
) -> None:
    """Totals that fell add nothing, and what is not measured has no rate."""
    busiest = rates.frame(look(10.0, a=before), look(12.0, a=now))["busiest"]
    keys = ("requests", "errors", "request_bytes", "response_bytes")
    assert [tuple(row[key] for key in keys) for row in busiest] == ([] if rate is None else [rate])


def test_the_busiest_come_first_and_all_are_summed() -> None:
    before = look(0.0, a=account(0, 0, {}), b=account(0, 0, {}), fresh=account(0, 0, {}))
    now = look(1.0, a=account(10, 10, {"2xx": 1}), b=account(500, 500, {"5xx": 3}), new=account(9, 9, {}))
    found = rates.frame(before, now)
    assert [row["workload"] for row in found["busiest"]] == ["b", "a"]
    assert found["per_second"] == {"requests": 4.0, "errors": 3.0, "request_bytes": 510.0, "response_bytes": 510.0}
    assert found["certificates"] == {
        "count": 3,
        "missing": 1,
        "first": {"name": "a.example.com", "days_left": 8.25},
    }


def test_lines_fit_and_say_it_all() -> None:
    found = rates.frame(look(0.0, a=account(0, 0, {})), look(1.0, a=account(2000, 10, {"2xx": 1})))
    lines = top.text(found, 200)
    assert lines[0] == "healthy  workloads: 2 applied, 0 pending, 1 quarantined"
    assert lines[1] == "traffic: 1.0 requests/s, 0.0 answered 5xx/s, in 2.0 kB/s, out 10 B/s"
    assert lines[2] == "certificates: 3, the first to end is a.example.com in 8.2 days, 1 not there"
    assert lines[-1].split() == ["a", "h.example.com", "1.0", "0.0", "2.0", "kB", "10", "B"]
    assert max(map(len, top.text(found, 30))) <= 30


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root of a gateway that answers."""
    root = tmp_path_factory.mktemp("root")
    (root / "run").mkdir()
    plane = showcase.plane()
    failures: list[BaseException] = []
    api = admin.unix(assembly.application(plane.gateway), root / "run" / "admin.sock")
    api.start(failures.append)
    yield root
    api.stop()
    plane.stop()
    assert not failures


def test_programs_get_one_object_a_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(root), "top", "--json", "-n", "2", "--interval", "0.2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    assert lines[0]["per_second"]["requests"] > 0
    assert {"name", "state", "resident_bytes"} <= lines[0]["programs"][0].keys()


def test_without_a_terminal_it_is_one_table(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(root), "top", "--interval", "0.2"]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert told.count("WORKLOAD") == 1
    assert "blog.gw.example.com" in told


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
def test_a_terminal_is_drawn_on_and_left_as_it_was(root: Path, key: bytes) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    command = [sys.executable, "-c", _ON_A_TERMINAL, "--root", str(root), "top", "--interval", "0.2"]
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    shown = b""
    deadline = time.monotonic() + 20
    while shown.count(b"WORKLOAD") < 2 and time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            shown += os.read(ours, 65536)
    os.write(ours, key)
    assert running.wait(10) == 0, shown[-2000:]
    while select.select([ours], [], [], 0.2)[0]:
        shown += os.read(ours, 65536)
    assert shown.count(b"WORKLOAD") >= 2
    assert shown.endswith(b"\x1b[?25h\x1b[?1049l")
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


_ON_A_TERMINAL = """
import fcntl, sys, termios
from appliance.cli import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it
sys.exit(main(sys.argv[1:]))
"""
