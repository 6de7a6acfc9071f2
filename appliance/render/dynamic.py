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
class Expectation:
    """What Traefik's API reports once a route is live: compared key by key, extra keys of Traefik's are its own."""

    protocol: str
    """`http` or `tcp`: the part of the API the router and the service are found under."""
    router_name: str
    service_name: str
    router: Mapping[str, Any]
    servers: tuple[Mapping[str, str], ...]
    servers_transport: str | None

    def unmet(self, router: Mapping[str, Any] | None, service: Mapping[str, Any] | None) -> str | None:
        """None when Traefik reports this route as it was rendered, else what is still missing."""
        if router is None:
            return "Traefik does not have the router yet"
        if service is None:
            return "Traefik does not have the service yet"
        for key, value in self.router.items():
            if not _contains(router.get(key), value):
                return f"Traefik still has another {key} for the router"
        balancer = service.get("loadBalancer", {})
        if tuple(balancer.get("servers") or ()) != self.servers:
            return "Traefik still has other servers for the service"
        if balancer.get("serversTransport") != self.servers_transport:
            return "Traefik still has another transport for the service"
        return None

    def rejection(self, router: Mapping[str, Any] | None) -> str | None:
        """Traefik's own words when it has this very router and will not serve it, else None."""
        if router is None or router.get("status") == "enabled":
            return None
        return "; ".join(map(str, router.get("error") or [])) or "the router is disabled without a reason given"


def file_name(identity: str) -> str:
    """The file in `proxy/` of a workload in the documented layout."""
    return f"{identity}.yaml"


def document(route: Route, *, orders_certificate: bool) -> dict[str, Any]:
    """The dynamic configuration of one route.

    `orders_certificate` false leaves the certificate resolver out, so Traefik serves the route with what it has and
    orders nothing (Traefik orders for every router that names a resolver, at every reload).
    """
    if route.workload.tls_passthrough:
        return _tcp(route)
    return _http(route, orders_certificate=orders_certificate)


def text(content: Mapping[str, Any]) -> str:
    """A document as sealed text."""
    body = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000)
    return f"{body}{_SEAL}{_digest(body)}\n"


def is_sealed(content: str) -> bool:
    """Whether `content` is whole and as this appliance wrote it."""
    body, found, digest = content.rpartition(_SEAL)
    return bool(found) and digest == _digest(body) + "\n"


def expectation(route: Route, *, orders_certificate: bool) -> Expectation:
    """What the API must report for `document(route, ...)`."""
    content = document(route, orders_certificate=orders_certificate)
    protocol, section = next(iter(content.items()))
    router = section["routers"][f"{route.id}-route"]
    balancer = section["services"][route.id]["loadBalancer"]
    transport = balancer.get("serversTransport")
    return Expectation(
        protocol=protocol,
        router_name=f"{route.id}-route@file",
        service_name=f"{route.id}@file",
        router=router,
        servers=tuple(balancer["servers"]),
        servers_transport=f"{transport}@file" if transport else None,
    )


def _http(route: Route, *, orders_certificate: bool) -> dict[str, Any]:
    balancer: dict[str, Any] = {"servers": [{"url": str(server)} for server in route.servers]}
    section: dict[str, Any] = {
        "routers": {
            f"{route.id}-route": {
                "rule": f"Host(`{_safe(route.host)}`)",
                "service": route.id,
                "tls": _tls(route) if orders_certificate else {},
            }
        },
        "services": {route.id: {"loadBalancer": balancer}},
    }
    if any(server.scheme == "https" for server in route.servers):
        # Backends carry certificates of their own making: the gateway encrypts to them and does not judge them.
        balancer["serversTransport"] = route.id
        section["serversTransports"] = {route.id: {"insecureSkipVerify": True}}
    return {"http": section}


def _tls(route: Route) -> dict[str, Any]:
    if route.domain is None:
        return {"certResolver": HTTP_RESOLVER}
    domain = _safe(route.domain)
    return {"certResolver": DNS_RESOLVER, "domains": [{"main": domain, "sans": [f"*.{domain}"]}]}


def _tcp(route: Route) -> dict[str, Any]:
    servers = [{"address": server.socket_address} for server in route.servers]
    return {
        "tcp": {
            "routers": {
                f"{route.id}-route": {
                    "rule": f"HostSNI(`{_safe(route.host)}`)",
                    "service": route.id,
                    "tls": {"passthrough": True},
                }
            },
            "services": {route.id: {"loadBalancer": {"servers": servers}}},
        }
    }


def _safe(host: str) -> str:
    if not _SAFE_HOST.fullmatch(host):
        raise AssertionError(f"a host that was never validated reached the renderer: {host!r}")
    return host


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _contains(reported: Any, rendered: Any) -> bool:
    """Whether what Traefik reports holds what was rendered; Traefik adds its defaults to mappings."""
    if isinstance(rendered, Mapping):
        if not isinstance(reported, Mapping) or ("certResolver" in reported and "certResolver" not in rendered):
            return False
        return all(_contains(reported.get(key), value) for key, value in rendered.items())
    return bool(reported == rendered)
