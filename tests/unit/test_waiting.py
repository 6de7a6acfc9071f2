"""Waiting for a workload and its certificate: what is awaited, what is told of it, and when it ends."""

import io
import os
import pty
import termios
import threading
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from appliance.cli import main, waiting
from appliance.cli.client import AdminClient
from appliance.cli.progress import Progress
from appliance.cli.waiting import Goal, Verdict
from appliance.model.errors import Conflict, GatewayError, NotFound, Unavailable

APPLIED, CERTIFICATE = Goal.APPLIED, Goal.CERTIFICATE


def view(state: str, certificate: str, reason: str = "", why: str = "") -> dict[str, Any]:
    """What the API shows of a workload."""
    rest = {"id": "shop", "type": "gateway-fqdn-proxy", "host": "shop.example.com", "tls_passthrough": False}
    rest |= {"backends": ["http://10.1.2.3"], "options": {}}
    return {**rest, "state": state, "reason": reason, "certificate": {"state": certificate, "reason": why}}


NO_ADDRESS = view("applied", "withheld", why="shop.example.com does not exist; create an address record")
ORDERED = view("applied", "pending", why="asked for at the certificate authority")
ISSUED = view("applied", "issued")


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeClient(AdminClient):
    """Answers one after the other, the last one again and again; an error is raised."""

    def __init__(self, *answers: dict[str, Any] | GatewayError) -> None:
        self.answers = list(answers)

    def call(self, *_: object, **__: object) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, GatewayError):
            raise answer
        return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


def plain(clock: Clock) -> tuple[Progress, io.StringIO]:
    stream = io.StringIO()
    return Progress(stream, is_live=False, clock=clock), stream


@pytest.mark.parametrize(
    ("found", "goal", "verdict"),
    [
        (view("pending", "none"), APPLIED, Verdict.AWAITED),
        (view("pending", "none"), CERTIFICATE, Verdict.AWAITED),
        (view("quarantined", "none"), APPLIED, Verdict.REFUSED),
        (view("quarantined", "issued"), CERTIFICATE, Verdict.REFUSED),
        (view("applied", "withheld"), APPLIED, Verdict.REACHED),
        (view("applied", "withheld"), CERTIFICATE, Verdict.AWAITED),
        (view("applied", "pending"), CERTIFICATE, Verdict.AWAITED),
        (view("applied", "issued"), CERTIFICATE, Verdict.REACHED),
        (view("applied", "none"), CERTIFICATE, Verdict.REACHED),
    ],
)
def test_what_is_left_to_wait_for_follows_from_the_states(found: dict[str, Any], goal: Goal, verdict: Verdict) -> None:
    """TLS passthrough needs no certificate; what is in quarantine does not become better by waiting."""
    assert waiting.verdict(found, goal) is verdict


def until(client: AdminClient, goal: Goal, seconds: float, progress: Progress, clock: Clock) -> dict[str, Any]:
    return waiting.until(client, "shop", goal, seconds, progress, clock=clock, sleep=clock.sleep)


def test_elsewhere_than_on_a_terminal_each_change_is_one_line(clock: Clock) -> None:
    """In the words of the API, with the time since the beginning; the first second is not told."""
    progress, stream = plain(clock)
    answers = [view("pending", "none", "written")] + [NO_ADDRESS] * 10 + [ORDERED] * 4 + [ISSUED]
    with progress:
        assert until(FakeClient(*answers), CERTIFICATE, 60, progress, clock) == ISSUED
    assert stream.getvalue().splitlines() == [
        "gateway: after 1 s: applied; certificate withheld: shop.example.com does not exist; create an address record",
        "gateway: after 5 s: applied; certificate pending: asked for at the certificate authority",
    ]


def test_on_a_terminal_it_is_one_line_that_is_taken_away(clock: Clock) -> None:
    """The time is that of what is awaited, not of the whole."""
    stream = io.StringIO()
    with Progress(stream, is_live=True, clock=clock) as progress:
        until(FakeClient(*[NO_ADDRESS] * 24, *[ORDERED] * 7, ISSUED), CERTIFICATE, 60, progress, clock)
    drawn = [part.removesuffix("\x1b[K") for part in stream.getvalue().split("\r")]
    assert "applied; certificate withheld: shop.example.com does not exist; create ... 11 s" in drawn
    assert "applied; certificate pending: asked for at the certificate authority ... 3 s" in drawn
    assert all(len(part) < 80 for part in drawn)
    assert "\n" not in stream.getvalue()
    assert drawn[-1] == ""


def test_what_others_wrote_steers_no_terminal(clock: Clock) -> None:
    for is_live in (True, False):
        stream = io.StringIO()
        with Progress(stream, is_live=is_live, clock=clock) as progress:
            clock.sleep(2)
            progress.tell("\x1b[2J\x07evil\nline")
            clock.sleep(2)
            progress.tell("\x1b[2J\x07evil\nline")
        assert "?[2J?evil?line" in stream.getvalue()
        assert "\x07" not in stream.getvalue()


def test_the_time_ends_it_and_what_it_is_then_comes_back(clock: Clock) -> None:
    progress, _ = plain(clock)
    assert until(FakeClient(NO_ADDRESS), CERTIFICATE, 60, progress, clock) == NO_ADDRESS
    assert clock.now == pytest.approx(1060)


