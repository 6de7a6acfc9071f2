"""Alerts: each condition is told once when it begins and once when it has cleared, whatever restarts or fails."""

import dataclasses
import hashlib
import hmac
import http.server
import json
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance import settings
from appliance.adapters.alert_channels import Command, Webhook
from appliance.adapters.alert_files import AlertFiles
from appliance.control.alerting import Alerting
from appliance.model import alerts
from appliance.model.alerts import Alert, Condition, Kind, Open
from appliance.model.errors import InvalidSettings, Unavailable
from tests.fakes import until

EPOCH = 1_800_000_000.0
QUARANTINED = Condition(Kind.QUARANTINE, "blog", "blog: Traefik rejected it", "gateway route show blog")
DOWN = Condition(Kind.PROGRAM, "traefik", "traefik is in FATAL", "gateway logs")


def opened(*conditions: Condition, since: float = EPOCH) -> dict[str, Open]:
    return {condition.key: Open(condition, since) for condition in conditions}


@pytest.mark.parametrize(
    ("before", "wrong", "told"),
    [
        ({}, [], []),
        ({}, [DOWN], [("program-down:traefik", False)]),
        (opened(DOWN), [DOWN], []),
        (opened(DOWN), [dataclasses.replace(DOWN, summary="traefik is in BACKOFF")], []),
        (opened(DOWN), [], [("program-down:traefik", True)]),
        (opened(DOWN), [QUARANTINED], [("workload-quarantined:blog", False), ("program-down:traefik", True)]),
    ],
)
def test_a_condition_is_told_when_it_begins_and_when_it_has_cleared(
    before: Mapping[str, Open], wrong: Sequence[Condition], told: list[tuple[str, bool]]
) -> None:
    after, news = alerts.settle(before, wrong, EPOCH + 60)
    assert [(alert.condition.key, alert.is_cleared) for alert in news] == told
    assert after.keys() == {condition.key for condition in wrong}


def test_what_is_cleared_tells_since_when_it_was_so() -> None:
    _, (alert,) = alerts.settle(opened(DOWN), [], EPOCH + 60)
    assert (alert.since, alert.at) == (EPOCH, EPOCH + 60)
    assert alert.document()["status"] == "cleared"


def test_both_messages_about_a_condition_have_ids_of_their_own_and_keep_them() -> None:
    after, (raised,) = alerts.settle({}, [DOWN], EPOCH)
    _, (cleared,) = alerts.settle(after, [], EPOCH + 60)
    assert len({raised.id, cleared.id}) == 2
    assert raised.id == dataclasses.replace(raised).id


class FakeChannel:
    def __init__(self) -> None:
        self.sent: list[Alert] = []
        self.is_down = False

    def send(self, alert: Alert) -> None:
        if self.is_down:
            raise Unavailable("the receiver is down")
        self.sent.append(alert)

    def told(self) -> list[tuple[str, bool]]:
        return [(alert.condition.key, alert.is_cleared) for alert in self.sent]


class Bench:
    """Alerting over a list of conditions that tests change."""

    def __init__(self, directory: Path) -> None:
        self.store = AlertFiles(directory / "alerts.json", directory)
        self.channel = FakeChannel()
        self.wrong: list[Condition] = []
        self.is_blind = False
        self.failures: list[BaseException] = []

    def start(self, *others: Callable[[], Sequence[Condition]]) -> "Bench":
        self.alerting = Alerting(
            sources=[self._look, *others],
            channels=lambda: [self.channel],
            store=self.store,
            clock=lambda: EPOCH,
            look_seconds=0.01,
            first_pause_seconds=0.01,
        )
        self.alerting.start(self.failures.append)
        return self

    def stop(self) -> None:
        self.alerting.stop()
        assert self.failures == []

    def _look(self) -> Sequence[Condition]:
        if self.is_blind:
            raise Unavailable("supervisord does not answer")
        return list(self.wrong)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path).start()
    yield found
    found.stop()


def test_an_operator_hears_once_of_the_beginning_and_once_of_the_end(bench: Bench) -> None:
    bench.wrong = [DOWN]
    until(lambda: bench.channel.told() == [("program-down:traefik", False)])
    assert bench.alerting.open() == [DOWN]
    bench.wrong = []
    until(lambda: bench.channel.told() == [("program-down:traefik", False), ("program-down:traefik", True)])
    assert bench.alerting.open() == []


def test_a_restart_tells_nothing_twice(bench: Bench) -> None:
    bench.wrong = [DOWN]
    until(lambda: len(bench.channel.sent) == 1)
    bench.stop()
    bench.start()
    bench.wrong = [DOWN, QUARANTINED]
    until(lambda: len(bench.channel.sent) == 2)
    assert bench.channel.told()[1] == ("workload-quarantined:blog", False)


def test_a_receiver_that_is_down_gets_everything_in_order_once_it_is_back_also_after_a_restart(bench: Bench) -> None:
    bench.channel.is_down = True
    bench.wrong = [DOWN]
    until(lambda: bench.alerting.open() == [DOWN])
    bench.wrong = []
    until(lambda: bench.alerting.open() == [])
    bench.stop()
    bench.start()
    bench.channel.is_down = False
    until(lambda: bench.channel.told() == [("program-down:traefik", False), ("program-down:traefik", True)])


