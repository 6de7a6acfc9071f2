"""Options: what a workload asks of the gateway beyond being routed. Each is off until it is asked for.

Pure values. How they become Traefik's middlewares and services is the renderer's business, but what is taken here is
what the shipped Traefik can do: with TLS passthrough it sees connections and no requests, so only an allow list, a
check that connections are taken, and the time to connect are possible
(https://doc.traefik.io/traefik/reference/routing-configuration/tcp/).
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from appliance.model import documents, durations, hosts, htpasswd, redirects, trust
from appliance.model.backends import Network
from appliance.model.errors import InvalidInput
from appliance.model.redirects import Redirect

_YEAR_SECONDS = 31_536_000
_MOST_NETWORKS = 128
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEALTH_PATH = re.compile(r"/(?:[A-Za-z0-9._~!&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}){0,500}")
STICKY_COOKIE = "gateway-backend"
"""The cookie's name when the workload names none."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests per second of one client address (of one /64 in IPv6), and how many may come at once."""

    average: int
    burst: int


@dataclass(frozen=True, slots=True)
class Hsts:
    """HTTP Strict Transport Security (RFC 6797). `max_age` in seconds; 0 takes an earlier promise back."""

    max_age: int = _YEAR_SECONDS
    include_subdomains: bool = False
    preload: bool = False


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a backend is asked whether it is well. Without a path (TLS passthrough) it need only take connections."""

    path: str | None
    interval: int
    """Milliseconds."""
    status: int | None
    """The one status that counts as well; None: 200 to 399."""


@dataclass(frozen=True, slots=True)
class BackendTls:
    """How the gateway judges an `https://` backend. `ca`: PEM text to trust instead of the system's roots."""

    verify: bool = False
    server_name: str | None = None
    ca: str | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the gateway waits for a backend, in milliseconds; None: Traefik's own defaults."""

    connect: int | None = None
    response_header: int | None = None
    idle: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """All options of one workload. The fields' names are the keys of the document, and their order the one shown."""

    ip_allow: tuple[Network, ...] = ()
    rate_limit: RateLimit | None = None
    basic_auth: tuple[str, ...] = field(default=(), repr=False)
    """Lines of `user:hash`: secrets."""
    hsts: Hsts | None = None
    health_check: HealthCheck | None = None
    sticky: str | None = None
    """The name of the cookie."""
    compress: bool = False
    max_body_bytes: int | None = None
    backend_tls: BackendTls | None = None
    redirect_to: Redirect | None = None
    timeouts: Timeouts | None = None

    def document(self) -> dict[str, Any]:
        """The keys and values of the workload's file; `parse` of it gives these options again. Holds secrets."""
        return {key: _written(value) for key in KEYS if (value := getattr(self, key))}

    def shown(self) -> dict[str, Any]:
        """The document for people and programs to see: of `basic_auth` no more than the number of its users."""
        secret = {"basic_auth": {"users": len(self.basic_auth)}} if self.basic_auth else {}
        return self.document() | secret


KEYS = tuple(item.name for item in fields(Options))
NONE = Options()
_WITH_PASSTHROUGH: Mapping[str, tuple[str, ...]] = {
    "ip_allow": (),
    "health_check": ("interval",),
    "timeouts": ("connect",),
}
"""What can be had with TLS passthrough, and of each the keys that can."""


def parse(document: Any, *, tls_passthrough: bool) -> Options:
    """The options in a workload's document (None: none). Raises InvalidInput naming key and mend."""
    if document is None:
        return NONE
    values = documents.mapping(document, "`options`")
    for key, value in values.items():
        if key not in KEYS:
            raise InvalidInput(f"`options`: {documents.unknown_key(key, list(KEYS))}")
        if tls_passthrough:
            _check_possible(key, value)
    return Options(**{key: _READERS[key](value, f"options.{key}") for key, value in values.items()})


def _check_possible(key: str, value: Any) -> None:
    """Refuse what needs Traefik to see requests, which it does not with passthrough."""
    possible = _WITH_PASSTHROUGH.get(key)
    if possible is None:
        raise InvalidInput(
            f"`options.{key}` is impossible with TLS passthrough, where the gateway sees no requests: "
            f"possible are {', '.join(_WITH_PASSTHROUGH)}; leave it out, or set `tls_passthrough: false`"
        )
    for inner in value if possible and isinstance(value, dict) else ():
        if inner not in possible:
            raise InvalidInput(
                f"`options.{key}.{inner}` is impossible with TLS passthrough, where the gateway sees no requests: "
                f"of `{key}` only `{possible[0]}` is possible"
            )


