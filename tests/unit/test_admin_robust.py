"""Slow, many, large and broken callers of the admin API cost nobody else anything."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters import admin
from appliance.adapters.admin import connections, server
from appliance.adapters.admin.connections import Room
from appliance.cli.client import AdminClient
from appliance.layout import Root
from tests.fakes import until
from tests.plane import Plane
from tests.served import TcpServed

BLOG = {"type": "gateway-name-proxy", "name": "blog", "backends": ["http://10.1.2.3:9000"]}


@pytest.fixture(scope="module")
def plane() -> Iterator[Plane]:
    plane = Plane()
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture(scope="module")
def served(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcpServed]:
    with TcpServed(plane, tmp_path_factory.mktemp("tokens")).running() as served:
        yield served


def rest(connection: socket.socket) -> bytes:
    """All that still comes until the other end closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while block := connection.recv(65536):
            found += block
    return found


def problem(raw: bytes) -> tuple[int, Any]:
    """The status and the problem document of a raw answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head.lower()
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", 408),
        (b"GET /v1/sta", 408),
        (b"GET /v1/status HTTP/1.1\r\nHost: a\r\n", 408),
        (b"NONSENSE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000, 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_a_head_that_is_slow_or_none_is_told_and_closed(
    served: TcpServed, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: int
) -> None:
    """However few bytes come, the connection is given up after its time."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    with served.connect() as connection:
        connection.sendall(sent)
        found, content = problem(rest(connection))
    assert found == status
    assert content["detail"]


def test_a_drip_of_bytes_earns_no_more_time(served: TcpServed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is the head's, not each byte's."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    begun = time.monotonic()
    with served.connect() as connection, contextlib.suppress(OSError):
        connection.sendall(b"GET /v1/status HTTP/1.1\r\n")
        while time.monotonic() - begun < 8:
            connection.sendall(b"X-A: b\r\n")
            threading.Event().wait(0.05)
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_body_that_never_ends_is_given_up(served: TcpServed, monkeypatch: pytest.MonkeyPatch, framing: bytes) -> None:
    """And answered, for the caller may only be slow."""
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.3)
    head = b"PUT /v1/workloads/a HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer "
    with served.connect() as connection:
        connection.sendall(head + served.write.encode() + b"\r\n" + framing + b"\r\n\r\n")
        assert problem(rest(connection))[0] == 408
    assert served.ask("GET", "/v1/workloads/a", served.read).status == 404


@pytest.mark.parametrize("is_chunked", [False, True])
def test_ten_megabytes_are_refused_without_being_kept(served: TcpServed, is_chunked: bool) -> None:
    """413 in time, whether or not the length was told."""
    megabyte = b"x" * 2**20
    body: Any = (megabyte for _ in range(10)) if is_chunked else megabyte * 10
    connection = http.client.HTTPConnection("127.0.0.1", served.api.port, timeout=10)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {served.write}", "Content-Type": "application/json"}
        with contextlib.suppress(ConnectionError):
            connection.request("PUT", "/v1/workloads/a", body, headers, encode_chunked=is_chunked)
        answer = connection.getresponse()
        content = json.loads(answer.read())
    assert (answer.status, content["title"]) == (413, "ContentTooLarge")
    assert "65536" in content["detail"]


def test_a_plan_may_be_larger_and_has_its_bound_too(served: TcpServed) -> None:
    """Hundreds of workloads at once are planned; five megabytes are not."""
    many = {f"w{number}": {**BLOG, "name": f"w{number}"} for number in range(2000)}
    assert served.ask("POST", "/v1/workloads:plan", served.read, {"set": many}).status == 200
    assert served.ask("POST", "/v1/workloads:plan", served.read, b" " * (5 * 2**20)).status == 413


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/yaml"])
def test_what_is_not_said_to_be_json_is_not_read(served: TcpServed, media_type: str) -> None:
    """415, which also keeps a browser's form out."""
    reply = served.ask("PUT", "/v1/workloads/a", served.write, BLOG, {"Content-Type": media_type})
    assert reply.status == 415
    assert "application/json" in reply.content["detail"]


