"""Settings into Traefik's static configuration (`traefik.yaml`) and the environment of its exec DNS hook.

Each setting that is not Traefik's default is here for a measured reason; docs/decisions/0004 tells them. Traefik
ignores unknown keys at the top level silently, so what is written here is checked against a real Traefik in the tests.
"""

from pathlib import Path
from typing import Any

import yaml

from appliance.layout import Root
from appliance.render.dynamic import DNS_RESOLVER, ENTRY_POINT_HTTP, ENTRY_POINT_HTTPS, HTTP_RESOLVER
from appliance.settings import Acme, Settings

DRAIN_SECONDS = 10
"""How long Traefik lets open requests finish when it stops."""
THROTTLE = "50ms"
"""Traefik gathers changes for this long; the config manager already writes in batches."""


def document(settings: Settings, root: Path) -> dict[str, Any]:
    """The static configuration. Certificate resolvers are there once there is a public address to use them for."""
    points = settings.entrypoints
    content: dict[str, Any] = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO", "format": "json"},
        "api": {"insecure": True, "dashboard": False},
        "ping": {"entryPoint": "traefik"},
        "metrics": {"prometheus": {"entryPoint": "metrics", "addServicesLabels": True}},
        "providers": {
            "providersThrottleDuration": THROTTLE,
            "file": {"directory": str(root / "proxy"), "watch": True},
        },
        "entryPoints": {
            ENTRY_POINT_HTTP: _http_entry_point(points.web),
            ENTRY_POINT_HTTPS: _https_entry_point(points.web_secure, http3=points.http3),
            "metrics": _inner_entry_point(settings.traefik.metrics),
            "traefik": _inner_entry_point(settings.traefik.api),
        },
    }
    if settings.traefik.access_log:
        content["accessLog"] = {"format": "json"}
    if settings.traefik.fast_proxy:
        content["experimental"] = {"fastProxy": {}}
    if settings.public is not None:
        content["certificatesResolvers"] = _resolvers(settings, root)
        if settings.acme.staging is not None:  # `render.rehearsal` leads some challenges elsewhere
            content["entryPoints"][ENTRY_POINT_HTTP]["allowACMEByPass"] = True
    return content


def text(settings: Settings, root: Path) -> str:
    """`traefik.yaml`."""
    return yaml.safe_dump(document(settings, root), sort_keys=False, width=1000)


def hook_environment(hook: Path, root: Path) -> dict[str, str]:
    """What Traefik's `exec` DNS provider (lego) reads.

    Both intervals are seconds, as whole numbers. The hook returns when the authority already answers, so there is
    nothing to wait for before the first check, nor between the challenges of one order.
    """
    return {
        "EXEC_PATH": str(hook),
        "EXEC_POLLING_INTERVAL": "0",
        "EXEC_SEQUENCE_INTERVAL": "0",
        "EXEC_PROPAGATION_TIMEOUT": "60",
        "GATEWAY_ROOT": str(root),
    }


def _entry_point(address: str) -> dict[str, Any]:
    return {
        "address": address,
        "asDefault": True,
        "http": {"aliasHeadersStrategy": "delete"},
        "transport": {
            # Traefik's own 60 s would cut large uploads over slow lines.
            "respondingTimeouts": {"readTimeout": "600s"},
            "lifeCycle": {"graceTimeOut": f"{DRAIN_SECONDS}s"},
        },
    }


def _http_entry_point(address: str) -> dict[str, Any]:
    point = _entry_point(address)
    point["http"]["redirections"] = {"entryPoint": {"to": ENTRY_POINT_HTTPS, "scheme": "https"}}
    return point


def _https_entry_point(address: str, *, http3: bool) -> dict[str, Any]:
    point = _entry_point(address)
    if http3:
        point["http3"] = {}
    return point


def _inner_entry_point(address: str) -> dict[str, Any]:
    return {"address": address, "http": {"aliasHeadersStrategy": "delete"}}


def _resolvers(settings: Settings, root: Path) -> dict[str, Any]:
    resolvers = {
        HTTP_RESOLVER: {
            "acme": {
                **account(settings.acme, Root(root).http_store),
                "httpChallenge": {"entryPoint": ENTRY_POINT_HTTP},
            }
        }
    }
    if settings.public is not None and settings.public.domains:
        resolvers[DNS_RESOLVER] = {
            "acme": {**account(settings.acme, Root(root).dns_store), "dnsChallenge": dns_challenge(settings)}
        }
    return resolvers


def account(acme: Acme, storage: Path) -> dict[str, Any]:
    """Whom a certificate resolver orders from and as whom, without the way it is validated."""
    content: dict[str, Any] = {
        "email": acme.email,
        "storage": str(storage),
        "caServer": acme.directory,
        "keyType": acme.key_type,
        "certificatesDuration": acme.certificate_hours,
    }
    if acme.ca_certificates:
        content["caCertificates"] = [str(path) for path in acme.ca_certificates]
        content["caSystemCertPool"] = True
    if acme.profile:
        content["profile"] = acme.profile
    if acme.eab:
        content["eab"] = {"kid": acme.eab.kid, "hmacEncoded": acme.eab.hmac}
    return content


def dns_challenge(settings: Settings) -> dict[str, Any]:
    """How a certificate resolver is validated by DNS-01, through the hook."""
    if settings.acme.propagation_check == "off":
        propagation: dict[str, bool] = {"disableChecks": True}
    else:
        # Written out although it is the default today: Traefik's default has changed between releases.
        propagation = {"disableANSChecks": False, "requireAllRNS": False}
    challenge: dict[str, Any] = {"provider": "exec", "propagation": propagation}
    if settings.dns.resolvers:
        challenge["resolvers"] = list(settings.dns.resolvers)
    return challenge