def test_whoever_cannot_look_clears_nothing(bench: Bench) -> None:
    bench.wrong = [DOWN]
    until(lambda: len(bench.channel.sent) == 1)
    bench.is_blind = True
    bench.wrong = []
    bench.store.save({}, ())
    until(lambda: bench.is_blind)
    assert bench.alerting.open() == [DOWN]


def test_one_source_that_cannot_look_keeps_no_other_from_telling(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.is_blind = True
    bench.start(lambda: [QUARANTINED])
    until(lambda: bench.channel.told() == [("workload-quarantined:blog", False)])
    bench.stop()


def test_the_store_gives_back_what_was_saved_and_is_private(tmp_path: Path) -> None:
    store = AlertFiles(tmp_path / "alerts.json", tmp_path / "quarantine")
    assert store.load() == ({}, ())
    pending = (Alert(QUARANTINED, True, EPOCH + 1, EPOCH),)
    store.save(opened(DOWN), pending)
    assert store.load() == (opened(DOWN), pending)
    assert stat.S_IMODE((tmp_path / "alerts.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("rubbish", [b"", b"[]", b"{", b'{"open": [{}], "pending": []}', b"\xff\xfe", b'{"open": 3}'])
def test_a_store_that_cannot_be_read_is_set_aside(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "alerts.json").write_bytes(rubbish)
    assert AlertFiles(tmp_path / "alerts.json", tmp_path / "quarantine").load() == ({}, ())
    assert [path.read_bytes() for path in (tmp_path / "quarantine").iterdir()] == [rubbish]


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook's other end: keeps requests, and answers with `status`."""

    def __init__(self) -> None:
        self.requests: list[tuple[Mapping[str, str], bytes]] = []
        self.status = 204
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Location", receiver.url)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_json_that_its_receiver_can_verify(receiver: Receiver) -> None:
    alert = Alert(DOWN, False, EPOCH, EPOCH)
    Webhook(receiver.url, "a secret").send(alert)
    ((headers, body),) = receiver.requests
    assert json.loads(body) == alert.document()
    signed = headers["X-Gateway-Timestamp"].encode() + b"." + body
    assert headers["X-Gateway-Signature"] == "sha256=" + hmac.new(b"a secret", signed, hashlib.sha256).hexdigest()
    assert headers["Content-Type"] == "application/json"


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    Webhook(receiver.url, None).send(Alert(DOWN, False, EPOCH, EPOCH))
    assert "X-Gateway-Signature" not in receiver.requests[0][0]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 500, 503])
def test_anything_but_success_is_a_failure_and_redirections_are_not_followed(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(Unavailable, match=str(status)):
        Webhook(receiver.url, "a secret").send(Alert(DOWN, False, EPOCH, EPOCH))
    assert len(receiver.requests) == 1


def test_a_webhook_nobody_listens_at_is_a_failure(receiver: Receiver) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        Webhook("http://127.0.0.1:1/hook", None).send(Alert(DOWN, False, EPOCH, EPOCH))


def test_a_webhook_that_speaks_no_http_is_a_failure() -> None:
    """It may not end the thread that tells everything else."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            caller, _ = server.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(b"220 mail.example.com ESMTP\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(Unavailable, match="cannot be reached"):
            Webhook(f"http://127.0.0.1:{server.getsockname()[1]}/", None).send(Alert(DOWN, False, EPOCH, EPOCH))
        thread.join()


def script(directory: Path, text: str) -> str:
    path = directory / "alert"
    path.write_text(f"#!{sys.executable} -I\n{text}")
    path.chmod(0o755)
    return str(path)


def test_a_command_gets_the_json_and_its_own_arguments_and_no_shell(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = f"import os, sys\nopen({str(out)!r}, 'w').write(repr((sys.argv[1:], sys.stdin.read(), sorted(os.environ))))"
    Command(f"{script(tmp_path, text)} --to '$HOME; echo' `id`").send(Alert(DOWN, False, EPOCH, EPOCH))
    arguments, told, environment = eval(out.read_text())
    assert arguments == ["--to", "$HOME; echo", "`id`"]
    assert json.loads(told) == Alert(DOWN, False, EPOCH, EPOCH).document()
    assert not [name for name in environment if name.startswith("GATEWAY")]


@pytest.mark.parametrize("text", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"])
def test_a_command_that_fails_is_a_failure(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unavailable, match="exit code"):
        Command(script(tmp_path, text)).send(Alert(DOWN, False, EPOCH, EPOCH))


def test_a_command_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be run"):
        Command(str(tmp_path / "nothing")).send(Alert(DOWN, False, EPOCH, EPOCH))


@pytest.mark.parametrize("command", ["", "  ", "alert 'half"])
def test_a_command_that_is_none_is_refused_with_the_settings(tmp_path: Path, command: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps({"alerts": {"command": command}}))
    with pytest.raises(InvalidSettings, match=r"alerts\.command"):
        settings.load(path, {})


def test_the_rules_for_prometheus_have_every_kind_of_alert(pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / "docs/prometheus-rules.yaml").read_text()
    of_their_own: dict[Kind, Any] = {
        Kind.QUARANTINE: 'gateway_workloads{state="quarantined"}',
    }
    for kind in Kind:
        assert of_their_own.get(kind, f'gateway_alerts{{kind="{kind.value}"}}') in text
