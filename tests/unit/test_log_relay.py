"""The log relay: every program's lines, none mixed with another's, whatever becomes of where they go."""

import fcntl
import json
import os
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from appliance.kept_log import NAME, Tail
from appliance.launch.log_relay import Relay, Sink
from appliance.model import log_lines
from tests.fakes import until

PROGRAMS: Final = ("traefik", "gateway")


class Relayed:
    """A relay as `gateway run` starts it, on pipes of its own; its standard output is a pipe or whatever is given."""

    def __init__(self, root: Path, *options: str, output: int = subprocess.PIPE) -> None:
        self.directory = root / "run/log"
        self.directory.mkdir(parents=True)
        for program in PROGRAMS:
            os.mkfifo(self.pipe(program), 0o600)
        argv = [sys.executable, "-P", "-m", "appliance.launch.log_relay", str(self.directory)]
        argv += [*(str(self.pipe(program)) for program in PROGRAMS), *options]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.PIPE)

    def pipe(self, program: str) -> Path:
        return self.directory / f"{program}.pipe"

    def open(self, program: str) -> int:
        """As supervisord opens a log."""
        return os.open(self.pipe(program), os.O_WRONLY)

    def say(self, program: str, text: str) -> None:
        descriptor = self.open(program)
        os.write(descriptor, text.encode())
        os.close(descriptor)

    def end(self) -> list[dict[str, Any]]:
        """What was passed on, once supervisord's end is closed."""
        output, complaint = self.process.communicate(timeout=20)
        assert complaint == b""
        assert self.process.returncode == 0
        return [json.loads(line) for line in output.splitlines()]

    def kept(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in Tail(self.directory).lines()]

    def until_kept(self, count: int) -> None:
        until(lambda: len(self.kept()) >= count)


MakeRelayed = Callable[..., Relayed]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[MakeRelayed]:
    """Starts a relay, which is ended after the test."""
    made: list[Relayed] = []

    def make(*options: str, output: int = subprocess.PIPE) -> Relayed:
        made.append(Relayed(tmp_path, *options, output=output))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def relayed(start: MakeRelayed) -> Relayed:
    return start()


class Relaying:
    """A relay in this process, where time passes only when it is told to."""

    def __init__(self, directory: Path) -> None:
        self.now = 1000.0
        self.lines: list[tuple[str, str]] = []
        self._pipes = {program: directory / program for program in PROGRAMS}
        for path in self._pipes.values():
            os.mkfifo(path, 0o600)
        main, self._end = os.pipe()
        relay = Relay(main, self._pipes, [self._take], clock=lambda: self.now)
        self._ends = [os.open(path, os.O_WRONLY) for path in self._pipes.values()]
        self._thread = threading.Thread(target=relay.run)
        self._thread.start()
        self._main, self._relay = main, relay

    def say(self, program: str, text: str) -> None:
        """Write, and return once the relay has read it."""
        descriptor = self._ends[PROGRAMS.index(program)]
        os.write(descriptor, text.encode())
        until(lambda: fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4) == b"\0" * 4)

    def end(self) -> list[tuple[str, str]]:
        os.close(self._end)
        self._thread.join(10)
        self._relay.close()
        for descriptor in (self._main, *self._ends):
            os.close(descriptor)
        return self.lines

    def _take(self, line: Mapping[str, Any]) -> None:
        self.lines.append((line["program"], line["message"]))


def test_parts_of_lines_are_not_mixed(tmp_path: Path) -> None:
    """Two programs write parts of lines in turn, one of them long after the other began; each line comes out whole."""
    relaying = Relaying(tmp_path)
    for piece in ('{"level":"info",', '"message":"from', ' Traefik"}\n'):
        relaying.say("traefik", piece)
        relaying.now += 0.6
        relaying.say("gateway", piece.replace("Traefik", "us"))
    relaying.say("traefik", '"a part that')
    relaying.now += 0.6
    for _ in range(3):
        relaying.say("gateway", "busy\n")
    relaying.say("traefik", ' goes on"\n')
    assert relaying.end() == [
        *[("traefik", "from Traefik"), ("gateway", "from us")],
        *[("gateway", "busy")] * 3,
        ("traefik", '"a part that goes on"'),
    ]


def test_a_part_is_passed_on_by_the_silence_of_its_own_program(tmp_path: Path) -> None:
    """However much others say meanwhile."""
    relaying = Relaying(tmp_path)
    relaying.say("traefik", "are you sure? ")
    relaying.say("gateway", "busy\n")
    relaying.now += 1.1
    relaying.say("gateway", "busy\n")
    until(lambda: ("traefik", "are you sure? ") in relaying.lines)
    assert len(relaying.end()) == 3


def test_programs_are_told_apart(relayed: Relayed) -> None:
    relayed.say("traefik", '{"level":"info","message":"from Traefik"}\n')
    relayed.say("gateway", '{"level":"info","message":"from us"}\n')
    relayed.say("gateway", "plain words\n")
    assert relayed.process.stdin is not None
    relayed.process.stdin.write(b"2026-11-22 23:51:09,123 WARN received SIGTERM\n")
    lines = relayed.end()
    assert sorted((line["program"], line["level"], line["message"]) for line in lines) == [
        ("gateway", "info", "from us"),
        ("gateway", "info", "plain words"),
        ("supervisord", "warning", "received SIGTERM"),
        ("traefik", "info", "from Traefik"),
    ]
    assert sorted(map(str, relayed.kept())) == sorted(map(str, lines))
    assert (relayed.directory / NAME).stat().st_mode & 0o777 == 0o600


