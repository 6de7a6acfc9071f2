"""Workloads over the admin API: versions, pages, filters, plans; and that a change is seen by whoever made it."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route

from appliance.model.standings import State
from appliance.model.zones import Zone
from tests.plane import Plane, fqdn, name
from tests.served import TcpServed

BLOG = {"type": "gateway-name-proxy", "name": "blog", "backends": ["http://10.1.2.3:9000"]}
OTHER = {**BLOG, "backends": ["http://10.1.2.4:9000"]}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcpServed]:
    plane = Plane()
    plane.start()
    with TcpServed(plane, tmp_path_factory.mktemp("tokens")).running() as served:
        yield served
    plane.stop()


@pytest.fixture
def served(port: TcpServed) -> Iterator[TcpServed]:
    yield port
    for item in port.plane.store.load():
        port.plane.gateway.delete_proxy(item.id, timeout_seconds=5)


def put(served: TcpServed, document: Any, identity: str = "blog", **headers: str) -> Any:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return served.ask("PUT", f"/v1/workloads/{identity}", served.write, document, named)


def test_a_version_changes_with_the_wish_and_not_with_the_state(served: TcpServed) -> None:
    """The same document has the same ETag, set, shown, pending or applied."""
    served.plane.traefik.freeze()
    first = put(served, BLOG)
    served.plane.traefik.thaw()
    again = served.ask("PUT", "/v1/workloads/blog?wait=applied", served.write, BLOG)
    shown = served.ask("GET", "/v1/workloads/blog", served.read)
    other = put(served, OTHER)
    assert (first.content["state"], again.content["state"]) == ("pending", "applied")
    assert first.headers["etag"] == again.headers["etag"] == shown.headers["etag"] != other.headers["etag"]


def test_a_change_on_top_of_a_stale_version_is_refused(served: TcpServed) -> None:
    """412, the workload as it was; with the present version it is taken."""
    stale = put(served, BLOG).headers["etag"]
    fresh = put(served, OTHER).headers["etag"]
    refused = put(served, BLOG, If_Match=stale)
    assert (refused.status, refused.content["title"]) == (412, "Outdated")
    assert "get it again first" in refused.content["detail"]
    assert served.ask("DELETE", "/v1/workloads/blog", served.write, headers={"If-Match": stale}).status == 412
    assert served.ask("GET", "/v1/workloads/blog", served.read).headers["etag"] == fresh
    assert put(served, BLOG, If_Match=fresh).status == 200
    assert served.ask("DELETE", "/v1/workloads/blog", served.write, headers={"If-Match": "*"}).status == 200
    assert put(served, BLOG, If_Match="*").status == 412


def test_create_only_never_replaces(served: TcpServed) -> None:
    """`If-None-Match: *`; a damaged file counts as there."""
    assert put(served, BLOG, If_None_Match="*").status == 200
    assert put(served, OTHER, If_None_Match="*").status == 412
    served.plane.store.damage("bad", "half a file")
    assert put(served, {**BLOG, "name": "bad"}, "bad", If_None_Match="*").status == 412
    assert put(served, {**BLOG, "name": "bad"}, "bad").status == 200


def test_of_two_who_change_one_version_one_wins(served: TcpServed) -> None:
    """However they race: ten at once with the same ETag, one 200 and nine 412."""
    tag = put(served, BLOG).headers["etag"]
    found: list[int] = []
    documents = [{**BLOG, "backends": [f"http://10.1.2.{number}"]} for number in range(10, 20)]
    threads = [
        threading.Thread(target=lambda one=one: found.append(put(served, one, If_Match=tag).status))
        for one in documents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200] + [412] * 9


def test_whoever_changed_it_sees_it(served: TcpServed) -> None:
    """Set and show, delete and show, without waiting in between."""
    for number in range(20):
        document = {**BLOG, "backends": [f"http://10.1.2.{number + 1}"]}
        assert put(served, document).status == 200
        assert served.ask("GET", "/v1/workloads/blog", served.read).content["backends"] == [
            f"http://10.1.2.{number + 1}:80"
        ]
        assert served.ask("DELETE", "/v1/workloads/blog", served.write).status == 200
        assert served.ask("GET", "/v1/workloads/blog", served.read).status == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["bad", "blog", "shop", "wiki"]),
        ("?state=applied", ["blog", "shop", "wiki"]),
        ("?state=quarantined", ["bad"]),
        ("?kind=gateway-fqdn-proxy", ["shop"]),
        ("?domain=gw.example.com", ["blog", "wiki"]),
        ("?domain=GW.example.com&kind=gateway-name-proxy&state=applied", ["blog", "wiki"]),
        ("?domain=other.test", ["shop"]),
        ("?state=pending", []),
    ],
)
def test_listings_are_filtered(served: TcpServed, query: str, found: list[str]) -> None:
    """By state, kind and domain, and all of them."""
    served.plane.put(name("blog"), name("wiki"), fqdn("shop", "shop.other.test"))
    served.plane.store.damage("bad", "half a file")
    served.plane.look()
    for identity in ("blog", "wiki", "shop"):
        served.plane.reaches(identity, State.APPLIED)
    answer = served.ask("GET", f"/v1/workloads{query}", served.read)
    assert [item["id"] for item in answer.content["workloads"]] == found
    assert answer.content["next"] is None


def test_listings_are_paged(served: TcpServed) -> None:
    """`next` leads from page to page until it is null."""
    served.plane.put(*(name(f"w{number:02}") for number in range(25)))
    found: list[str] = []
    page = ""
    for _ in range(4):
        answer = served.ask("GET", f"/v1/workloads?limit=10{page}", served.read).content
        found += [item["id"] for item in answer["workloads"]]
        if answer["next"] is None:
            break
        page = f"&page={answer['next']}"
    assert found == [f"w{number:02}" for number in range(25)]


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=1001", "?state=bad", "?kind=other", "?page=!", "?domain=", "?limit=1&limit=x"]
)
def test_what_a_listing_cannot_be_asked_is_told(served: TcpServed, query: str) -> None:
    """422 with the parameter's name."""
    assert served.ask("GET", f"/v1/workloads{query}", served.read).status == 422


