"""The admin API over its real socket: the shapes of its answers, and what each error becomes."""

import contextlib
import http.client
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from appliance.adapters import admin
from appliance.adapters.admin import connections
from appliance.cli.client import AdminClient, _UnixConnection
from appliance.control.gateway import Gateway
from appliance.control.measuring import Measuring
from appliance.layout import Root
from appliance.model.errors import Conflict, GatewayError, InvalidInput, NoGateway, NotFound, Refused, Unavailable
from appliance.model.standings import State
from tests.fakes import until
from tests.plane import NO_PUBLIC, RULES, Plane, name

BLOG = {"type": "gateway-name-proxy", "name": "blog", "backends": ["http://10.1.2.3:9000"]}


class Current:
    """Stands for whichever control plane the test at hand has: starting the API anew for each would take the time."""

    gateway: Gateway
    measuring = Measuring()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)


class Served:
    """A control plane over fakes behind the real API."""

    def __init__(self, root: Path) -> None:
        self.plane = Plane()
        self.plane.start()
        self.path = Root(root).admin_socket
        self.client = AdminClient(root)

    def put(self, identity: str, document: Any, query: str = "?wait=applied&timeout=10") -> Any:
        return self.client.call("PUT", f"/v1/workloads/{quote(identity, safe='')}{query}", document)

    def raw(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str, Any]:
        with contextlib.closing(_UnixConnection(self.path, 10)) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, str(answer.getheader("Content-Type")), json.loads(answer.read())


@pytest.fixture(scope="module")
def current() -> Current:
    return Current()