def test_it_ends_with_its_input_and_takes_what_is_left_in_the_pipes(relayed: Relayed) -> None:
    """Programs that open, write and go, again and again, do not end it; half a line at the very end is a line."""
    for number in range(50):
        relayed.say("traefik", f"line {number}\n")
    relayed.say("gateway", "no end")
    assert [line["message"] for line in relayed.end()][-2:] == ["line 49", "no end"]


def test_half_a_line_is_not_held_for_ever(relayed: Relayed) -> None:
    relayed.say("gateway", "are you sure? ")
    until(lambda: [line["message"] for line in relayed.kept()] == ["are you sure? "])


def test_signals_meant_for_the_appliance_do_not_end_it(relayed: Relayed) -> None:
    relayed.say("gateway", "before\n")
    relayed.until_kept(1)
    for number in (1, 2, 15):
        relayed.process.send_signal(number)
    relayed.say("gateway", "after\n")
    assert [line["message"] for line in relayed.end()] == ["before", "after"]


def test_single_requests_are_passed_on_and_not_kept(relayed: Relayed) -> None:
    relayed.say("traefik", '{"level":"info","DownstreamStatus":200,"msg":""}\n{"level":"info","message":"other"}\n')
    assert [line["message"] for line in relayed.end()] == ["request", "other"]
    assert [line["message"] for line in relayed.kept()] == ["other"]


def test_text_is_for_standard_output_and_json_for_the_files(start: MakeRelayed) -> None:
    relayed = start("--text")
    relayed.say("gateway", "hello\n")
    output, _ = relayed.process.communicate(timeout=20)
    assert output.decode().split(maxsplit=2)[2] == "info     gateway     hello\n"
    assert relayed.kept()[0]["message"] == "hello"


def test_a_standard_output_that_goes_away_costs_nothing_else(start: MakeRelayed) -> None:
    reading, writing = os.pipe()
    relayed = start(output=writing)
    os.close(writing)
    os.close(reading)
    for number in range(3):
        relayed.say("gateway", f"{number}\n")
        relayed.until_kept(number + 1)
    relayed.process.communicate(timeout=20)
    assert relayed.process.returncode == 0


def test_a_standard_output_that_nobody_reads_holds_no_program_up(start: MakeRelayed) -> None:
    """10 MB go through although the pipe behind standard output takes 64 KB; the losses are told when it is read."""
    reading, writing = os.pipe()
    relayed = start(output=writing)
    os.close(writing)
    descriptor = relayed.open("traefik")
    line = b"x y " * 250 + b"\n"
    for _ in range(10_000):
        os.write(descriptor, line)
    os.close(descriptor)
    relayed.say("gateway", "the last\n")
    assert relayed.process.stdin is not None
    relayed.process.stdin.close()
    relayed.process.stdin = None
    with open(reading, "rb") as output:
        lines = [json.loads(line) for line in output]
    told = sum(line["lines"] for line in lines if line["message"].startswith("log lines lost"))
    assert told > 0
    assert told + sum(line["program"] == "traefik" or line["message"] == "the last" for line in lines) == 10_001
    assert relayed.process.wait(20) == 0


def test_a_disk_that_is_full_costs_the_kept_lines_only(relayed: Relayed) -> None:
    """Standard output goes on."""
    (relayed.directory / NAME).mkdir()  # as good as no room: nothing can be opened there
    for number in range(3):
        relayed.say("gateway", f"{number}\n")
    assert [line["message"] for line in relayed.end()] == ["0", "1", "2"]


def test_lines_that_could_not_be_written_are_counted_and_told() -> None:
    """There is room again after a while: the first line says how many are missing, and no more are."""
    room, written = threading.Event(), list[bytes]()
    refused = threading.Event()

    def write(lines: bytes) -> None:
        if not room.is_set():
            refused.set()
            raise OSError(28, "No space left on device")
        written.append(lines)

    sink = Sink("a test", write, log_lines.encoded)
    sink.put({"message": "one"})
    assert refused.wait(10)
    room.set()
    sink.put({"message": "two"})
    until(lambda: len(b"".join(written).splitlines()) == 2)
    sink.finish()
    lines = sorted((json.loads(raw) for raw in b"".join(written).splitlines()), key=lambda one: str(one["message"]))
    assert lines[0]["message"] == "log lines lost: they could not be written"
    assert (lines[0]["lines"], lines[0]["level"], lines[0]["error"]) == (1, "warning", "No space left on device")
    assert lines[1] == {"message": "two"}


@pytest.mark.parametrize(
    "rubbish", [b"\x00" * 200_000, b"\xff\xfe" * 1000 + b"\n", b"\n" * 5000, b'{"a":' * 50_000 + b"\n"]
)
def test_rubbish_of_one_program_is_not_another_s_trouble(relayed: Relayed, rubbish: bytes) -> None:
    descriptor = relayed.open("traefik")
    os.write(descriptor, rubbish)
    os.close(descriptor)
    relayed.say("gateway", "still here\n")
    assert "still here" in [line["message"] for line in relayed.end()]


def test_a_sink_never_makes_who_puts_lines_wait() -> None:
    """While its writer hangs, lines are queued, then counted; the count is told once the writer goes on."""
    gate, written = threading.Event(), list[bytes]()

    def write(lines: bytes) -> None:
        gate.wait(10)
        written.append(lines)

    sink = Sink("a test", write, log_lines.encoded)
    line: Mapping[str, Any] = {"message": "x" * 100_000}
    for _ in range(100):
        sink.put(line)
    gate.set()
    sink.finish()
    lines = [json.loads(raw) for raw in b"".join(written).splitlines()]
    lost = [one["lines"] for one in lines if one["message"].startswith("log lines lost")]
    assert sum(lost) + sum(one == line for one in lines) == 100
    assert sum(lost) > 0
