"""Routes into Traefik's dynamic configuration, and what Traefik's API must then report.

The documented form: one file a workload, router `<id>-route`, service `<id>`. Nothing a tenant wrote is passed on as
text: ids, hosts and addresses have been validated character by character before they arrive here, and the one place
that writes a rule checks it again, since Traefik reads these files as templates.

Every file ends with a seal, a comment with the digest of what stands above it. Whoever starts Traefik can so tell the
appliance's own, whole files from foreign or damaged ones without asking anybody: one bad file would freeze them all.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from appliance.model.admission import Route

HTTP_RESOLVER = "resolver"
DNS_RESOLVER = "dnsresolver"

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_SAFE_HOST = re.compile(r"[a-z0-9.-]+")
_SEAL = "# Written by the gateway appliance; do not edit. sha256:"


@dataclass(frozen=True, slots=True)
class Decision:
    """A route, and whether a certificate is ordered for it.

    Without an order the certificate resolver is left out: Traefik serves the route with what it has and orders nothing
    (it orders for every router that names a resolver, at every reload).
    """

    route: Route
    orders_certificate: bool


def file_name(identity: str) -> str:
    """The file in `proxy/` of a workload in the documented layout."""
    return f"{identity}.yaml"


def router_name(identity: str) -> str:
    """The router of a workload."""
    return f"{identity}-route"


def document(decision: Decision) -> dict[str, Any]:
    """The dynamic configuration of one route in the documented form."""
    route = decision.route
    if route.workload.tls_passthrough:
        return {"tcp": {"routers": {router_name(route.id): tcp_router(route)}, "services": {route.id: service(route)}}}
    section = {
        "routers": {router_name(route.id): {**http_router(route), "tls": tls(decision)}},
        "services": {route.id: service(route)},
    }
    transports = servers_transports(route)
    return {"http": {**section, **({"serversTransports": transports} if transports else {})}}


def text(content: Mapping[str, Any]) -> str:
    """A document as sealed text."""
    return sealed(yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000))


def sealed(body: str) -> str:
    """A document's text with its seal; `body` ends with a line break."""
    return f"{body}{_SEAL}{_digest(body)}\n"


def is_sealed(content: str) -> bool:
    """Whether `content` is whole and as this appliance wrote it."""
    body, found, digest = content.rpartition(_SEAL)
    return bool(found) and digest == _digest(body) + "\n"


def http_router(route: Route) -> dict[str, Any]:
    """An HTTP router without its TLS settings."""
    return {"rule": f"Host(`{safe(route.host)}`)", "service": route.id}


def tcp_router(route: Route) -> dict[str, Any]:
    """A TCP router that passes TLS through."""
    return {"rule": f"HostSNI(`{safe(route.host)}`)", "service": route.id, "tls": {"passthrough": True}}


def tls(decision: Decision) -> dict[str, Any]:
    """The TLS settings of a route that Traefik terminates: its certificate, if one is ordered."""
    if not decision.orders_certificate:
        return {}
    if decision.route.domain is None:
        return {"certResolver": HTTP_RESOLVER}
    return domain_tls(decision.route.domain)


def domain_tls(domain: str) -> dict[str, Any]:
    """The TLS settings of everything under a gateway domain: one certificate, for the apex and the wildcard."""
    return {"certResolver": DNS_RESOLVER, "domains": [{"main": safe(domain), "sans": [f"*.{domain}"]}]}


def service(route: Route) -> dict[str, Any]:
    """The service of a route, of either protocol."""
    if route.workload.tls_passthrough:
        return {"loadBalancer": {"servers": [{"address": server.socket_address} for server in route.servers]}}
    balancer: dict[str, Any] = {"servers": [{"url": str(server)} for server in route.servers]}
    if servers_transports(route):
        balancer["serversTransport"] = route.id
    return {"loadBalancer": balancer}


def servers_transports(route: Route) -> dict[str, Any]:
    """How the gateway speaks TLS to a route's backends; empty where it does not.

    Backends carry certificates of their own making: the gateway encrypts to them and does not judge them.
    """
    if route.workload.tls_passthrough or all(server.scheme != "https" for server in route.servers):
        return {}
    return {route.id: {"insecureSkipVerify": True}}


def safe(host: str) -> str:
    """`host`, once more checked before it goes into a rule: these files are templates to Traefik."""
    if not _SAFE_HOST.fullmatch(host):
        raise AssertionError(f"a host that was never validated reached the renderer: {host!r}")
    return host


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