@pytest.fixture(scope="module")
def api_root(current: Current, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root whose admin API answers for `current`."""
    root = Root(tmp_path_factory.mktemp("root"))
    root.create()
    failures: list[BaseException] = []
    api = admin.unix(admin.application(cast(Gateway, current)), root.admin_socket)
    api.start(failures.append)
    yield root.path
    api.stop()
    assert not failures


@pytest.fixture
def served(current: Current, api_root: Path) -> Iterator[Served]:
    served = Served(api_root)
    current.gateway = served.plane.gateway
    yield served
    served.plane.stop()


def test_a_workload_is_set_shown_listed_and_deleted(served: Served) -> None:
    found = served.put("37-2039-Blog", BLOG)
    promised = {
        "id": "37-2039-Blog",
        "type": "gateway-name-proxy",
        "host": "blog.gw.example.com",
        "tls_passthrough": False,
        "backends": ["http://10.1.2.3:9000"],
        "state": "applied",
        "reason": "",
        "certificate": {
            "state": "pending",
            "reason": "asked for at the certificate authority; served as soon as it is issued",
        },
    }
    assert {key: found[key] for key in promised} == promised
    assert served.client.call("GET", "/v1/workloads/37-2039-Blog") == found
    assert served.client.call("GET", "/v1/workloads") == {"workloads": [found], "next": None}
    answer = served.client.call("DELETE", "/v1/workloads/37-2039-Blog?wait=applied")
    assert (answer["id"], answer["existed"]) == ("37-2039-Blog", True)
    assert served.client.all_workloads() == []
    again = served.client.call("DELETE", "/v1/workloads/37-2039-Blog?wait=applied")
    assert again["existed"] is False


def test_without_waiting_the_answer_is_that_it_was_accepted(served: Served) -> None:
    served.plane.traefik.freeze()
    assert served.put("blog", BLOG, "")["state"] == "pending"
    assert served.put("blog", BLOG, "?wait=applied&timeout=0")["state"] == "pending"
    served.plane.traefik.thaw()
    assert served.put("blog", BLOG)["state"] == "applied"


def test_an_unreadable_file_is_listed_without_type_and_host(served: Served) -> None:
    served.plane.store.damage("bad", "half a file")
    served.plane.look()
    (found,) = served.client.all_workloads()
    assert (found["id"], found["type"], found["host"], found["state"]) == ("bad", None, None, "quarantined")
    assert found["reason"] == "half a file"


@pytest.mark.parametrize(
    ("identity", "document", "kind", "message"),
    [
        ("other", BLOG, Conflict, "held by the workload blog"),
        ("a", BLOG | {"name": "a", "backends": ["http://0.0.0.0"]}, Refused, "this-network"),
        ("a", BLOG | {"name": "a", "domain": "other.org"}, Refused, "no domain of this gateway"),
        ("a", BLOG | {"backend": []}, InvalidInput, "did you mean `backends`"),
        ("a", {}, InvalidInput, "`type` is missing"),
        ("a", [], InvalidInput, "body"),
        ("a", None, InvalidInput, "body"),
        ("a", BLOG | {"name": "\ud800"}, InvalidInput, "internationalised"),
        ("a", BLOG | {"\ud800": 1}, InvalidInput, "unknown key"),
        ("../a", BLOG, InvalidInput, "the workload id '../a' is not valid"),
        ("a/b", BLOG, InvalidInput, "the workload id 'a/b' is not valid"),
        ("", BLOG, InvalidInput, "the workload id '' is not valid"),
        ("a b", BLOG, InvalidInput, "the workload id 'a b' is not valid"),
    ],
)
def test_every_refusal_arrives_as_it_was_raised(
    served: Served, identity: str, document: Any, kind: type[GatewayError], message: str
) -> None:
    served.put("blog", BLOG)
    with pytest.raises(GatewayError, match=message) as caught:
        served.put(identity, document)
    assert type(caught.value) is kind
    assert [item["id"] for item in served.client.all_workloads()] == ["blog"]


def test_without_a_public_section_the_refusal_says_so(served: Served) -> None:
    served.plane.applier.reconfigure(NO_PUBLIC)
    served.plane.look()
    with pytest.raises(NoGateway, match="no `public` section"):
        served.put("blog", BLOG)
    served.plane.applier.reconfigure(RULES)


def test_what_is_not_there_is_told(served: Served) -> None:
    with pytest.raises(NotFound, match="there is no workload blog"):
        served.client.call("GET", "/v1/workloads/blog")
    assert served.raw("GET", "/v2/nothing")[0] == 404
    assert served.raw("POST", "/v1/workloads/a")[0] == 405


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/workloads/a", b"{"),
        ("PUT", "/v1/workloads/a", b"[" * 60_000),
        ("PUT", "/v1/workloads/a", b'{"a": ' + b"9" * 6000 + b"}"),
        ("PUT", "/v1/workloads/a", b"\xff"),
        ("PUT", "/v1/workloads/a?wait=perhaps", b"{}"),
        ("PUT", "/v1/workloads/a?wait=applied&timeout=-1", b"{}"),
        ("PUT", "/v1/workloads/a?wait=applied&timeout=1e9", b"{}"),
        ("PUT", "/v1/workloads/a?wait=applied&timeout=nan", b"{}"),
    ],
)
def test_a_request_that_cannot_be_read_is_the_callers_fault(
    served: Served, method: str, path: str, body: bytes
) -> None:
    status, _, content = served.raw(method, path, body)
    assert status in {400, 422}
    assert content["detail"]


def test_errors_are_problem_documents(served: Served) -> None:
    status, kind, content = served.raw("PUT", "/v1/workloads/a", b"{}")
    assert (status, kind) == (422, "application/problem+json")
    assert content.keys() == {"type", "title", "status", "detail"}
    assert (content["title"], content["status"]) == ("InvalidInput", 422)


def test_the_status_tells_programs_problems_and_counts(served: Served) -> None:
    served.put("blog", BLOG)
    found = served.client.call("GET", "/v1/status")
    assert found["healthy"] is True
    assert found["problems"] == []
    assert found["workloads"] == {"pending": 0, "applied": 1, "quarantined": 0}
    assert {"name": "traefik", "state": "RUNNING", "pid": 100} in found["programs"]
    assert {"version", "root", "config", "zones", "notices"} <= found.keys()


def test_the_status_tells_what_dns_did(served: Served) -> None:
    served.plane.authority.queries = {("TXT", "NOERROR", "udp"): 2, ("A", "REFUSED", "tcp"): 1}
    assert served.client.call("GET", "/v1/status")["dns"] == {
        "queries": [
            {"type": "A", "rcode": "REFUSED", "transport": "tcp", "count": 1},
            {"type": "TXT", "rcode": "NOERROR", "transport": "udp", "count": 2},
        ],
        "rate_limited": {"dropped": 0, "slipped": 0},
        "overflowed": 0,
        "latency": {"udp": {"mean": 1.5, "slowest": 2.0}, "tcp": {"mean": 0.0, "slowest": 0.0}},
        "rrsets": 0,
    }


@pytest.mark.parametrize("state", ["FATAL", "BACKOFF", "STOPPED", "EXITED", "UNKNOWN"])
def test_a_program_that_is_down_is_a_problem(served: Served, state: str) -> None:
    served.plane.programs.states["gateway"] = state
    found = served.client.call("GET", "/v1/status")
    assert found["healthy"] is False
    assert any(f"gateway is in {state}" in problem for problem in found["problems"])


def test_whoever_does_not_answer_is_a_problem(served: Served) -> None:
    served.plane.programs.silent = True
    served.plane.traefik.silent = True
    found = served.client.call("GET", "/v1/status")
    assert any("supervisord does not answer" in problem for problem in found["problems"])
    until(lambda: "Traefik does not answer" in str(served.client.call("GET", "/v1/status")["problems"]))


def test_a_tenants_fault_is_a_notice_and_no_problem(served: Served) -> None:
    served.plane.store.damage("bad", "half a file")
    served.plane.look()
    found = served.client.call("GET", "/v1/status")
    assert found["healthy"] is True
    assert any("in quarantine" in notice for notice in found["notices"])


def test_waiting_calls_do_not_hold_up_the_others(served: Served) -> None:
    served.plane.put(name("shop"))
    served.plane.reaches("shop", State.APPLIED)
    served.plane.traefik.freeze()
    with contextlib.closing(_UnixConnection(served.path, 10)) as waiting:
        path = "/v1/workloads/blog?wait=applied&timeout=60"
        waiting.request("PUT", path, json.dumps(BLOG), {"Content-Type": "application/json"})
        until(lambda: served.plane.applier.board.view("blog", None) is not None)
        assert len(served.client.all_workloads()) == 2
        served.plane.traefik.thaw()
        assert json.loads(waiting.getresponse().read())["state"] == "applied"


def test_the_socket_is_the_owners_alone(served: Served) -> None:
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o600


def test_another_user_is_not_served(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_CREDENTIALS", _Stranger())
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        served.raw("GET", "/v1/status")


class _Stranger:
    """Credentials of a user who is neither root nor us."""

    size = connections._CREDENTIALS.size

    def unpack(self, _: bytes) -> tuple[int, int, int]:
        return 1, os.geteuid() + 12345, 1


def test_a_socket_left_behind_is_no_obstacle_and_stopping_may_be_repeated(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "other.sock"
    path.touch()
    failures: list[BaseException] = []
    other = admin.unix(admin.application(served.plane.gateway), path)
    other.start(failures.append)
    assert path.is_socket()
    other.stop()
    other.stop()
    assert not path.exists()
    assert not failures


def test_a_socket_that_nobody_listens_on_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"does not answer at .*admin.sock.*is `gateway run` running on this root"):
        AdminClient(tmp_path).call("GET", "/v1/status")
