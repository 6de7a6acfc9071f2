"""A workload's service as Traefik's load balancer, and how the gateway connects to the servers in it.

The pages: https://doc.traefik.io/traefik/reference/routing-configuration/http/load-balancing/service/ and
.../http/load-balancing/serverstransport/, and the same below `tcp`.
"""

from typing import Any

from appliance.model.admission import Route
from appliance.model.options import BackendTls, HealthCheck, Timeouts
from appliance.render import middlewares

_LONGEST_CHECK_MILLISECONDS = 5000
_NO_TIMEOUTS = Timeouts()


def service(route: Route) -> dict[str, Any]:
    """The service of a route, of either protocol."""
    is_tcp = route.workload.tls_passthrough
    balancer: dict[str, Any] = {
        "servers": [{"address": server.socket_address} if is_tcp else {"url": str(server)} for server in route.servers]
    }
    options = route.workload.options
    if options.sticky is not None:
        balancer["sticky"] = _sticky(options.sticky)
    if options.health_check is not None:
        balancer["healthCheck"] = (_tcp_check if is_tcp else _http_check)(options.health_check, route)
    if own := transports(route):
        balancer["serversTransport"] = next(iter(own))
    return {"loadBalancer": balancer}


def transports(route: Route) -> dict[str, Any]:
    """The transport of a route's service by its name; empty where Traefik's default will do.

    With options its name carries their digest: Traefik's API shows no transports, only which one a service uses.
    """
    options = route.workload.options
    content = _tcp_transport(options.timeouts) if route.workload.tls_passthrough else _http_transport(route)
    if not content:
        return {}
    is_plain = options.timeouts is None and options.backend_tls is None
    return {route.id if is_plain else f"{route.id}.{middlewares.digest(content)}": content}


def duration(milliseconds: int) -> str:
    """A duration as Traefik's API writes it (Go's `Duration.String`), so that both can be compared."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:g}s"
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds


def _sticky(cookie: str) -> dict[str, Any]:
    """The cookie is the gateway's business alone: no script reads it, and it is sent over HTTPS only."""
    return {"cookie": {"name": cookie, "secure": True, "httpOnly": True, "sameSite": "lax"}}


def _http_check(check: HealthCheck, route: Route) -> dict[str, Any]:
    """Redirects are not followed: a backend could lead the gateway to addresses that no workload may name."""
    return {
        "path": check.path or "/",
        **_tcp_check(check, route),
        "hostname": route.host,
        "followRedirects": False,
        **({"status": check.status} if check.status is not None else {}),
    }


def _tcp_check(check: HealthCheck, _: Route) -> dict[str, Any]:
    patience = min(check.interval, _LONGEST_CHECK_MILLISECONDS)
    return {"interval": duration(check.interval), "timeout": duration(patience)}


def _http_transport(route: Route) -> dict[str, Any]:
    """Unless asked to, the gateway encrypts to backends and does not judge their certificates: they make their own."""
    options, content = route.workload.options, dict[str, Any]()
    if any(server.scheme == "https" for server in route.servers):
        content |= _tls(options.backend_tls or BackendTls(), route)
    waits = _timeouts(options.timeouts or _NO_TIMEOUTS)
    return content | ({"forwardingTimeouts": waits} if waits else {})


def _tls(chosen: BackendTls, route: Route) -> dict[str, Any]:
    content: dict[str, Any] = {} if chosen.verify else {"insecureSkipVerify": True}
    name = chosen.server_name or (_only_host_name(route) if chosen.verify else None)
    if name is not None:
        content["serverName"] = name
    if chosen.ca is not None:
        content["rootCAs"] = [chosen.ca]
    return content


def _only_host_name(route: Route) -> str | None:
    """The host name that all backends were given by, if it is one: Traefik knows only the addresses behind it."""
    names = {backend.host if backend.address is None else None for backend in route.workload.backends}
    return names.pop() if len(names) == 1 else None


def _timeouts(chosen: Timeouts) -> dict[str, str]:
    keys = {
        "dialTimeout": chosen.connect,
        "responseHeaderTimeout": chosen.response_header,
        "idleConnTimeout": chosen.idle,
    }
    return {key: duration(value) for key, value in keys.items() if value is not None}


def _tcp_transport(chosen: Timeouts | None) -> dict[str, Any]:
    return {"dialTimeout": duration(chosen.connect)} if chosen and chosen.connect is not None else {}