def test_a_plan_says_what_would_be_and_changes_nothing(served: TcpServed) -> None:
    """Creations, updates, deletions, what stays, and what would be refused, by the rules of the door."""
    served.plane.put(name("blog", backend="http://10.1.2.3:9000"), name("wiki"), name("old"))
    before = served.plane.store.load()
    answer = served.ask(
        "POST",
        "/v1/workloads:plan",
        served.read,
        {
            "set": {
                "blog": BLOG,
                "wiki": {**BLOG, "name": "wiki", "backends": ["http://10.9.9.9"]},
                "new": {**BLOG, "name": "old"},
                "thief": {**BLOG, "name": "blog"},
                "loop": {**BLOG, "name": "loop", "backends": ["http://203.0.113.10"]},
                "typo": {**BLOG, "nam": "x"},
                "text": "nothing",
                "b/d": BLOG,
            },
            "delete": ["old", "nobody", "../x"],
        },
    )
    assert answer.status == 200
    assert answer.content["changes"] == [
        {"change": "create", "id": "new", "host": "old.gw.example.com"},
        {"change": "update", "id": "wiki", "host": "wiki.gw.example.com"},
        {"change": "delete", "id": "old", "host": None},
    ]
    assert answer.content["unchanged"] == ["blog"]
    refused = {item["id"]: (item["error"], item["reason"]) for item in answer.content["refused"]}
    assert {identity: error for identity, (error, _) in refused.items()} == {
        "nobody": "NotFound",
        "../x": "InvalidInput",
        "thief": "Conflict",
        "loop": "Refused",
        "typo": "InvalidInput",
        "text": "InvalidInput",
        "b/d": "InvalidInput",
    }
    assert "held by the workload blog" in refused["thief"][1]
    assert served.plane.store.load() == before


def test_a_plan_goes_in_order(served: TcpServed) -> None:
    """A host that one gives up can be had by the next, and not by the one before."""
    served.plane.put(name("a", "first"))
    moved, taker = {**BLOG, "name": "second"}, {**BLOG, "name": "first"}
    for documents, refused in (({"a": moved, "b": taker}, []), ({"b": taker, "a": moved}, ["b"])):
        answer = served.ask("POST", "/v1/workloads:plan", served.read, {"set": documents}).content
        assert [item["id"] for item in answer["refused"]] == refused


@pytest.mark.parametrize("document", [{"sett": {}}, {"set": []}, {"delete": {}}, {"delete": [1]}, [], 3])
def test_what_is_no_plan_is_told(served: TcpServed, document: Any) -> None:
    """422 with the key."""
    assert served.ask("POST", "/v1/workloads:plan", served.read, document).status == 422


def test_zones_tell_what_is_served_and_what_to_create(served: TcpServed) -> None:
    """Every RRset of a zone, in the notation of a zone file."""
    gateway = served.plane.gateway
    gateway._challenges.set_zones([Zone("_acme-challenge.gw.example.com", "gw.example.com")])
    gateway.present("_acme-challenge.gw.example.com", "value", "a test")
    (zone,) = served.ask("GET", "/v1/zones", served.read).content
    gateway.clean_up("_acme-challenge.gw.example.com", "value", "a test")
    assert zone["zone"] == "_acme-challenge.gw.example.com"
    soa, ns, txt = zone["rrsets"]
    assert soa["values"] == [f"gw.example.com. hostmaster.gw.example.com. {zone['serial']} 60 60 3600 0"]
    assert ns == {"name": zone["zone"], "type": "NS", "ttl": 60, "values": ["gw.example.com."]}
    assert txt == {"name": zone["zone"], "type": "TXT", "ttl": 0, "values": ["value"]}


def test_the_document_has_every_route_and_says_who_may(served: TcpServed) -> None:
    """What is served is documented; only health needs no token."""
    document = served.ask("GET", "/openapi.json", served.read).content
    routes = {
        (method.lower(), route.path.replace(":path", ""))
        for route in served.rooms.routes
        if isinstance(route, Route) and route.include_in_schema
        for method in route.methods or ()
    }
    documented = {(method, path) for path, item in document["paths"].items() for method in item}
    assert documented == routes
    is_open = {path for path, item in document["paths"].items() if item.get("get", {}).get("security") == []}
    assert is_open == {"/healthz", "/readyz"}


def test_the_prometheus_page_is_one(served: TcpServed) -> None:
    """Type and version as Prometheus asks for them."""
    answer = served.ask("GET", "/metrics", served.read)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE gateway_workloads gauge\n" in answer.content
