"""What Traefik's API must report once a route is live, however the route was laid out in files.

A router carries its TLS itself or has it from a parent (https://doc.traefik.io/traefik/routing/routers/, multi-layer
routing). What counts is the same for both: the rule, the middlewares, the service with its servers and options, and
which certificate is asked for. Names of middlewares and transports carry a digest of their content (see
`render.middlewares`), so to compare the names is to compare the content.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.render import dynamic
from appliance.render.dynamic import Decision

_BALANCER_OPTIONS = {"serversTransport": "transport", "healthCheck": "health check", "sticky": "cookie"}
"""What the API calls the options of a load balancer that this project sets -> what people call it."""

_WITHOUT_DEFAULT = frozenset({"status"})
"""What Traefik reports only where it is set: there, where it is not wanted, it is of an earlier version."""

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
    middlewares: tuple[str, ...]
    servers: tuple[Mapping[str, str], ...]
    balancer: Mapping[str, Any]
    """The load balancer's options, of which the API must report each, and none besides these kinds."""

    def unmet(self, router: Found, service: Found, parent: Found) -> str | None:
        """None when Traefik reports this route as it was rendered, else what is still missing."""
        if router is None:
            return "Traefik does not have the router yet"
        if service is None:
            return "Traefik does not have the service yet"
        if parent_name(router) is not None and parent is None:
            return "Traefik does not have the router above it yet"
        differing = self._differing_router(router, parent) or self._differing_service(service)
        return f"Traefik still has {differing}" if differing else None

    def _differing_router(self, router: Mapping[str, Any], parent: Found) -> str | None:
        for key in ("rule", "service"):
            if router.get(key) != self.router[key]:
                return f"another {key} for the router"
        if tuple(router.get("middlewares") or ()) != self.middlewares:
            return "other middlewares for the router"
        if not self._has_tls((parent or router).get("tls"), is_shared=parent is not None):
            return "other TLS settings for the router"
        return None

    def _differing_service(self, service: Mapping[str, Any]) -> str | None:
        balancer = service.get("loadBalancer", {})
        if tuple(balancer.get("servers") or ()) != self.servers:
            return "other servers for the service"
        for key, shown in _BALANCER_OPTIONS.items():
            if not _covers(balancer.get(key), self.balancer.get(key)):
                return f"another {shown} for the service"
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
    router = section["routers"][dynamic.router_name(identity)]
    balancer = dict(section["services"][identity]["loadBalancer"])
    if "serversTransport" in balancer:
        balancer["serversTransport"] += "@file"
    return Expectation(
        protocol=protocol,
        router_name=f"{dynamic.router_name(identity)}@file",
        service_name=f"{identity}@file",
        router=router,
        host=decision.route.host,
        middlewares=tuple(f"{name}@file" for name in router.get("middlewares", ())),
        servers=tuple(balancer.pop("servers")),
        balancer=balancer,
    )


def _covers(reported: Any, wanted: Any) -> bool:
    """Whether all that is wanted is reported; what Traefik adds to it are its defaults."""
    if isinstance(reported, Mapping) and isinstance(wanted, Mapping):
        return all(_covers(reported.get(key), wanted.get(key)) for key in wanted.keys() | _WITHOUT_DEFAULT)
    return bool(reported == wanted)


def parent_name(router: Mapping[str, Any]) -> str | None:
    """The router above a reported one, by the name the API knows it by."""
    parents = router.get("parentRefs") or ()
    return str(parents[0]) if parents else None


def rejection(found: Found) -> str | None:
    """Traefik's own words when it has this very router or service and will not use it, else None."""
    if found is None or found.get("status") == "enabled":
        return None
    return "; ".join(map(str, found.get("error") or [])) or "it is disabled without a reason given"
