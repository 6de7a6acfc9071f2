"""What Traefik's API must report once a route is live, however the route was laid out in files.

A router carries its TLS itself or has it from a parent (https://doc.traefik.io/traefik/routing/routers/, multi-layer
routing). What counts is the same for both: the rule, the service, its servers, and which certificate is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.render import dynamic
from appliance.render.dynamic import Decision

Found = Mapping[str, Any] | None
"""What the API answered; None: there is no such thing."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One route as the API must report it. Keys that Traefik adds are its own business."""

    protocol: str
    """`http` or `tcp`: the part of the API the router and the service are found under."""
    router_name: str
    service_name: str
    router: Mapping[str, Any]
    host: str
    servers: tuple[Mapping[str, str], ...]
    servers_transport: str | None

    def unmet(self, router: Found, service: Found, parent: Found) -> str | None:
        """None when Traefik reports this route as it was rendered, else what is still missing."""
        if router is None:
            return "Traefik does not have the router yet"
        if service is None:
            return "Traefik does not have the service yet"
        if parent_name(router) is not None and parent is None:
            return "Traefik does not have the router above it yet"
        for key in ("rule", "service"):
            if router.get(key) != self.router[key]:
                return f"Traefik still has another {key} for the router"
        if not self._has_tls((parent or router).get("tls"), is_shared=parent is not None):
            return "Traefik still has other TLS settings for the router"
        balancer = service.get("loadBalancer", {})
        if tuple(balancer.get("servers") or ()) != self.servers:
            return "Traefik still has other servers for the service"
        if balancer.get("serversTransport") != self.servers_transport:
            return "Traefik still has another transport for the service"
        return None

    def _has_tls(self, reported: Any, *, is_shared: bool) -> bool:
        """Whether the certificate asked for is the one that was rendered. A parent's TLS is shared with others."""
        if not isinstance(reported, Mapping):
            return False
        wanted = self.router["tls"]
        if wanted.get("passthrough"):
            return bool(reported.get("passthrough"))
        domains = [item.get("main") for item in reported.get("domains") or ()]
        if "certResolver" not in wanted:
            return "certResolver" not in reported or (is_shared and self.host not in domains)
        asked_for = wanted["domains"][0]["main"] if "domains" in wanted else self.host
        is_named = asked_for in domains or (not is_shared and "domains" not in wanted)
        return bool(reported.get("certResolver") == wanted["certResolver"] and is_named)


def expectation(decision: Decision) -> Expectation:
    """What the API must report of a route that was rendered by `decision`."""
    protocol, section = next(iter(dynamic.document(decision).items()))
    identity = decision.route.id
    balancer = section["services"][identity]["loadBalancer"]
    transport = balancer.get("serversTransport")
    return Expectation(
        protocol=protocol,
        router_name=f"{dynamic.router_name(identity)}@file",
        service_name=f"{identity}@file",
        router=section["routers"][dynamic.router_name(identity)],
        host=decision.route.host,
        servers=tuple(balancer["servers"]),
        servers_transport=f"{transport}@file" if transport else None,
    )


def parent_name(router: Mapping[str, Any]) -> str | None:
    """The router above a reported one, by the name the API knows it by."""
    parents = router.get("parentRefs") or ()
    return str(parents[0]) if parents else None


def rejection(found: Found) -> str | None:
    """Traefik's own words when it has this very router or service and will not use it, else None."""
    if found is None or found.get("status") == "enabled":
        return None
    return "; ".join(map(str, found.get("error") or [])) or "it is disabled without a reason given"
