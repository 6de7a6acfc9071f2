"""What one workload becomes by the rules of this gateway, or why it is not let in."""

import ipaddress
from typing import Any

import pytest

from appliance.model import workloads
from appliance.model.admission import Gateway, check_free, host_of, host_or_none, route_of
from appliance.model.backends import Backend, BackendPolicy
from appliance.model.errors import Conflict, GatewayError, NoGateway, Refused
from appliance.model.resolution import Resolution
from appliance.model.workloads import Workload

OWN = frozenset({ipaddress.ip_address("203.0.113.10")})
GATEWAY = Gateway(True, OWN, ("gw.example.com", "xn--mller-kva.example"), BackendPolicy(own=OWN))
OPEN = Gateway(True, OWN, ("gw.example.com",), BackendPolicy(own=OWN, allow_hostnames=True))
NO_DOMAIN = Gateway(True, OWN, (), BackendPolicy())
NO_PUBLIC = Gateway(False, frozenset(), (), BackendPolicy())


def name(identity: str, label: str, backend: str = "http://10.1.2.3", domain: str | None = None) -> Workload:
    document = {"type": "gateway-name-proxy", "name": label, "domain": domain, "backends": [backend]}
    return workloads.parse(identity, document)


def fqdn(identity: str, host: str, backend: str = "http://10.1.2.3") -> Workload:
    return workloads.parse(identity, {"type": "gateway-fqdn-proxy", "fqdn": host, "backends": [backend]})


@pytest.mark.parametrize(
    ("workload", "gateway", "expected"),
    [
        (name("a", "blog"), GATEWAY, ("blog.gw.example.com", "gw.example.com")),
        (name("a", "blog", domain="müller.example"), GATEWAY, ("blog.xn--mller-kva.example", "xn--mller-kva.example")),
        (fqdn("a", "shop.customer.com"), GATEWAY, ("shop.customer.com", None)),
        (fqdn("a", "shop.customer.com"), NO_DOMAIN, ("shop.customer.com", None)),
        (fqdn("a", "notgw.example.com"), GATEWAY, ("notgw.example.com", None)),
        (fqdn("a", "example.com"), GATEWAY, ("example.com", None)),
    ],
)
def test_a_workload_is_for_one_host(workload: Workload, gateway: Gateway, expected: tuple[str, str | None]) -> None:
    assert host_of(workload, gateway) == expected
    assert host_or_none(workload, gateway) == expected[0]


@pytest.mark.parametrize(
    ("workload", "gateway", "kind", "message", "host"),
    [
        (name("a", "blog"), NO_PUBLIC, NoGateway, "no `public` section; add one with `ipv4` and `domains`", None),
        (fqdn("a", "a.org"), NO_PUBLIC, NoGateway, "no `public` section", "a.org"),
        (name("a", "blog"), NO_DOMAIN, NoGateway, "add one to `public.domains`, or use an FQDN proxy", None),
        (name("a", "blog", domain="other.org"), GATEWAY, Refused, "other.org is no domain of this gateway", None),
        (fqdn("a", "gw.example.com"), GATEWAY, Refused, "is or lies under .* gw.example.com", "gw.example.com"),
        (fqdn("a", "a.b.gw.example.com"), GATEWAY, Refused, "names there are name proxies", "a.b.gw.example.com"),
        (fqdn("a", "a.MÜLLER.example"), GATEWAY, Refused, "is or lies under", "a.xn--mller-kva.example"),
        (name("a", "b" * 63, domain="gw.example.com"), GATEWAY, None, "", "b" * 63 + ".gw.example.com"),
    ],
)
def test_a_host_this_gateway_does_not_serve_is_refused_with_the_mend(
    workload: Workload, gateway: Gateway, kind: type[GatewayError] | None, message: str, host: str | None
) -> None:
    if kind is not None:
        with pytest.raises(kind, match=message):
            host_of(workload, gateway)
    assert host_or_none(workload, gateway) == host


def test_a_host_that_somebody_holds_is_free_for_its_holder_alone() -> None:
    holders = {"blog.gw.example.com": "a"}
    check_free("blog.gw.example.com", "a", holders)
    check_free("other.gw.example.com", "b", holders)
    with pytest.raises(Conflict, match="held by the workload a: delete that one first, or choose another name"):
        check_free("blog.gw.example.com", "b", holders)


INSIDE = frozenset({ipaddress.ip_address("10.0.0.2"), ipaddress.ip_address("10.0.0.1")})


@pytest.mark.parametrize(
    ("resolution", "message"),
    [
        (None, "is being looked up"),
        (Resolution(frozenset(), "app.internal does not exist in the DNS"), "does not exist in the DNS"),
        (Resolution(INSIDE | {ipaddress.ip_address("169.254.169.254")}, None), r"which is 169.254.169.254.*metadata"),
        (Resolution(INSIDE | OWN, None), "the gateway's own address"),
    ],
)
def test_every_address_of_a_backends_name_is_judged(resolution: Resolution | None, message: str) -> None:
    known = {"app.internal": resolution} if resolution else {}
    with pytest.raises(Refused, match=message):
        route_of(name("a", "a", "http://app.internal:81"), OPEN, known)


def test_a_backends_name_becomes_the_addresses_that_were_judged() -> None:
    route = route_of(name("a", "a", "http://app.internal:81"), OPEN, {"app.internal": Resolution(INSIDE, None)})
    assert route.servers == (Backend("http", "10.0.0.1", 81), Backend("http", "10.0.0.2", 81))


def test_a_name_and_an_address_that_are_one_server_are_served_once() -> None:
    document: dict[str, Any] = {"type": "gateway-name-proxy", "name": "a"}
    workload = workloads.parse("a", document | {"backends": ["http://10.0.0.1:81", "http://app.internal:81"]})
    route = route_of(workload, OPEN, {"app.internal": Resolution(INSIDE, None)})
    assert [server.host for server in route.servers] == ["10.0.0.1", "10.0.0.2"]