def _ip_allow(value: Any, key: str) -> tuple[Network, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidInput(f'`{key}` must be a list of at least one network, like ["192.0.2.0/24", "2001:db8::/32"]')
    if len(value) > _MOST_NETWORKS:
        raise InvalidInput(f"`{key}` has {len(value)} entries: at most {_MOST_NETWORKS} are taken")
    return tuple(dict.fromkeys(_network(item, key) for item in value))


def _network(value: Any, key: str) -> Network:
    if not isinstance(value, str):
        raise InvalidInput(f"`{key}` holds {documents.kind(value)}: each network is text, like 192.0.2.0/24")
    try:
        loose = ipaddress.ip_network(value, strict=False)
        exact = ipaddress.ip_interface(value).ip == loose.network_address
    except ValueError as error:
        raise InvalidInput(f"`{key}` holds {value[:80]!r}: write a network like 192.0.2.0/24, or an address") from error
    if isinstance(loose, ipaddress.IPv6Network) and ("%" in value or loose.network_address.ipv4_mapped):
        raise InvalidInput(f"`{key}` holds {value!r}: write IPv4 networks as IPv4, and IPv6 without a zone")
    if not exact:
        raise InvalidInput(f"`{key}` holds {value!r}, which has bits beyond its prefix: did you mean {loose}?")
    return loose


def _rate_limit(value: Any, key: str) -> RateLimit:
    values = _section(value, key, ["average", "burst"])
    average = _whole(_required(values, "average", key), f"{key}.average", 1, 1_000_000)
    return RateLimit(average, _whole(values.get("burst", average), f"{key}.burst", 1, 1_000_000))


def _hsts(value: Any, key: str) -> Hsts | None:
    if isinstance(value, bool):
        return Hsts() if value else None
    values = _section(value, key, ["max_age", "include_subdomains", "preload"], or_true=True)
    found = Hsts(
        _whole(values.get("max_age", _YEAR_SECONDS), f"{key}.max_age", 0, 10 * _YEAR_SECONDS),
        _flag(values.get("include_subdomains", False), f"{key}.include_subdomains"),
        _flag(values.get("preload", False), f"{key}.preload"),
    )
    if found.preload and (not found.include_subdomains or found.max_age < _YEAR_SECONDS):
        raise InvalidInput(
            f"`{key}.preload` is only taken by browsers together with `include_subdomains: true` and a `max_age` "
            f"of at least {_YEAR_SECONDS}: set these, or leave `preload` out"
        )
    return found


def _health_check(value: Any, key: str) -> HealthCheck:
    values = _section(value, key, ["path", "interval", "status"])
    path = values.get("path")
    if path is not None and not (isinstance(path, str) and _HEALTH_PATH.fullmatch(path)):
        raise InvalidInput(
            f"`{key}.path` must be text that begins with /, of letters, digits and the characters "
            "-._~!&'()*+,;=:@/? (others as %XX)"
        )
    status = values.get("status")
    return HealthCheck(
        path,
        durations.milliseconds(values.get("interval", 10), f"{key}.interval", least=1000, most=3_600_000),
        None if status is None else _whole(status, f"{key}.status", 100, 599),
    )


def _sticky(value: Any, key: str) -> str | None:
    if isinstance(value, bool):
        return STICKY_COOKIE if value else None
    if not isinstance(value, str) or not _COOKIE_NAME.fullmatch(value):
        raise InvalidInput(
            f"`{key}` must be true, or the cookie's name in at most 64 letters, digits, hyphens and underscores"
        )
    return value


def _max_body_bytes(value: Any, key: str) -> int:
    return _whole(value, key, 1, 2**40)


def _backend_tls(value: Any, key: str) -> BackendTls:
    values = _section(value, key, ["verify", "server_name", "ca"])
    verify = _flag(values.get("verify", False), f"{key}.verify")
    ca = None if values.get("ca") is None else trust.certificates(values["ca"], f"{key}.ca")
    if ca is not None and not verify:
        raise InvalidInput(f"`{key}.ca` has no effect without `verify: true`: set that too, or leave `ca` out")
    name = values.get("server_name")
    if name is not None and not isinstance(name, str):
        raise InvalidInput(f"`{key}.server_name` is {documents.kind(name)}: it must be the host in the certificate")
    return BackendTls(verify, None if name is None else _server_name(name, f"{key}.server_name"), ca)


def _server_name(text: str, key: str) -> str:
    try:
        return hosts.host(text) if "." in text else hosts.label(text)
    except InvalidInput as error:
        raise InvalidInput(f"`{key}`: {error}") from error


def _timeouts(value: Any, key: str) -> Timeouts:
    values = _section(value, key, [item.name for item in fields(Timeouts)])
    read = durations.milliseconds
    return Timeouts(**{name: read(item, f"{key}.{name}", least=100, most=3_600_000) for name, item in values.items()})


def _section(value: Any, key: str, known: list[str], *, or_true: bool = False) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        was = "empty" if not value else documents.kind(value)
        wanted = "true or " if or_true else ""
        raise InvalidInput(f"`{key}` is {was}: it must be {wanted}a mapping with {', '.join(known)}")
    for inner in documents.mapping(value, f"`{key}`"):
        if inner not in known:
            raise InvalidInput(f"`{key}`: {documents.unknown_key(inner, known)}")
    return value


def _required(values: Mapping[str, Any], name: str, key: str) -> Any:
    if values.get(name) is None:
        raise InvalidInput(f"`{key}.{name}` is missing: give it")
    return values[name]


def _whole(value: Any, key: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInput(f"`{key}` must be a whole number from {least} to {most}")
    return value


def _flag(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"`{key}` is {documents.kind(value)}: it must be true or false")
    return value


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "ip_allow": _ip_allow,
    "rate_limit": _rate_limit,
    "basic_auth": htpasswd.lines,
    "hsts": _hsts,
    "health_check": _health_check,
    "sticky": _sticky,
    "compress": _flag,
    "max_body_bytes": _max_body_bytes,
    "backend_tls": _backend_tls,
    "redirect_to": redirects.parse,
    "timeouts": _timeouts,
}


def _written(value: Any) -> Any:
    match value:
        case HealthCheck() | Timeouts():
            given = {item.name: getattr(value, item.name) for item in fields(value)}
            spans = given.keys() - {"path", "status"}
            return {key: durations.text(it) if key in spans else it for key, it in given.items() if it is not None}
        case RateLimit() | Hsts() | BackendTls():
            given = {item.name: getattr(value, item.name) for item in fields(value)}
            return {key: it for key, it in given.items() if it is not None}
        case tuple():
            return [str(item) for item in value]
        case Redirect():
            return str(value)
        case _:
            return value
