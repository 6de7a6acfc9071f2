"""What a rehearsal is made of: a throw-away Traefik that orders at the staging directory, and the way to it.

A certificate authority comes to port 80 for HTTP-01, and Traefik's own router for that path comes before all others.
Where rehearsals are wanted the entry point has `allowACMEByPass`, and that router is one among many: while orders are
rehearsed a router of ours before it leads the challenges for their hosts to the throw-away Traefik. Nobody else's comes
before it: workloads have no router without TLS, and fragments none for hosts that certificates are ordered for.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from appliance.model.issuance import WILDCARD
from appliance.render import dynamic, static
from appliance.render.dynamic import DNS_RESOLVER, ENTRY_POINT_HTTP, HTTP_RESOLVER
from appliance.settings import Settings

FILE = "~rehearsal.yaml"
"""In Traefik's directory; no workload's file is called so."""
ROUTER = "_rehearsal"
BYPASS_ROUTER = "acme-http-bypass@internal"
"""Traefik's own router for challenges once the entry point lets others before it."""
ORDERS_FILE = "orders.json"
_CHALLENGES = "PathPrefix(`/.well-known/acme-challenge/`)"  # RFC 8555 §8.3
_HIGHEST_PRIORITY = 2**63 - 1 - 1000
"""The highest that a user's router may have (Traefik's pkg/server/router/router.go)."""


def files(hosts: Sequence[str], port: int) -> Mapping[str, str]:
    """The file in the real Traefik's directory, by name: challenges for these hosts go to `port` on loopback."""
    if not hosts:
        return {}
    router = {
        "entryPoints": [ENTRY_POINT_HTTP],
        "rule": rule(hosts),
        "priority": _HIGHEST_PRIORITY,
        "service": ROUTER,
    }
    service = {"loadBalancer": {"servers": [{"url": address(port)}]}}
    return {FILE: dynamic.text({"http": {"routers": {ROUTER: router}, "services": {ROUTER: service}}})}


def rule(hosts: Sequence[str]) -> str:
    """The rule of the router that leads to the rehearsal."""
    named = " || ".join(f"Host(`{dynamic.safe(host)}`)" for host in hosts)
    return f"({named}) && {_CHALLENGES}"


def address(port: int) -> str:
    """Where the throw-away Traefik answers challenges."""
    return f"http://127.0.0.1:{port}"


def configuration(settings: Settings, directory: str, subjects: Sequence[str], place: Path) -> str:
    """The throw-away Traefik's static configuration. Its listening socket is handed to it, so the port is no matter.

    `directory` is the staging directory; `place` is where the orders and the stores lie.
    """
    acme = settings.acme.model_copy(update={"ca_server": directory})
    resolvers: dict[str, Any] = {
        HTTP_RESOLVER: {"httpChallenge": {"entryPoint": ENTRY_POINT_HTTP}},
        DNS_RESOLVER: {"dnsChallenge": static.dns_challenge(settings)},
    }
    used = {_resolver(subject) for subject in subjects}
    return json.dumps(
        {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "INFO", "format": "json"},
            "providers": {
                "providersThrottleDuration": "1ms",
                "file": {"filename": str(place / ORDERS_FILE), "watch": False},
            },
            "entryPoints": {ENTRY_POINT_HTTP: {"address": "127.0.0.1:0"}},
            "certificatesResolvers": {
                name: {"acme": {**static.account(acme, store(place, name)), **challenge}}
                for name, challenge in resolvers.items()
                if name in used
            },
        }
    )


def orders(subjects: Sequence[str]) -> str:
    """What it is to order: a router for each certificate."""
    routers = {
        f"order-{number}": {
            "rule": f"Host(`{dynamic.safe(subject.removeprefix(WILDCARD))}`)",
            "service": "noop@internal",
            "tls": _tls(subject),
        }
        for number, subject in enumerate(subjects)
    }
    return json.dumps({"http": {"routers": routers}})


def store(place: Path, resolver: str) -> Path:
    """The certificate store of one of its resolvers."""
    return place / f"{resolver}.json"


def _resolver(subject: str) -> str:
    return DNS_RESOLVER if subject.startswith(WILDCARD) else HTTP_RESOLVER


def _tls(subject: str) -> dict[str, Any]:
    if subject.startswith(WILDCARD):
        return dynamic.domain_tls(subject.removeprefix(WILDCARD))
    return {"certResolver": HTTP_RESOLVER}
