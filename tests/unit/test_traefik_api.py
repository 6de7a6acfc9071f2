"""Traefik's API is asked over HTTP; whatever is no answer is told as such."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from appliance.adapters import traefik_api
from appliance.adapters.traefik_api import TraefikApi
from appliance.model.errors import Unavailable


class FakeHttp(ThreadingHTTPServer):
    """Answers from a dict; a path that is not in it is not found. `is_closing` ends each kept connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Any] = {}
        self.status = 200
        self.asked: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self.is_closing = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHttp

    def do_GET(self) -> None:
        """Answer."""
        self.server.asked.append(self.path)
        self.server.connections.add(self.client_address)
        answer = self.server.answers.get(self.path)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(self.server.status if self.path in self.server.answers else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.server.is_closing

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Say nothing."""


@pytest.fixture
def http() -> Iterator[FakeHttp]:
    with FakeHttp() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def api(http: FakeHttp) -> Iterator[TraefikApi]:
    found = TraefikApi("127.0.0.1", http.server_address[1])
    yield found
    found._drop()


def test_routers_and_services_are_found_by_name(http: FakeHttp, api: TraefikApi) -> None:
    http.answers["/api/http/routers/blog-route@file"] = {"status": "enabled"}
    http.answers["/api/tcp/services/blog@file"] = {"status": "disabled"}
    assert api.router("http", "blog-route@file") == {"status": "enabled"}
    assert api.service("tcp", "blog@file") == {"status": "disabled"}
    assert api.router("http", "other-route@file") is None
    assert api.service("http", "a/b?c@file") is None
    assert http.asked[-1] == "/api/http/services/a%2Fb%3Fc@file"
    assert len(http.connections) == 1


@pytest.mark.parametrize("count", [0, 2, 1000, 2000])
def test_everything_is_one_page(http: FakeHttp, api: TraefikApi, count: int) -> None:
    items = [{"name": f"w{number}@file"} for number in range(count)]
    http.answers["/api/http/routers?per_page=1000000"] = items
    assert api.routers("http") == {item["name"]: item for item in items}
    assert len(http.asked) == 1


def test_certificates_give_all_their_names(http: FakeHttp, api: TraefikApi) -> None:
    path = f"/api/certificates?per_page={traefik_api._EVERYTHING}"
    for suffix in ("", "&page=1"):
        http.answers[path + suffix] = [
            {"commonName": "GW.example.com", "sans": ["*.gw.example.com"]},
            {"commonName": "", "sans": None},
            {"sans": ["shop.customer.com"]},
        ]
    assert api.certified_names() == {"gw.example.com", "*.gw.example.com", "shop.customer.com"}


def test_a_traefik_that_is_starting_is_not_taken_for_one_without_certificates(http: FakeHttp, api: TraefikApi) -> None:
    """Its API answers 404 to everything until its first configuration is in force."""
    http.status = 404
    with pytest.raises(Unavailable, match="starting"):
        api.certified_names()


def test_a_kept_connection_that_died_is_made_anew(http: FakeHttp, api: TraefikApi) -> None:
    http.answers["/api/http/routers/a"] = {}
    http.is_closing = True
    for _ in range(3):
        assert api.router("http", "a") == {}
    assert len(http.connections) == 3


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (500, b"oops", "answers 500"),
        (503, {}, "answers 503"),
        (200, b"no JSON", "answers no JSON"),
        (200, b"", "answers no JSON"),
        (200, b"\xff", "answers no JSON"),
    ],
)
def test_what_is_no_answer_is_told(http: FakeHttp, api: TraefikApi, status: int, answer: Any, message: str) -> None:
    http.answers["/api/http/routers/a"] = answer
    http.status = status
    with pytest.raises(Unavailable, match=message):
        api.router("http", "a")


def test_a_traefik_that_does_not_listen_is_told() -> None:
    with FakeHttp() as http:
        port = http.server_address[1]
    with pytest.raises(Unavailable, match=f"does not answer on its API at 127.0.0.1:{port}"):
        TraefikApi("127.0.0.1", port).routers("http")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        pytest.param("[]", [], id="empty"),
        pytest.param(" [ ]\n", [], id="empty, with spaces"),
        pytest.param('[{"name":"a"},{"name":"b"}]\n', [{"name": "a"}, {"name": "b"}], id="as Traefik writes it"),
        pytest.param('[\n  1 ,\n  "],[",\n  [2]\n]', [1, "],[", [2]], id="spread over lines"),
    ],
)
def test_a_list_is_read_item_by_item(text: str, items: list[Any]) -> None:
    assert list(traefik_api.items_of(text)) == items == json.loads(text)


@pytest.mark.parametrize(
    "text", ["", "{}", "null", "[", "[1", "[1,", "[1 2]", "[1[2]]", "[1,,2]", "[1,]", "x", "[]x", "[1] 2"]
)
def test_what_is_no_list_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"no list|neither|Expecting|behind the list"):
        list(traefik_api.items_of(text))
