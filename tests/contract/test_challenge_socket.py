"""The challenge socket: one line in, one line out, and nobody can hold it up."""

import errno
import json
import os
import selectors
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from appliance.adapters import challenge_socket
from appliance.adapters.challenge_socket import LARGEST_LINE, MOST_CLIENTS, ChallengeSocket
from appliance.model.errors import Refused, Unavailable
from tests.fakes import until

NAME = "_acme-challenge.gw.example.com"
PRESENT = {"verb": "present", "fqdn": NAME, "value": "v"}
TIMEOUT = 5.0


class Verbs:
    """Notes what was asked for; refuses the value `no`, fails at the value `bug`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, str]] = []

    def present(self, fqdn: str, value: str, by: str) -> None:
        if value == "no":
            raise Refused("not here: go there")
        if value == "bug":
            raise ZeroDivisionError
        self.calls.append(("present", fqdn, value, by))

    def clean_up(self, fqdn: str, value: str, by: str) -> None:
        self.calls.append(("cleanup", fqdn, value, by))


@pytest.fixture
def verbs() -> Verbs:
    return Verbs()


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gw") as directory:  # short: a socket's path has at most 107 bytes
        yield Path(directory) / "challenge.sock"


@pytest.fixture
def served(verbs: Verbs, path: Path) -> Iterator[Path]:
    server = ChallengeSocket(path, verbs.present, verbs.clean_up)
    server.start()
    yield path
    server.stop()


def connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))  # without a timeout it waits where the backlog is full, with one it fails
    sock.settimeout(TIMEOUT)
    return sock


def answer_to(path: Path, line: bytes) -> dict[str, Any]:
    with connected(path) as sock, sock.makefile("rb") as stream:
        sock.sendall(line)
        answer: dict[str, Any] = json.loads(stream.readline())
        assert stream.read() == b"", "closed after one line"
        return answer


def line(**request: object) -> bytes:
    return json.dumps(request).encode() + b"\n"


def test_both_verbs_are_passed_on_with_who_asked(served: Path, verbs: Verbs) -> None:
    assert answer_to(served, line(**PRESENT)) == {"ok": True}
    assert answer_to(served, line(verb="cleanup", fqdn=NAME, value="v")) == {"ok": True}
    who = f"uid {os.geteuid()} pid {os.getpid()}"
    assert verbs.calls == [("present", NAME, "v", who), ("cleanup", NAME, "v", who)]


def test_a_refusal_is_told_in_its_own_words(served: Path) -> None:
    assert answer_to(served, line(verb="present", fqdn=NAME, value="no")) == {
        "ok": False,
        "error": "not here: go there",
    }


@pytest.mark.parametrize(
    "sent",
    [
        b"\n",
        b"{\n",
        b"[]\n",
        b"null\n",
        b"\xff\xfe\n",
        b"[" * 4000 + b"\n",
        line(verb="present", fqdn=NAME),
        line(verb="publish", fqdn=NAME, value="v"),
        line(verb=["present"], fqdn=NAME, value="v"),
        line(verb="present", fqdn=1, value="v"),
        line(verb="present", fqdn=NAME, value=None),
        b"x" * (LARGEST_LINE + 1),
        b"x" * (1 << 20),
    ],
)
def test_rubbish_is_refused_and_the_next_is_served(served: Path, sent: bytes) -> None:
    try:
        assert answer_to(served, sent)["ok"] is False
    except ConnectionError:  # it was closed while we were still sending
        assert len(sent) > LARGEST_LINE
    assert answer_to(served, line(**PRESENT)) == {"ok": True}


def test_a_bug_is_logged_and_not_told(served: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert answer_to(served, line(verb="present", fqdn=NAME, value="bug"))["error"].startswith("internal error")
    assert "ZeroDivisionError" in caplog.text
    assert answer_to(served, line(**PRESENT)) == {"ok": True}


def test_silent_and_slow_clients_block_nobody(served: Path) -> None:
    silent = [connected(served) for _ in range(MOST_CLIENTS + 10)]
    for sock in silent[20:]:
        sock.send(b'{"verb"')
    assert answer_to(served, line(**PRESENT)) == {"ok": True}
    for sock in silent:
        sock.close()


def test_who_has_sent_a_line_while_another_verb_took_its_time_was_not_late(
    path: Path, verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenge_socket, "PATIENCE_SECONDS", 0.5)
    begun, goes_on = threading.Event(), threading.Event()

    def slow(fqdn: str, value: str, by: str) -> None:
        begun.set()
        goes_on.wait(TIMEOUT)

    server = ChallengeSocket(path, slow, verbs.clean_up)
    server.start()
    with connected(path) as late, connected(path) as first:
        first.sendall(line(**PRESENT))
        assert begun.wait(TIMEOUT)
        late.sendall(line(verb="cleanup", fqdn=NAME, value="v"))
        until(lambda: all(client.deadline < time.monotonic() for client in server._clients.values()))
        goes_on.set()
        assert json.loads(late.makefile("rb").readline()) == {"ok": True}
    server.stop()


def test_a_request_without_end_is_given_up(verbs: Verbs, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(challenge_socket, "PATIENCE_SECONDS", 0.5)
    server = ChallengeSocket(path, verbs.present, verbs.clean_up)
    server.start()
    assert "no complete line" in answer_to(path, b'{"verb"')["error"]
    server.stop()


def test_a_client_that_goes_away_before_its_line_ends_is_forgotten(served: Path, verbs: Verbs) -> None:
    with connected(served) as sock:
        sock.sendall(line(**PRESENT)[:-1])
    assert answer_to(served, line(verb="cleanup", fqdn=NAME, value="v")) == {"ok": True}
    assert [call[0] for call in verbs.calls] == ["cleanup"]


def test_mode_and_a_stale_socket(verbs: Verbs, path: Path) -> None:
    """A process that was killed leaves its socket behind; the next one takes its place."""
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    server = ChallengeSocket(path, verbs.present, verbs.clean_up)
    server.start()
    server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert answer_to(path, line(**PRESENT)) == {"ok": True}
    server.stop()
    server.stop()
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="only root can become somebody else")
def test_only_root_ourselves_and_configured_users_may(verbs: Verbs, path: Path) -> None:
    server = ChallengeSocket(path, verbs.present, verbs.clean_up, uids=[1001])
    server.start()
    path.parent.chmod(0o755)
    assert [_answer_as(uid, path)["ok"] for uid in (0, 1001)] == [True, True]
    with pytest.raises(subprocess.CalledProcessError):
        _answer_as(1002, path)
    path.chmod(0o666)  # even where the mode lets everybody in, the uid decides
    assert "challenge.uids" in _answer_as(1002, path)["error"]
    server.stop()


_CLIENT = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(5)
sock.connect(sys.argv[1])
sock.sendall(sys.argv[2].encode())
print(sock.makefile().readline())
"""


def _answer_as(uid: int, path: Path) -> dict[str, Any]:
    """Asked by a process of another uid, by an interpreter that everybody may run."""
    done = subprocess.run(
        ["python3", "-c", _CLIENT, path, line(**PRESENT).decode()],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        timeout=20,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_path_that_cannot_be_had_is_told(verbs: Verbs, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot listen on the challenge socket"):
        ChallengeSocket(tmp_path / "missing" / "challenge.sock", verbs.present, verbs.clean_up).start()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ECONNABORTED])
def test_without_descriptors_and_clients_it_rests(
    verbs: Verbs, path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The listener stays ready meanwhile: a loop without end is nobody's gain."""

    class Listener:
        def accept(self) -> None:
            raise OSError(number, "no")

    rests: list[float] = []
    monkeypatch.setattr(time, "sleep", rests.append)
    with selectors.DefaultSelector() as selector:
        server = ChallengeSocket(path, verbs.present, verbs.clean_up)
        server._accept(selector, cast("socket.socket", Listener()))
    assert len(rests) == (number != errno.ECONNABORTED)
