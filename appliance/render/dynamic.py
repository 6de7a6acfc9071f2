"""Routes into Traefik's dynamic configuration, and what Traefik's API must then report.

The documented form: one file a workload, router `<id>-route`, service `<id>`; a second file holds the password lines
of a workload that has any. Nothing a tenant wrote is passed on as
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
from appliance.render import balancing, middlewares

ENTRY_POINT_HTTP = "web"
ENTRY_POINT_HTTPS = "web-secure"
HTTP_RESOLVER = "resolver"
DNS_RESOLVER = "dnsresolver"

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_SAFE_HOST = re.compile(r"[a-z0-9.-]+")
LARGEST_FILE_BYTES = 16 * 1024 * 1024
"""More than any file has that is rendered here; a larger one is foreign."""
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
    is_tcp = route.workload.tls_passthrough
    router = tcp_router(route) if is_tcp else {**http_router(route), "tls": tls(decision)}
    section = {
        "routers": {router_name(route.id): router},
        "middlewares": (middlewares.tcp if is_tcp else middlewares.http)(route),
        "services": {route.id: balancing.service(route)},
        "serversTransports": balancing.transports(route),
    }
    # Traefik takes an empty section for an error.
    return {"tcp" if is_tcp else "http": {name: content for name, content in section.items() if content}}


def files(decision: Decision) -> dict[str, str]:
    """The files of one route in the documented form, by name."""
    route_file = {file_name(decision.route.id): text(document(decision))}
    return route_file | users_files(decision.route)


def users_files(route: Route) -> dict[str, str]:
    """The file with a route's password lines, by name; none where there are none."""
    lines = middlewares.users(route)
    return {middlewares.users_file(route.id): sealed(lines)} if lines is not None else {}


def text(content: Mapping[str, Any]) -> str:
    """A document as sealed text."""
    return sealed(yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000))


def sealed(body: str) -> str:
    """A document's text with its seal; `body` ends with a line break."""
    if "{{" in body:
        raise AssertionError("a text that Traefik would take for a template reached the renderer")
    return f"{body}{_SEAL}{_digest(body)}\n"


def is_sealed(content: str) -> bool:
    """Whether `content` is whole and as this appliance wrote it."""
    body, found, digest = content.rpartition(_SEAL)
    return bool(found) and digest == _digest(body) + "\n"


def http_router(route: Route) -> dict[str, Any]:
    """An HTTP router without its TLS settings."""
    return {"rule": f"Host(`{safe(route.host)}`)", "service": route.id, **_using(middlewares.http(route))}


def tcp_router(route: Route) -> dict[str, Any]:
    """A TCP router that passes TLS through.

    On one entry point: Traefik builds the service of a TCP router anew for each of them, and tells the results of
    health checks to the one that it built last, which need not be the one that has the connections.
    """
    rule, used = f"HostSNI(`{safe(route.host)}`)", _using(middlewares.tcp(route))
    points = [ENTRY_POINT_HTTPS]
    return {"entryPoints": points, "rule": rule, "service": route.id, **used, "tls": {"passthrough": True}}


def _using(found: middlewares.Middlewares) -> dict[str, list[str]]:
    return {"middlewares": list(found)} if found else {}


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


def safe(host: str) -> str:
    """`host`, once more checked before it goes into a rule: these files are templates to Traefik."""
    if not _SAFE_HOST.fullmatch(host):
        raise AssertionError(f"a host that was never validated reached the renderer: {host!r}")
    return host


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
