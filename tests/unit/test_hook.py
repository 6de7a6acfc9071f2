"""`hooks/dns01`: what it sends, when it says yes, and that it always ends."""

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

HOOK = Path(__file__).parents[2] / "hooks" / "dns01"
NAME = "_acme-challenge.gw.example.com."
TIMEOUT = 20.0


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gw") as directory:  # short: a socket's path has at most 107 bytes
        (Path(directory) / "run").mkdir()
        yield Path(directory)


def hook(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "GATEWAY_ROOT": str(root)}
    return subprocess.run(
        [HOOK, *arguments], env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


class Daemon:
    """Answers at the challenge socket as it is told to, one reply a connection; None: hangs up without a word."""

    def __init__(self, root: Path, *replies: bytes | None, before: Callable[[], None] = lambda: None) -> None:
        self.lines: list[bytes] = []
        self._path = root / "run" / "challenge.sock"
        self._replies = replies
        self._before = before
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(TIMEOUT)

    def _serve(self) -> None:
        self._before()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._path))
            listener.listen()
            listener.settimeout(TIMEOUT)
            for reply in self._replies:
                sock, _ = listener.accept()
                with sock, sock.makefile("rb") as stream:
                    self.lines.append(stream.readline())
                    if reply is not None:
                        sock.sendall(reply)
        self._path.unlink()


OK = b'{"ok": true}\n'


@pytest.mark.parametrize("verb", ["present", "cleanup"])
def test_the_name_and_value_are_handed_on_as_they_came(root: Path, verb: str) -> None:
    with Daemon(root, OK) as daemon:
        done = hook(root, verb, NAME, "abc-_DEF")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [json.loads(line) for line in daemon.lines] == [{"verb": verb, "fqdn": NAME, "value": "abc-_DEF"}]


@pytest.mark.parametrize("domain", ["gw.example.com", "gw.example.com."])
def test_raw_mode_computes_the_digest(root: Path, domain: str) -> None:
    """RFC 8555 §8.4."""
    keyauth = "token.thumbprint"
    expected = base64.urlsafe_b64encode(hashlib.sha256(keyauth.encode()).digest()).rstrip(b"=").decode()
    with Daemon(root, OK) as daemon:
        assert hook(root, "present", "--", domain, "token", keyauth).returncode == 0
    assert json.loads(daemon.lines[0]) == {"verb": "present", "fqdn": f"_acme-challenge.{domain}", "value": expected}


@pytest.mark.parametrize("value", ['"', "\\", '\\"', "\t", "ä", "\U0001f600", "{}", "a" * 3000])
def test_any_argument_arrives_whole(root: Path, value: str) -> None:
    """It is for the daemon to refuse it; the line is always valid JSON."""
    with Daemon(root, OK) as daemon:
        hook(root, "present", NAME, value)
    assert json.loads(daemon.lines[0])["value"] == value


def test_a_refusal_is_one_clear_line_and_not_repeated(root: Path) -> None:
    with Daemon(root, b'{"ok": false, "error": "it is in no zone:\\nadd it"}\n'):
        done = hook(root, "present", NAME, "v")
    assert (done.returncode, done.stderr) == (1, f"dns01: present {NAME}: it is in no zone: add it\n")


@pytest.mark.parametrize(
    "arguments",
    [(), ("present",), ("present", NAME), ("publish", NAME, "v"), ("present", "--", "a", "b"), ("timeout",)],
)
def test_a_wrong_call_shows_the_usage(root: Path, arguments: tuple[str, ...]) -> None:
    done = hook(root, *arguments)
    assert (done.returncode, done.stderr[:13]) == (2, "dns01: usage:")


def test_a_daemon_that_dies_before_it_answered_is_asked_again(root: Path) -> None:
    """Only an answer is an answer. Presenting twice does no harm."""
    with Daemon(root, None, b'{"ok"', OK) as daemon:
        assert hook(root, "present", NAME, "v").returncode == 0
    assert len(daemon.lines) == 3


def test_a_daemon_that_comes_back_is_waited_for(root: Path) -> None:
    with Daemon(root, OK, before=lambda: time.sleep(0.5)):
        assert hook(root, "present", NAME, "v").returncode == 0


def test_a_socket_nobody_listens_on_is_waited_for(root: Path) -> None:
    path = root / "run" / "challenge.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    def come_back() -> None:
        time.sleep(0.3)
        path.unlink()

    with Daemon(root, OK, before=come_back):
        assert hook(root, "present", NAME, "v").returncode == 0


def shortened(root: Path) -> Path:
    """The hook with a tenth of its patience: what it does at the end of it is the same."""
    text = HOOK.read_text().replace("RETRY_SECONDS = 10.0", "RETRY_SECONDS = 1.0")
    copy = root / "dns01"
    copy.write_text(text.replace("HARD_SECONDS = 15.0", "HARD_SECONDS = 1.5"))
    copy.chmod(0o755)
    return copy


def test_without_a_daemon_it_ends_and_says_where_it_looked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "HOOK", shortened(root))
    done = hook(root, "present", NAME, "v")
    assert done.returncode == 1
    assert f"{root}/run/challenge.sock: No such file or directory" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_daemon_that_never_answers_does_not_hold_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "HOOK", shortened(root))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "run" / "challenge.sock"))
        listener.listen()
        done = hook(root, "present", NAME, "v")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(
    os.geteuid() != 0 and "CI" not in os.environ, reason="only root can become somebody without permission"
)
def test_missing_permission_is_told_at_once(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        path = root / "run" / "challenge.sock"
        listener.bind(str(path))
        path.chmod(0o600)
        root.chmod(0o755)
        done = subprocess.run(
            [shutil.copy(HOOK, root / "dns01"), "present", NAME, "v"],
            env={"GATEWAY_ROOT": str(root), "PATH": "/usr/local/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            user=65534,
            cwd="/",
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no permission for" in done.stderr


def test_closed_standard_streams_do_not_matter(root: Path) -> None:
    with Daemon(root, OK):
        done = subprocess.run(
            ["/bin/sh", "-c", f'exec "{HOOK}" present {NAME} v <&- >&- 2>&-'],
            env={"PATH": os.environ["PATH"], "GATEWAY_ROOT": str(root)},
            timeout=TIMEOUT,
            check=False,
        )
    assert done.returncode == 0


def test_only_modules_compiled_into_the_interpreter_are_loaded(root: Path) -> None:
    """What makes it start in milliseconds."""
    with Daemon(root, OK):
        imported = subprocess.run(
            [sys.executable, "-I", "-S", "-X", "importtime", HOOK, "present", "--", "a.b", "t", "k"],
            env={"GATEWAY_ROOT": str(root)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert imported.returncode == 0
    names = {
        line.rpartition("|")[2].strip() for line in imported.stderr.splitlines() if line.startswith("import time:")
    }
    assert not names & {"socket", "json", "re", "os", "site", "hashlib", "base64", "subprocess", "selectors"}
