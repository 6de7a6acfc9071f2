"""The command line: what it asks the control plane, what it prints, and its exit codes."""

import json
import socketserver
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from appliance.cli import main, tables, waiting
from appliance.cli.client import AdminClient

VIEW: dict[str, Any] = {
    "id": "blog",
    "type": "gateway-name-proxy",
    "host": "blog.gw.example.com",
    "tls_passthrough": False,
    "backends": ["http://10.1.2.3:9000"],
    "options": [],
    "state": "applied",
    "reason": "",
    "certificate": {"state": "issued", "reason": ""},
}
UNREADABLE = VIEW | {
    "id": "bad",
    "type": None,
    "host": None,
    "tls_passthrough": None,
    "backends": [],
    "state": "quarantined",
    "reason": "half a file",
    "certificate": {"state": "none", "reason": "the workload is not served"},
}
STATUS = {
    "healthy": True,
    "problems": [],
    "notices": ["look here"],
    "version": "0.1.0",
    "root": "/srv",
    "config": "/etc/gateway.yaml",
    "programs": [{"name": "traefik", "state": "RUNNING", "pid": 7}],
    "workloads": {"pending": 0, "applied": 1, "quarantined": 0},
    "zones": ["_acme-challenge.gw.example.com"],
}
CHALLENGE: dict[str, Any] = {
    "challenge": {"name": "_acme-challenge.gw.example.com", "value": "v", "presented": 1000.0, "by": "uid 0 pid 7"},
    "state": "cleaned up",
    "fetches": [{"name": "_acme-challenge.gw.example.com", "at": 1001.0, "source": "192.0.2.1"}],
    "fetch_count": 4,
    "ended": 1010.0,
}


class AdminServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """An admin API that gives one answer and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        super().__init__(str(path), _Handler)
        self.asked: list[tuple[str, str, Any]] = []
        self.status = 200
        self.answer: Any = VIEW


class _Handler(BaseHTTPRequestHandler):
    server: AdminServer

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, json.loads(body) if body else None))
        answer = self.server.answer
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_DELETE = do_POST = _serve  # noqa: N815  the names http.server asks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Say nothing."""


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AdminServer]:
    monkeypatch.setenv("GATEWAY_ROOT", str(tmp_path))
    with AdminServer(tmp_path / "run" / "admin.sock") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("arguments", "method", "path", "document"),
    [
        (
            ["route", "name", "blog", "blog", "http://10.1.2.3"],
            "PUT",
            "/v1/workloads/blog?wait=applied&timeout=30.0",
            {"type": "gateway-name-proxy", "name": "blog", "tls_passthrough": False, "backends": ["http://10.1.2.3"]},
        ),
        (
            ["route", "name", "b", "blog", "10.1.2.3:443", "10.1.2.4:443", "--tls-passthrough", "--domain", "gw.org"],
            "PUT",
            "/v1/workloads/b?wait=applied&timeout=30.0",
            {
                "type": "gateway-name-proxy",
                "name": "blog",
                "domain": "gw.org",
                "tls_passthrough": True,
                "backends": ["10.1.2.3:443", "10.1.2.4:443"],
            },
        ),
        (
            ["route", "fqdn", "shop", "shop.org", "http://10.1.2.3", "--no-wait"],
            "PUT",
            "/v1/workloads/shop",
            {
                "type": "gateway-fqdn-proxy",
                "fqdn": "shop.org",
                "tls_passthrough": False,
                "backends": ["http://10.1.2.3"],
            },
        ),
        (
            ["route", "fqdn", "a/b c", "shop.org", "http://10.1.2.3", "--timeout", "2.5"],
            "PUT",
            "/v1/workloads/a%2Fb%20c?wait=applied&timeout=2.5",
            {
                "type": "gateway-fqdn-proxy",
                "fqdn": "shop.org",
                "tls_passthrough": False,
                "backends": ["http://10.1.2.3"],
            },
        ),
        (["route", "show", "blog"], "GET", "/v1/workloads/blog", None),
    ],
)
def test_each_verb_is_one_call(
    admin: AdminServer, arguments: list[str], method: str, path: str, document: dict[str, Any] | None
) -> None:
    assert main(arguments) == 0
    assert admin.asked == [(method, path, document)]