@pytest.mark.parametrize(
    "path", ["/v1/workloads?stat=applied", "/v1/status?x=1", "/v1/workloads/a?wait=applied&timout=3"]
)
def test_a_misspelt_parameter_is_told(served: TcpServed, path: str) -> None:
    """It must not look as if it had been heard."""
    reply = served.ask("GET", path, served.read)
    assert reply.status == 422
    assert "unknown key" in reply.content["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/workloads/a", "DELETE, GET, PUT"),
        ("POST", "/v1/status", "GET"),
        ("GET", "/v1/workloads:plan", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(served: TcpServed, method: str, path: str, allowed: str) -> None:
    """In the header, as RFC 9110 §15.5.6 wants it, and in words."""
    reply = served.ask(method, path, served.write)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)
    assert allowed in reply.content["detail"]


def test_an_error_nobody_foresaw_is_a_problem_too(
    served: TcpServed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It tells strangers nothing, and the log everything."""

    def fail() -> None:
        raise ZeroDivisionError("inner words")

    monkeypatch.setattr(served.plane.gateway, "zones", fail)
    reply = served.ask("GET", "/v1/zones", served.read)
    assert reply.status == 500
    assert "inner words" not in str(reply.content)
    assert reply.headers["content-type"] == "application/problem+json"
    until(lambda: "inner words" in caplog.text)


def test_every_answer_has_the_headers_that_keep_it_private(served: TcpServed) -> None:
    """Refusals too."""
    for token in (served.read, None):
        reply = served.ask("GET", "/v1/status", token, headers={"X-Request-ID": "a b"})
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert len(reply.headers["x-request-id"]) >= 16
        assert "server" not in reply.headers


def test_connections_are_bounded_and_come_free(plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ninth is closed at once, and let in when one of the eight goes."""
    monkeypatch.setattr(server, "_TCP_ROOM", (8, 8))
    with TcpServed(plane, tmp_path).running() as served:
        held = [served.connect() for _ in range(8)]
        until(lambda: refused(served))
        for connection in held:
            connection.close()
        until(lambda: not refused(served))


def refused(served: TcpServed) -> bool:
    try:
        return served.ask("GET", "/healthz").status != 200
    except (ConnectionError, OSError):
        return True


def test_one_address_cannot_have_all_places() -> None:
    """Others still get in."""
    room = Room(most=4, most_from_one=2)
    assert [room.enter("a"), room.enter("a"), room.enter("a"), room.enter("b")] == [True, True, False, True]
    room.leave("a")
    assert room.enter("a")
    assert room.enter("c")
    assert not room.enter("d")


def test_the_unix_socket_answers_whatever_tcp_brings(
    plane: Plane, served: TcpServed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All places over TCP taken, half of them by calls that wait for Traefik: a local call is served at once."""
    root = Root(tmp_path_factory.mktemp("root"))
    root.create()
    local = admin.unix(admin.application(plane.gateway), root.admin_socket)
    local.start(served.failures.append)
    plane.traefik.freeze()
    head = f"Host: a\r\nAuthorization: Bearer {served.write}\r\nContent-Type: application/json\r\n"
    body = json.dumps({**BLOG, "name": "waits"})
    waiting = (
        f"PUT /v1/workloads/waits?wait=applied&timeout=600 HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"
    )
    with contextlib.ExitStack() as stack:
        for number in range(64):
            connection = stack.enter_context(served.connect())
            connection.sendall(waiting.encode() if number % 2 else b"GET / HT")
        until(lambda: refused(served))
        client = AdminClient(root.path)
        assert client.call("PUT", "/v1/workloads/blog", BLOG)["state"] == "pending"
        assert client.call("GET", "/v1/status")["version"] == "1"
        plane.traefik.thaw()
    local.stop()


def test_a_reader_who_takes_nothing_is_given_up(
    plane: Plane, served: TcpServed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large answer does not wait for ever in this process's memory."""
    monkeypatch.setattr(connections, "UNTAKEN_SECONDS", 0.3)
    huge = [{"name": "x" * 1000, "number": number} for number in range(20_000)]
    monkeypatch.setattr(plane.gateway, "extra", lambda: huge)
    connection = socket.socket()
    with connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", served.api.port))
        request = f"GET /v1/extra HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {served.read}\r\n\r\n"
        connection.sendall(request.encode())
        until(lambda: served.api._server.server_state.connections != set())
        until(lambda: served.api._server.server_state.connections == set())


def test_a_connection_serves_many_requests(served: TcpServed) -> None:
    """Bounds are for requests; a quick client keeps its connection."""
    request = f"GET /v1/zones HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {served.read}\r\n"
    with served.connect() as connection:
        connection.sendall((request + "\r\n").encode() * 5 + (request + "Connection: close\r\n\r\n").encode())
        assert rest(connection).count(b"HTTP/1.1 200") == 6
