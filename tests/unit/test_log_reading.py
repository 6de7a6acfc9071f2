"""`gateway logs`: what is kept, filtered, as text or JSON, and what comes while it looks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from appliance.cli import main
from appliance.kept_log import KeptLog
from appliance.layout import Root
from appliance.model import log_lines

LINES: Final = [
    ("traefik", "error", "one"),
    ("gateway", "info", "two"),
    ("supervisord", "warning", "three"),
    ("gateway", "debug", "four"),
    ("gateway", "critical", "five"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = Root(tmp_path).logs
    directory.mkdir(parents=True)
    log = KeptLog(directory, largest_bytes=400)
    for program, level, message in LINES:
        head = {"time": "2026-11-22T23:00:00.000Z", "level": level, "program": program}
        log.append(log_lines.encoded({**head, "message": message, "key": "a b"}))
    log.append(b"rubbish\n")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ([], ["one", "two", "three", "four", "five"]),
        (["--level", "warning"], ["one", "three", "five"]),
        (["--level", "critical"], ["five"]),
        (["--program", "gateway"], ["two", "four", "five"]),
        (["--program", "gateway", "--level", "info"], ["two", "five"]),
        (["--program", "supervisord"], ["three"]),
        (["--program", "supervisord", "--level", "error"], []),
        (["-n", "2"], ["four", "five"]),
        (["-n", "1", "--program", "traefik"], ["one"]),
        (["-n", "0"], []),
    ],
)
def test_the_last_lines_that_match_are_printed(
    root: Path, capsys: pytest.CaptureFixture[str], options: list[str], messages: list[str]
) -> None:
    """Oldest first, from both files; JSON where standard output is no terminal."""
    assert main(["logs", "--root", str(root), *options]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in printed] == messages


def test_text_is_for_people(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "--root", str(root), "--text", "-n", "1"]) == 0
    assert capsys.readouterr().out == '2026-11-22 23:00:00.000 critical gateway     five key="a b"\n'


def test_a_root_without_a_log_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "--root", str(tmp_path)]) == 1
    assert "gateway run" in capsys.readouterr().err


def test_it_follows_what_is_written_next(root: Path) -> None:
    """Across a rotation, too, until it is interrupted."""
    argv = [sys.executable, "-m", "appliance", "logs", "-f", "-n", "1", "--root", str(root)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["message"] == "five"
        log = KeptLog(Root(root).logs, largest_bytes=400)
        for number in range(20):
            log.append(log_lines.encoded({"level": "info", "program": "gateway", "message": f"{number}"}))
            assert json.loads(process.stdout.readline())["message"] == f"{number}"
        process.send_signal(2)
        assert process.wait(10) == 130