@pytest.mark.parametrize(
    ("state", "extra", "code"),
    [
        ("applied", [], 0),
        ("pending", [], waiting.EXIT_NOT_YET),
        ("quarantined", [], waiting.EXIT_NOT_APPLIED),
        ("applied", ["--no-wait"], 0),
        ("pending", ["--no-wait"], 0),
    ],
)
def test_setting_a_route_exits_0_only_when_it_is_applied(
    admin: AdminServer, state: str, extra: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.answer = VIEW | {"state": state, "reason": "" if state == "applied" else "because"}
    assert main(["route", "name", "blog", "blog", "http://10.1.2.3", *extra]) == code
    assert ("because" in capsys.readouterr().err) is (code != 0)


@pytest.mark.parametrize(
    ("title", "status", "code"),
    [
        ("InvalidInput", 422, 2),
        ("Refused", 403, 1),
        ("NoGateway", 403, 1),
        ("Conflict", 409, 1),
        ("NotFound", 404, 1),
        ("Unavailable", 503, 1),
        ("SomethingNew", 500, 1),
    ],
)
def test_a_refusal_is_one_line_and_its_exit_code(
    admin: AdminServer, title: str, status: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.status = status
    admin.answer = {"type": "about:blank", "title": title, "status": status, "detail": "what to do"}
    assert main(["route", "show", "blog"]) == code
    assert capsys.readouterr() == ("", "gateway: what to do\n")


@pytest.mark.parametrize("answer", [b"Internal Server Error", b"", b"\xff"])
def test_an_answer_that_is_no_answer_is_told(
    admin: AdminServer, answer: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.status, admin.answer = 500, answer
    assert main(["route", "list"]) == 1
    assert capsys.readouterr().err.startswith("gateway: the control plane ")


def test_nobody_listening_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--root", str(tmp_path)]) == 1
    assert "is `gateway run` running on this root" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "extra", "code"),
    [
        ({"id": "blog", "existed": True, "gone": True}, [], 0),
        ({"id": "blog", "existed": False, "gone": True}, [], 0),
        ({"id": "blog", "existed": True, "gone": False}, [], waiting.EXIT_NOT_YET),
        ({"id": "blog", "existed": True, "gone": False}, ["--no-wait"], 0),
    ],
)
def test_deleting_what_is_not_there_is_fine(
    admin: AdminServer, answer: dict[str, Any], extra: list[str], code: int
) -> None:
    admin.answer = answer
    assert main(["route", "delete", "blog", *extra]) == code


def as_answered(arguments: Sequence[str], answer: Any) -> Any:
    """The API's own form of what is shown: a listing comes in pages."""
    return {"workloads": answer, "next": None} if list(arguments) == ["route", "list"] else answer


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["route", "name", "blog", "blog", "http://10.1.2.3"], VIEW),
        (["route", "show", "blog"], VIEW),
        (["route", "list"], [VIEW, UNREADABLE]),
        (["route", "list"], []),
        (["route", "delete", "blog"], {"id": "blog", "existed": True, "gone": True}),
        (["status"], STATUS),
        (["challenges"], []),
    ],
)
def test_json_is_the_answer_as_it_came(
    admin: AdminServer, arguments: list[str], answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.answer = as_answered(arguments, answer)
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == answer


@pytest.mark.parametrize(
    ("arguments", "answer", "words"),
    [
        (["route", "show", "blog"], VIEW, ["blog.gw.example.com", "gateway-name-proxy", "applied", "issued"]),
        (["route", "show", "bad"], UNREADABLE, ["unreadable", "none", "quarantined: half a file"]),
        (["route", "list"], [VIEW, UNREADABLE], ["HOST", "blog.gw.example.com", "bad", "half a file"]),
        (["route", "list"], [], ["no workloads"]),
        (["status"], STATUS, ["healthy", "traefik: RUNNING (pid 7)", "notice: look here", "1 applied"]),
        (["route", "delete", "x"], {"id": "x", "existed": False, "gone": True}, ["x was not there"]),
        (["challenges"], [], ["no challenges yet"]),
        (
            ["challenges"],
            [CHALLENGE],
            [
                "1970-01-01 00:16:40  _acme-challenge.gw.example.com  presented by uid 0 pid 7",
                "1970-01-01 00:16:41  fetched by 192.0.2.1",
                "and 3 times more",
                "1970-01-01 00:16:50  cleaned up",
            ],
        ),
    ],
)
def test_people_are_told_in_words(
    admin: AdminServer,
    arguments: list[str],
    answer: Any,
    words: Sequence[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "is_wanted", lambda: True)
    admin.answer = as_answered(arguments, answer)
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert [word for word in words if word not in out] == []


def test_a_pipe_gets_rows_and_no_table(admin: AdminServer, capsys: pytest.CaptureFixture[str]) -> None:
    admin.answer = as_answered(["route", "list"], [VIEW, UNREADABLE])
    assert main(["route", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "blog\tblog.gw.example.com\tapplied\tissued\t",
        "bad\t-\tquarantined\tnone\thalf a file",
    ]
    admin.answer = as_answered(["route", "list"], [])
    assert main(["route", "list"]) == 0
    assert capsys.readouterr().out == ""


def test_an_appliance_that_is_not_healthy_is_told_and_exits_1(
    admin: AdminServer, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.answer = STATUS | {"healthy": False, "problems": ["it burns"]}
    assert main(["status"]) == waiting.EXIT_NOT_APPLIED
    out = capsys.readouterr().out
    assert "NOT HEALTHY" in out
    assert "problem: it burns" in out


def test_interrupting_is_no_error_message(
    admin: AdminServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AdminClient, "call", interrupt)
    assert main(["status"]) == 130
    assert capsys.readouterr() == ("", "")


def test_the_records_to_create_need_nothing_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    config = tmp_path / "other.yaml"
    config.write_text("public: {ipv4: 203.0.113.10, domains: [gw.example.com]}", encoding="utf-8")
    assert main(["dns-records", "--config", str(config)]) == 0
    assert "_acme-challenge.gw.example.com.\t3600\tIN\tNS\tgw.example.com." in capsys.readouterr().out
    assert main(["dns-records", "--config", str(config), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0].keys() == {"domain", "name", "type", "content", "purpose"}
    config.write_text("", encoding="utf-8")
    assert main(["dns-records", "--config", str(config)]) == 2
    assert "has no `public` section with a domain" in capsys.readouterr().err
