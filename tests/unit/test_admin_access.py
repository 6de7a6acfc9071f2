"""Who may do what over TCP: without a token nothing, with one that reads no change, and every change has an actor."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.model.standings import State
from appliance.model.throttles import Throttle
from appliance.model.tokens import Role
from tests.fakes import until
from tests.plane import Plane, name
from tests.served import TcpServed

BLOG = {"type": "gateway-name-proxy", "name": "blog", "backends": ["http://10.1.2.3:9000"]}
METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "MADEUP")
OPEN = {"/healthz", "/readyz", "/"}
BODIES: dict[str, Any] = {"PUT": BLOG, "POST": {"set": {"new": BLOG}, "delete": ["wiki"]}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcpServed]:
    plane = Plane()
    plane.start()
    plane.put(name("wiki"))
    until(lambda: plane.orders("wiki"))
    plane.reaches("wiki", State.APPLIED)  # from here on nothing changes by itself
    with TcpServed(plane, tmp_path_factory.mktemp("tokens")).running() as served:
        yield served
    plane.stop()


def everything(served: TcpServed) -> object:
    """All that a caller could have changed."""
    plane = served.plane
    return plane.store.load(), dict(plane.accepted.known), dict(plane.files.files), plane.authority.values


def paths(served: TcpServed) -> list[str]:
    """Every path of the document, with a workload for its parameter, and some that are none."""
    found = [path.replace("{wlID}", "wiki") for path in served.rooms.openapi()["paths"]]
    assert len(found) >= 14
    return [path for path in found if path != "/v1/events"] + ["/", "/v1/workloads/", "/v1//workloads/wiki", "/nothing"]


def test_without_a_token_nothing_is_told_or_changed(served: TcpServed) -> None:
    """Every path of the document with every method; only health is told, no more of it than yes or no, and the empty
    page of the dashboard."""
    before = everything(served)
    for path in paths(served):
        for method in METHODS:
            for token in (None, "", "gwt_" + "A" * 43, served.read[:-1], f"{served.write} x"):
                reply = served.ask(method, path, token, BODIES.get(method))
                if path in OPEN and method == "GET":
                    assert reply.status in {200, 503}
                    continue
                if path in OPEN and method in {"HEAD", "OPTIONS"}:
                    assert reply.status == 405
                    continue
                assert reply.status == 401, (method, path, reply)
                assert reply.headers["www-authenticate"].startswith("Bearer")
                assert "gateway token new" in (reply.content["detail"] if method != "HEAD" else "gateway token new")
    assert everything(served) == before


def test_a_token_that_reads_changes_nothing(served: TcpServed) -> None:
    """Every path of the document with every method that could; what only plans is answered."""
    before = everything(served)
    for path in paths(served):
        for method in METHODS:
            reply = served.ask(method, path, served.read, BODIES.get(method))
            if method in {"GET", "HEAD", "OPTIONS"} or (method, path) == ("POST", "/v1/workloads:plan"):
                assert reply.status != 403, (method, path)
            else:
                assert reply.status == 403, (method, path, reply)
                assert "may only read" in reply.content["detail"]
    assert everything(served) == before


def test_a_token_that_writes_does(served: TcpServed) -> None:
    """The same calls, and they count."""
    reply = served.ask("PUT", "/v1/workloads/blog?wait=applied", served.write, BLOG)
    assert (reply.status, reply.content["state"]) == (200, "applied")
    reply = served.ask("DELETE", "/v1/workloads/blog?wait=applied", served.write)
    assert (reply.status, reply.content["gone"]) == (200, True)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
def test_the_schemes_case_does_not_matter(served: TcpServed, scheme: str) -> None:
    """RFC 9110 §11.1."""
    reply = served.ask("GET", "/v1/status", headers={"Authorization": f"{scheme} {served.read}"})
    assert reply.status == 200


@pytest.mark.parametrize("header", ["Basic Z3d0Og==", "Bearer", "{token}", "Token {token}", "Bearer{token}"])
def test_anything_else_is_no_token(served: TcpServed, header: str) -> None:
    """Nor one with another scheme before it."""
    reply = served.ask("GET", "/v1/status", headers={"Authorization": header.format(token=served.read)})
    assert reply.status == 401


def test_tokens_rotate_without_a_restart(served: TcpServed) -> None:
    """A new one is good at once, a revoked one is not."""
    text = served.tokens.create("short-lived", Role.READ)
    assert served.ask("GET", "/v1/zones", text).status == 200
    served.tokens.revoke("short-lived")
    assert served.ask("GET", "/v1/zones", text).status == 401


def test_a_token_file_that_others_can_read_lets_nobody_in(served: TcpServed, tmp_path: Path) -> None:
    """And says so without naming a path to strangers."""
    path = served.tokens._path
    path.chmod(0o644)
    try:
        reply = served.ask("GET", "/v1/status", served.write)
    finally:
        path.chmod(0o600)
    assert reply.status == 503
    assert str(path) not in reply.content["detail"]
    assert served.ask("GET", "/v1/status", served.write).status == 200


def test_failures_are_braked_and_the_right_token_is_not(tmp_path: Path) -> None:
    """Ten wrong ones, then 429 with the pause; a valid token from the same address is let in all the while."""
    plane = Plane()
    plane.start()
    with TcpServed(plane, tmp_path, Throttle()).running() as served:
        found = [served.ask("GET", "/v1/status", "gwt_wrong") for _ in range(15)]
        assert [reply.status for reply in found] == [401] * 10 + [429] * 5
        assert 1 <= int(found[-1].headers["retry-after"]) <= 12
        assert served.ask("GET", "/v1/status", served.read).status == 200
    plane.stop()


def test_every_change_is_logged_with_its_actor(served: TcpServed, caplog: pytest.LogCaptureFixture) -> None:
    """Done or refused; a look and a plan are no change."""
    caplog.set_level(logging.INFO, "appliance.adapters.admin.guard")
    served.ask("PUT", "/v1/workloads/audited", served.write, {**BLOG, "name": "audited"}, {"X-Request-ID": "abc-1"})
    served.ask("PUT", "/v1/workloads/audited", served.write, {})
    served.ask("GET", "/v1/workloads/audited", served.write)
    served.ask("POST", "/v1/workloads:plan", served.read, {})
    lines = [record.fields for record in caplog.records if record.message == "admin change"]  # type: ignore[attr-defined]
    assert [(line["actor"], line["method"], line["status"]) for line in lines] == [
        ("token writer", "PUT", 200),
        ("token writer", "PUT", 422),
    ]
    assert lines[0]["path"] == "/v1/workloads/audited"
    assert lines[0]["request"] == "abc-1"
    assert served.write not in caplog.text
    served.ask("DELETE", "/v1/workloads/audited?wait=applied", served.write)


def test_readiness_names_no_problem_to_strangers(served: TcpServed) -> None:
    """A load balancer needs no more than yes or no."""
    served.plane.programs.states["traefik"] = "FATAL"
    try:
        until(lambda: served.ask("GET", "/readyz").status == 503)
        stranger, known = served.ask("GET", "/readyz"), served.ask("GET", "/readyz", served.read)
    finally:
        served.plane.programs.states["traefik"] = "RUNNING"
    until(lambda: served.ask("GET", "/readyz").status == 200)
    assert (stranger.status, known.status) == (503, 503)
    assert "traefik" not in stranger.content["detail"]
    assert "the program traefik is in FATAL" in known.content["detail"]
    assert served.ask("GET", "/readyz").content == {"ready": True}
    assert served.ask("GET", "/healthz").content == {"alive": True}
