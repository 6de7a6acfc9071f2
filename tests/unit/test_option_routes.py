"""Options on their way to Traefik: which files they become, and when they count as applied."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.control.routes import Routes
from appliance.model import admission, workloads
from appliance.model.admission import Gateway, Route
from appliance.model.backends import BackendPolicy
from appliance.model.errors import InvalidInput, Refused
from appliance.model.plans import Create
from appliance.model.workloads import Workload
from appliance.render import balancing, layouts, middlewares
from appliance.render.dynamic import Decision
from appliance.render.expectations import expectation, parent_name
from appliance.render.layouts import Documented, Layout, Tree
from tests.fakes import FakeRouteFiles, FakeTraefik
from tests.plane import Plane

OWN = frozenset({ipaddress.ip_address("203.0.113.10")})
GATEWAY = Gateway(True, OWN, ("gw.example.com",), BackendPolicy(own=OWN))
ANN = "ann:{SHA}L55TUjtiq8FBorTWAZ0jy6g129A="
BOB = "bob:$apr1$a/b.c9$AkpUGPsD2wnvPfAc4KuNt/"
DOCUMENT: dict[str, Any] = {"type": "gateway-name-proxy", "name": "blog", "backends": ["http://10.1.2.3"]}
LAYOUTS = pytest.mark.parametrize("layout", [Documented, Tree])


def workload(identity: str = "blog", *, backend: str = "https://10.1.2.3", **options: Any) -> Workload:
    document = {"type": "gateway-name-proxy", "name": identity, "backends": [backend], "options": options}
    return workloads.parse(identity, document | {"tls_passthrough": "//" not in backend})


def decision(identity: str = "blog", *, backend: str = "https://10.1.2.3", **options: Any) -> Decision:
    route = admission.route_of(workload(identity, backend=backend, **options), GATEWAY, {})
    return Decision(route, orders_certificate=True)


def missing(written: Decision, expected: Decision, layout: Layout) -> str | None:
    """What Traefik, serving one version, lacks of another."""
    files = FakeRouteFiles()
    files.files = {name: text for name, text in layout.update({written.route.id: written}).items() if text}
    traefik, wanted = FakeTraefik(files), expectation(expected)
    router = traefik.router(wanted.protocol, wanted.router_name)
    above = parent_name(router) if router else None
    parent = traefik.router(wanted.protocol, above) if above else None
    return wanted.unmet(router, traefik.service(wanted.protocol, wanted.service_name), parent)


VERSIONS: list[tuple[dict[str, Any], str]] = [
    ({"ip_allow": ["10.0.0.0/8"]}, "other middlewares"),
    ({"ip_allow": ["10.0.0.0/9"]}, "other middlewares"),
    ({"rate_limit": {"average": 5}}, "other middlewares"),
    ({"rate_limit": {"average": 5, "burst": 6}}, "other middlewares"),
    ({"basic_auth": [ANN]}, "other middlewares"),
    ({"basic_auth": [BOB]}, "other middlewares"),
    ({"hsts": True}, "other middlewares"),
    ({"hsts": {"max_age": 5}}, "other middlewares"),
    ({"compress": True}, "other middlewares"),
    ({"max_body_bytes": 5}, "other middlewares"),
    ({"redirect_to": "www.example.com"}, "other middlewares"),
    ({"redirect_to": "https://www.example.com/"}, "other middlewares"),
    ({"sticky": True}, "another cookie"),
    ({"sticky": "seat"}, "another cookie"),
    ({"health_check": {"path": "/up"}}, "another health check"),
    ({"health_check": {"path": "/up", "status": 204}}, "another health check"),
    ({"backend_tls": {"verify": True}}, "another transport"),
    ({"backend_tls": {"verify": True, "server_name": "a.b"}}, "another transport"),
    ({"timeouts": {"connect": "1s"}}, "another transport"),
    ({"timeouts": {"connect": "2s"}}, "another transport"),
]


@LAYOUTS
@pytest.mark.parametrize(("options", "reason"), VERSIONS)
def test_an_option_counts_as_applied_when_traefik_has_this_very_version(
    options: dict[str, Any], reason: str, layout: type[Layout]
) -> None:
    new, bare = decision(**options), decision()
    assert missing(new, new, layout()) is None
    assert reason in str(missing(bare, new, layout()))
    assert reason in str(missing(new, bare, layout()))
    for other, _ in VERSIONS:
        assert (missing(decision(**other), new, layout()) is None) == (other == options), other


@LAYOUTS
def test_options_of_passthrough_count_too(layout: type[Layout]) -> None:
    raw = {"backend": "10.1.2.3:443"}
    new = decision(**raw, ip_allow=["10.0.0.0/8"], timeouts={"connect": "1s"}, health_check={"interval": 5})
    assert missing(new, new, layout()) is None
    assert "other middlewares" in str(missing(decision(**raw), new, layout()))
    assert "health check" in str(missing(decision(**raw), decision(**raw, health_check={"interval": 5}), layout()))


def test_no_workload_can_have_a_name_that_belongs_to_another() -> None:
    options: dict[str, Any] = {"hsts": True, "compress": True, "ip_allow": ["10.0.0.0/8"], "timeouts": {"connect": 1}}
    names: list[str] = []
    for identity in ("a", "a-hsts", "a_hsts", "A", "a-hsts-5b100be2"):
        route = Route(workloads.parse(identity, DOCUMENT | {"options": options}), "blog.gw.example.com", None, ())
        names += [*middlewares.http(route), *balancing.transports(route)]
    assert len(set(names)) == len(names) == 5 * 4
    for name in names:
        with pytest.raises(InvalidInput):
            workloads.workload_id(name)


@LAYOUTS
def test_password_lines_are_in_a_file_of_their_own_that_goes_with_them(layout: type[Layout]) -> None:
    chosen = layout()
    first = chosen.update({"blog": decision(basic_auth=[ANN])})
    assert str(first["blog.users"]).startswith(f"{ANN}\n# ")
    assert [name for name, text in first.items() if ANN in str(text)] == ["blog.users"]
    second = chosen.update({"blog": decision(basic_auth=[BOB, ANN])})
    assert str(second["blog.users"]).startswith(f"{BOB}\n{ANN}\n# ")
    assert chosen.files()["blog.users"] == second["blog.users"]
    assert chosen.update({"blog": decision()})["blog.users"] is None
    assert "blog.users" not in chosen.files()
    chosen.update({"blog": decision(basic_auth=[ANN])})
    assert chosen.update({"blog": None})["blog.users"] is None


def test_password_lines_are_there_before_the_route_that_asks_for_them() -> None:
    files = FakeRouteFiles()
    Routes(files).write({"blog": decision(basic_auth=[ANN])})
    (plan,) = files.plans
    assert [(type(change), change.name) for change in plan] == [(Create, "blog.users"), (Create, "blog.yaml")]
    assert files.aside == []


def test_password_lines_stay_while_the_layout_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "TREE_FROM", 2)
    files = FakeRouteFiles()
    routes = Routes(files)
    routes.write({"blog": decision(basic_auth=[ANN])})
    routes.write({"shop": decision("shop")})
    assert sorted(files.files) == ["blog.users", "~tree.yaml"]
    assert "blog.users" not in [change.name for change in files.plans[-1]]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (100, "100ms"),
        (1000, "1s"),
        (1500, "1.5s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (90_250, "1m30.25s"),
        (3_600_000, "1h0m0s"),
        (3_661_000, "1h1m1s"),
    ],
)
def test_durations_are_written_as_traefik_writes_them(milliseconds: int, text: str) -> None:
    assert balancing.duration(milliseconds) == text


def test_a_redirect_to_its_own_host_is_refused_at_the_door_and_in_a_file() -> None:
    loop = workload(redirect_to="https://blog.gw.example.com/new")
    for judge in (admission.route_of, admission.check_at_the_door):
        with pytest.raises(Refused, match=r"`options.redirect_to` leads to blog.gw.example.com"):
            judge(loop, GATEWAY, {})


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane()
    plane.start()
    yield plane
    plane.stop()


def options_of(plane: Plane) -> dict[str, Any]:
    """What the workload's file says."""
    content = plane.store.read(["blog"])["blog"]
    assert content is not None
    assert isinstance(content.content, Workload)
    return content.content.options.document()


