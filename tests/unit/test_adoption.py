"""Route files of the original gateway as workloads, or the reason why not."""

from typing import Any

import pytest
import yaml

from appliance.model import adoption
from appliance.model.errors import InvalidInput

DOMAINS = ("gw.example.com",)


def route(**changes: Any) -> dict[str, Any]:
    """A name proxy's file as the original wrote it, with changes to its router or (`service`) its balancer."""
    tls = {"certResolver": "dnsresolver", "domains": [{"sans": ["*.gw.example.com"]}]}
    balancer = changes.pop("balancer", {"servers": [{"url": "http://10.1.2.3:9000"}]})
    router = {"rule": "Host(`blog.gw.example.com`)", "service": "a", "tls": tls, **changes}
    return {"http": {"routers": {"b": router}, "services": {"a": {"loadbalancer": balancer}}}}


PASSED = """
tcp:
  routers: {x: {rule: HostSNI(`Own.customer.com`), service: y, tls: {passthrough: "true"}}}
  services: {y: {loadbalancer: {servers: [{address: "10.1.2.3:443"}, {address: "10.1.2.4:443"}]}}}
"""
WORKLOADS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        route(),
        {
            "type": "gateway-name-proxy",
            "name": "blog",
            "domain": "gw.example.com",
            "backends": ["http://10.1.2.3:9000"],
        },
    ),
    (
        route(rule='Host("shop.customer.com")', tls={"certResolver": "resolver"}),
        {"type": "gateway-fqdn-proxy", "fqdn": "shop.customer.com", "backends": ["http://10.1.2.3:9000"]},
    ),
    (
        yaml.safe_load(PASSED),
        {
            "type": "gateway-fqdn-proxy",
            "fqdn": "own.customer.com",
            "tls_passthrough": True,
            "backends": ["10.1.2.3:443", "10.1.2.4:443"],
        },
    ),
    (
        yaml.safe_load(PASSED.replace("Own.customer.com", "box.gw.example.com").replace('"true"', "true")),
        {
            "type": "gateway-name-proxy",
            "name": "box",
            "domain": "gw.example.com",
            "tls_passthrough": True,
            "backends": ["10.1.2.3:443", "10.1.2.4:443"],
        },
    ),
    (
        {
            "HTTP": {
                "Routers": route()["http"]["routers"],
                "SERVICES": {"a": {"loadBalancer": {"Servers": [{"URL": "http://10.1.2.3:9000/"}]}}},
            }
        },
        {
            "type": "gateway-name-proxy",
            "name": "blog",
            "domain": "gw.example.com",
            "backends": ["http://10.1.2.3:9000"],
        },
    ),
]
REFUSED: list[tuple[Any, str]] = [
    (None, "must be a mapping"),
    ({}, "0 section"),
    ({"udp": {}}, "`udp`"),
    ({**route(), "tcp": {}}, "exactly one"),
    ({"http": {**route()["http"], "middlewares": {}}}, "`middlewares`, which would be lost"),
    ({"http": {"routers": {}, "services": {}}}, "0 routers"),
    (route(middlewares=["m"]), "`middlewares`, which would be lost"),
    (route(rule="Host(`a.b`) || Host(`c.d`)"), "single host"),
    (route(rule="HostRegexp(`.*`)"), "single host"),
    (route(rule=None), "single host"),
    (route(rule="Host(`a.blog.gw.example.com`)"), "no name directly below"),
    (route(rule="Host(`gw.example.com`)"), "no name directly below"),
    (route(rule="Host(`10.1.2.3`)"), "ends in a number"),
    (route(service="other"), "the service is 'a'"),
    (route(tls={"passthrough": True}), "passes on"),
    (route(balancer={"servers": [], "sticky": {}}), "`sticky`"),
    (route(balancer={"servers": []}), "at least one backend"),
    (route(balancer={"servers": [{"url": "http://example.com/path"}]}), "path"),
    ({"http": {"routers": {"b": {"rule": "Host(`a.b`)", "service": "a"}}, "services": {"a": {}}}}, "no `tls`"),
]


@pytest.mark.parametrize(("document", "expected"), WORKLOADS)
def test_an_original_file_becomes_the_workload_it_was_written_for(document: Any, expected: dict[str, Any]) -> None:
    found = adoption.workload("37-2039-x", document, DOMAINS)
    assert found.document() == {"tls_passthrough": False, **expected}
    assert found.id == "37-2039-x"


@pytest.mark.parametrize(("document", "words"), REFUSED)
def test_what_is_no_workload_is_refused_with_the_reason(document: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        adoption.workload("37-2039-x", document, DOMAINS)
    assert words in str(caught.value)


def test_the_gateway_domains_are_read_from_wildcard_certificates() -> None:
    assert adoption.gateway_domains([route(), yaml.safe_load(PASSED), None, InvalidInput("x")]) == {"gw.example.com"}
