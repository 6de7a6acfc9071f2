"""The adapters behind `control.outside` that need no name server: a directory over TLS, and port 80."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from appliance.adapters import certificate_authority, web_probe
from appliance.adapters.certificate_authority import CertificateAuthority
from appliance.adapters.web_probe import WebProbe
from appliance.control import outside
from appliance.model.web import Outcome

ADDRESS: Final = "127.0.0.1"
DIRECTORY: Final = {
    "newOrder": "https://ca.example.net/order",
    "meta": {
        "caaIdentities": ["ca.example.net", 7],
        "profiles": {"classic": "the usual"},
        "externalAccountRequired": True,
    },
}

Answer = Callable[[BaseHTTPRequestHandler], None]


def says(status: int, body: bytes, date: str = "Sun, 06 Nov 1994 08:49:37 GMT") -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(status)
        handler.send_header("Date", date)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(body)

    return answer


@contextlib.contextmanager
def serving(answer: Answer, authority: trustme.CA | None = None) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer((ADDRESS, 0), Handler)
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(ADDRESS).configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def root(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def test_a_directory_is_read_with_its_clock(authority: trustme.CA, root: Path) -> None:
    with serving(says(200, json.dumps(DIRECTORY).encode()), authority) as port:
        asked: outside.CertificateAuthority = CertificateAuthority(f"https://{ADDRESS}:{port}/dir", [root], lambda: 5.0)
        found = asked.look()
    assert asked.url == found.url
    assert (found.problem, found.date, found.asked_at) == (None, 784111777.0, 5.0)
    assert (found.caa_identities, found.profiles) == (("ca.example.net",), ("classic",))
    assert found.needs_account_binding


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says(500, b""), "HTTP 500"),
        (says(200, b"{}"), "no ACME directory"),
        (says(200, b"<html>"), "no ACME directory"),
        (says(200, b"[" * 200_000), "no ACME directory"),
        (says(200, b'{"newOrder": "' + b"a" * 100_000 + b'"}'), "no ACME directory"),
        (lambda handler: handler.wfile.write(b"rubbish\r\n\r\n"), "rubbish"),
        (lambda _: None, "closed"),
    ],
)
def test_what_is_no_directory_is_told_and_never_raised(
    authority: trustme.CA, root: Path, answer: Answer, words: str
) -> None:
    with serving(answer, authority) as port:
        found = CertificateAuthority(f"https://{ADDRESS}:{port}/dir", [root]).look()
    assert found.problem is not None
    assert words in found.problem


def test_a_root_that_is_not_trusted_is_told_apart(authority: trustme.CA) -> None:
    with serving(says(200, b"{}"), authority) as port:
        found = CertificateAuthority(f"https://{ADDRESS}:{port}/dir").look()
    assert found.is_untrusted
    assert "not trusted" in str(found.problem)


def test_a_root_that_cannot_be_read_names_the_setting(tmp_path: Path) -> None:
    found = CertificateAuthority("https://127.0.0.1:1/dir", [tmp_path / "missing.pem"]).look()
    assert "`acme.ca_certificates`" in str(found.problem)


def test_a_body_that_never_ends_is_given_up(authority: trustme.CA, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_authority, "_PATIENCE_SECONDS", 0.3)
    ended = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not ended.wait(0.05):
                handler.wfile.write(b" ")

    with serving(drip, authority) as port:
        found = CertificateAuthority(f"https://{ADDRESS}:{port}/dir", [root]).look()
        ended.set()
    assert "no answer within" in str(found.problem)


def closed_port() -> int:
    with socket.create_server((ADDRESS, 0)) as server:
        return int(server.getsockname()[1])


def test_port_80_is_asked_for_the_host_beside_its_challenges() -> None:
    asked: list[tuple[str, str, str | None]] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append((handler.command, handler.path, handler.headers["Host"]))
        says(404, b"")(handler)

    with serving(answer) as port:
        probe: outside.WebProbe = WebProbe()
        found = probe.ask(ADDRESS, "gw.example.com", port)
    assert (found.outcome, found.status) == (Outcome.ANSWERED, 404)
    assert asked == [("HEAD", "/.well-known/", "gw.example.com")]


def test_a_closed_port_80_refuses_and_a_mute_one_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_probe, "_PATIENCE_SECONDS", 0.1)
    assert WebProbe().ask(ADDRESS, "gw.example.com", closed_port()).outcome is Outcome.REFUSED
    with socket.create_server((ADDRESS, 0)) as mute:
        assert WebProbe().ask(ADDRESS, "gw.example.com", mute.getsockname()[1]).outcome is Outcome.SILENT


def test_what_is_no_http_is_told_apart() -> None:
    with serving(lambda handler: handler.wfile.write(b"SSH-2.0\r\n")) as port:  # type: ignore[arg-type]
        assert WebProbe().ask(ADDRESS, "gw.example.com", port).outcome is Outcome.RUBBISH