def test_who_says_nothing_of_options_keeps_them(plane: Plane) -> None:
    kept = {"basic_auth": [ANN], "compress": True}
    plane.gateway.set_workload("blog", DOCUMENT | {"options": kept})
    plane.gateway.set_named_proxy("blog", "blog", ["http://10.1.2.9"])
    assert options_of(plane) == kept
    plane.gateway.set_workload("blog", DOCUMENT | {"options": None})
    assert options_of(plane) == kept
    plane.gateway.set_workload("blog", DOCUMENT | {"options": {"compress": True}})
    assert options_of(plane) == {"compress": True}
    plane.gateway.set_workload("blog", DOCUMENT | {"options": {}})
    assert options_of(plane) == {}


def test_options_are_kept_although_the_file_is_damaged(plane: Plane) -> None:
    plane.gateway.set_workload("blog", DOCUMENT | {"options": {"basic_auth": [ANN]}}, 10)
    plane.store.damage("blog", "half a file")
    plane.look()
    plane.gateway.set_named_proxy("blog", "blog", ["http://10.1.2.9"])
    assert options_of(plane) == {"basic_auth": [ANN]}


def test_options_that_do_not_go_with_a_change_are_told_and_nothing_is_written(plane: Plane) -> None:
    plane.gateway.set_workload("blog", DOCUMENT | {"options": {"compress": True}})
    with pytest.raises(InvalidInput, match="present options do not go with this: `options"):
        plane.gateway.set_named_proxy("blog", "blog", ["10.1.2.9:443"], tls_passthrough=True)
    assert options_of(plane) == {"compress": True}


def test_a_deleted_workloads_options_are_forgotten(plane: Plane) -> None:
    plane.gateway.set_workload("blog", DOCUMENT | {"options": {"basic_auth": [ANN]}}, 10)
    plane.gateway.delete_proxy("blog")
    plane.gateway.set_workload("blog", DOCUMENT)
    assert options_of(plane) == {}


def test_what_is_shown_has_no_secrets(plane: Plane) -> None:
    shown = plane.gateway.set_workload("blog", DOCUMENT | {"options": {"basic_auth": [ANN], "hsts": True}}, 10)
    told = [shown, plane.gateway.workload("blog"), *plane.gateway.workloads()]
    assert [view.document()["options"]["basic_auth"] for view in told] == [{"users": 1}] * 3
    assert "L55TUjtiq8" not in repr(told)
