"""A workload's options as Traefik's middlewares, in the order a request meets them.

Names are `<id>.<kind>.<digest>`. No workload id has a dot, so no name can be another workload's, whatever the ids are.
The digest is of the content, password lines included: a router that Traefik reports with this name uses this very
version, which a name that outlives its content could not say.

Password lines stand in a file of their own that Traefik reads (`usersFile`), since its API shows a middleware with all
it holds to every user of the host.

The page for all of it: https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/overview/
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from appliance.model.admission import Route
from appliance.model.options import NONE, Hsts, Options
from appliance.model.redirects import Redirect

USERS_SUFFIX = ".users"
"""Traefik passes over files with this ending when it reads its directory."""
_DIRECTORY = "proxy"
"""Where the files lie, seen from Traefik's working directory, which is the root."""
_DIGEST_LENGTH = 8
_ANY_URL = "(?s)^.*$"
_PATH_OF_URL = "(?s)^[a-z]+://[^/]*(/.*)?$"
_SHARED_PREFIX_IPV6 = 64
_TRIES = 2

Middlewares = dict[str, dict[str, Any]]
"""Name -> content, in the order of the router's list."""


def http(route: Route) -> Middlewares:
    """The middlewares of a route that Traefik terminates.

    Strict transport security comes first, since it holds for refusals too; then everything that refuses, the cheapest
    first, so that nobody outside the allow list costs a password check; then what changes requests and answers.
    """
    options = route.workload.options
    if options == NONE:
        return {}
    contents: dict[str, dict[str, Any] | None] = {
        "hsts": _hsts(options.hsts) if options.hsts else None,
        "ip-allow": _ip_allow(options),
        "rate-limit": _rate_limit(options),
        "basic-auth": _basic_auth(route),
        "redirect": _redirect(options.redirect_to) if options.redirect_to else None,
        "max-body": _max_body(options),
        "compress": {"compress": {}} if options.compress else None,
        "retry": _retry(route),
    }
    return _named(route, contents)


def tcp(route: Route) -> Middlewares:
    """The middlewares of a route whose TLS is passed through."""
    return _named(route, {"ip-allow": _ip_allow(route.workload.options)})


def users_file(identity: str) -> str:
    """The file in `proxy/` with a workload's password lines. Sorts before the workload's route file."""
    return f"{identity}{USERS_SUFFIX}"


def users(route: Route) -> str | None:
    """The text of that file; None: the route asks for no password."""
    lines = route.workload.options.basic_auth
    return "".join(f"{line}\n" for line in lines) if lines else None


def digest(content: Any) -> str:
    """Eight characters that stand for `content`."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_DIGEST_LENGTH]


def _named(route: Route, contents: Mapping[str, dict[str, Any] | None]) -> Middlewares:
    return {
        f"{route.id}.{kind}.{digest([content, users(route) if kind == 'basic-auth' else None])}": content
        for kind, content in contents.items()
        if content is not None
    }


def _hsts(hsts: Hsts) -> dict[str, Any]:
    """The header as text: Traefik's own `stsSeconds` knows no 0, which takes an earlier promise back (RFC 6797)."""
    parts = [f"max-age={hsts.max_age}"]
    parts += ["includeSubDomains"] if hsts.include_subdomains else []
    parts += ["preload"] if hsts.preload else []
    return {"headers": {"customResponseHeaders": {"Strict-Transport-Security": "; ".join(parts)}}}


def _ip_allow(options: Options) -> dict[str, Any] | None:
    networks = [str(network) for network in options.ip_allow]
    return {"ipAllowList": {"sourceRange": networks}} if networks else None


def _rate_limit(options: Options) -> dict[str, Any] | None:
    if options.rate_limit is None:
        return None
    # A client in IPv6 has a whole /64 to come from.
    source = {"ipStrategy": {"ipv6Subnet": _SHARED_PREFIX_IPV6}}
    limit = options.rate_limit
    return {"rateLimit": {"average": limit.average, "burst": limit.burst, "sourceCriterion": source}}


def _basic_auth(route: Route) -> dict[str, Any] | None:
    if not route.workload.options.basic_auth:
        return None
    # The password is the gateway's: the backend, perhaps reached without TLS, does not get it.
    path = f"{_DIRECTORY}/{users_file(route.id)}"
    return {"basicAuth": {"usersFile": path, "realm": route.host, "removeHeader": True}}


def _redirect(target: Redirect) -> dict[str, Any]:
    """`$` is no character of a target (see `model.redirects`), so the only reference is the one put in here."""
    if target.path is None:
        return _redirection(_PATH_OF_URL, target.origin + "${1}")
    return _redirection(_ANY_URL, str(target))


def _redirection(pattern: str, replacement: str) -> dict[str, Any]:
    return {"redirectRegex": {"regex": pattern, "replacement": replacement, "permanent": True}}


def _retry(route: Route) -> dict[str, Any] | None:
    """A second try, at the next backend, for a request that could not be sent to the first.

    Whenever any route changes Traefik takes every backend for healthy until its next check, the dead ones too.
    """
    is_wanted = route.workload.options.health_check is not None and len(route.servers) > 1
    return {"retry": {"attempts": _TRIES}} if is_wanted else None


def _max_body(options: Options) -> dict[str, Any] | None:
    most = options.max_body_bytes
    return {"buffering": {"maxRequestBodyBytes": most}} if most is not None else None