@pytest.mark.parametrize(
    ("error", "patience"), [(NotFound("no workload shop"), 10), (Unavailable("nobody answers"), 30)]
)
def test_a_file_just_written_and_a_control_plane_that_starts_again_are_waited_for(
    error: GatewayError, patience: float, clock: Clock
) -> None:
    """For so long; then it is told as it is."""
    progress, stream = plain(clock)
    asked = int(patience / waiting._LOOK_SECONDS)
    assert until(FakeClient(*[error] * (asked - 1), ISSUED), CERTIFICATE, 60, progress, clock) == ISSUED
    assert str(error) in stream.getvalue()
    with pytest.raises(type(error)):
        until(FakeClient(*[ISSUED | {"state": "pending"}] * 3, error), CERTIFICATE, 60, progress, clock)
    assert clock.now < 1000 + 2 * patience + 5


def test_what_is_no_matter_of_time_is_told_at_once(clock: Clock) -> None:
    progress, _ = plain(clock)
    with pytest.raises(Conflict):
        until(FakeClient(Conflict("no")), CERTIFICATE, 60, progress, clock)
    assert clock.now == 1000


@pytest.mark.parametrize(
    ("found", "goal", "code", "told"),
    [
        (ISSUED, CERTIFICATE, 0, ""),
        (NO_ADDRESS, APPLIED, 0, ""),
        (view("pending", "none", "written"), APPLIED, 3, "gateway: not applied within 5 s: written\n"),
        (ORDERED, CERTIFICATE, 3, "gateway: not on HTTPS within 5 s: applied; certificate pending: asked for"),
        (view("quarantined", "none", "a conflict"), CERTIFICATE, 1, "gateway: a conflict\n"),
    ],
)
def test_exit_codes(
    found: dict[str, Any], goal: Goal, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert waiting.exit_code(found, goal, 5.0) == code
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize(("is_terminal", "is_json", "is_told"), [(True, True, True), (False, True, False)])
def test_who_asks_for_json_is_told_on_a_terminal_only(
    is_terminal: bool, is_json: bool, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stderr", stream)
    progress = Progress.of(Namespace(json=is_json))
    progress._began -= 10
    progress.tell("something")
    assert bool(stream.getvalue()) is is_told


def test_a_terminal_that_cannot_go_back_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stream)
    progress = Progress.of(Namespace(json=False))
    progress._began -= 10
    progress.tell("something")
    assert stream.getvalue() == "gateway: after 10 s: something\n"


def test_a_long_call_is_told_while_it_lasts_and_its_error_is_the_caller_s(clock: Clock) -> None:
    progress, stream = plain(clock)
    heard = threading.Event()

    def call() -> None:
        assert heard.wait(10)
        raise Conflict("as it came")

    def awaited() -> str:
        heard.set()
        return "a long call"

    clock.sleep(3)
    with pytest.raises(Conflict, match="as it came"):
        progress.during(call, awaited)
    assert stream.getvalue() == "gateway: after 3 s: a long call\n"


def test_the_width_of_the_terminal_is_that_of_the_stream(clock: Clock) -> None:
    """Standard output may be a file meanwhile."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 40))
    with open(follower, "w", encoding="utf-8") as stream, Progress(stream, is_live=True, clock=clock) as progress:
        clock.sleep(2)
        progress.tell("x" * 200)
        assert os.read(leader, 1000).decode() == f"\r{'x' * 31} ... 0 s\x1b[K"
    os.close(leader)


Answers = Callable[[Sequence[Any]], list[str]]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Lets every call of the command line answer these one after the other; what was asked for is kept."""

    def answer(found: Sequence[Any]) -> list[str]:
        left, asked = list(found), list[str]()

        def call(_: AdminClient, method: str, path: str, *__: object) -> Any:
            asked.append(f"{method} {path}")
            one = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(one, BaseException):
                raise one
            return one

        monkeypatch.setattr(AdminClient, "call", call)
        monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.001)
        return asked

    return answer


SET = ["route", "fqdn", "shop", "shop.example.com", "http://10.1.2.3"]


def test_setting_may_wait_for_the_certificate(answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    asked = answers([NO_ADDRESS, NO_ADDRESS, ORDERED, ISSUED])
    assert main([*SET, "--wait", "certificate"]) == 0
    assert asked == ["PUT /v1/workloads/shop?wait=applied&timeout=300.0"] + ["GET /v1/workloads/shop"] * 3
    assert "certificate      issued" in capsys.readouterr().out


def test_setting_waits_for_no_certificate_unless_told(answers: Answers) -> None:
    asked = answers([NO_ADDRESS])
    assert main(SET) == 0
    assert asked == ["PUT /v1/workloads/shop?wait=applied&timeout=30.0"]


def test_what_is_not_applied_has_no_certificate_to_wait_for(answers: Answers) -> None:
    asked = answers([view("quarantined", "none", "no")])
    assert main([*SET, "--wait", "certificate"]) == waiting.EXIT_NOT_APPLIED
    assert len(asked) == 1


def test_waiting_is_a_verb_of_its_own(answers: Answers) -> None:
    asked = answers([NotFound("not yet"), NO_ADDRESS, ISSUED])
    assert main(["route", "wait", "shop"]) == 0
    assert asked == ["GET /v1/workloads/shop"] * 3
    answers([NO_ADDRESS])
    assert main(["route", "wait", "shop", "applied"]) == 0
    assert main(["route", "wait", "shop", "--timeout", "0"]) == waiting.EXIT_NOT_YET


def test_ctrl_c_ends_the_waiting_and_says_that_the_workload_stays(
    answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answers([NO_ADDRESS, NO_ADDRESS, KeyboardInterrupt()])
    assert main([*SET, "--wait", "certificate"]) == 130
    assert capsys.readouterr().err == "gateway: no longer waiting; shop stays as it was set\n"
    assert not any(line.startswith("DELETE") for line in asked)
