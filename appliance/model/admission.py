"""Admission: which workloads become routes, and why the others do not.

Pure: desired state and the rules of the gateway in, routes and reasons out. One bad or conflicting workload costs only
itself. A workload whose new version is refused keeps the version that was accepted last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from appliance.model import hosts
from appliance.model.backends import Address, Backend, BackendPolicy
from appliance.model.errors import Conflict, GatewayError, InvalidInput, NoGateway, Refused
from appliance.model.resolution import Resolutions
from appliance.model.workloads import Workload, WorkloadType


@dataclass(frozen=True, slots=True)
class Gateway:
    """What admission knows of this gateway. `public` is false without a `public` section; `domains` may be empty."""

    public: bool
    addresses: frozenset[Address]
    domains: tuple[str, ...]
    policy: BackendPolicy


@dataclass(frozen=True, slots=True)
class Route:
    """A workload that is let in: what Traefik is to be told, independent of how it is written down."""

    workload: Workload
    host: str
    domain: str | None
    """The gateway domain of a name proxy; None for an FQDN proxy."""
    servers: tuple[Backend, ...]
    """The backends by IP address: a host name has become the very addresses that were checked, so that nobody can
    point it elsewhere between the check and the connection."""

    @property
    def id(self) -> str:
        """The workload's id."""
        return self.workload.id


@dataclass(frozen=True, slots=True)
class Desired:
    """One workload file as read: the workload, or why it cannot be read. `seniority` orders claims to a host."""

    id: str
    content: Workload | InvalidInput
    seniority: float
    """When the file was last changed (seconds since the epoch): of two new claims to one host the older is served."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The outcome for a whole desired state."""

    routes: Mapping[str, Route]
    """By workload id: what is to be live, a last accepted version included."""
    refused: Mapping[str, GatewayError]
    """By workload id: why its desired version is not live."""
    holders: Mapping[str, str]
    """Host -> workload id, of everything in `routes`."""


def host_of(workload: Workload, gateway: Gateway) -> tuple[str, str | None]:
    """The host a workload is for, and the gateway domain it lies under (None for an FQDN proxy).

    Raises NoGateway, or Refused when the host breaks a rule of this gateway.
    """
    if not gateway.public:
        raise NoGateway(
            "this host is no gateway: its settings have no `public` section; add one with `ipv4` and `domains`"
        )
    if workload.type is WorkloadType.FQDN_PROXY:
        return _fqdn_host(str(workload.fqdn), gateway), None
    if not gateway.domains:
        raise NoGateway(
            "this gateway has no domain, so it takes no name proxies: add one to `public.domains`, or use an FQDN proxy"
        )
    domain = workload.domain or gateway.domains[0]
    if domain not in gateway.domains:
        raise Refused(f"{domain} is no domain of this gateway: its domains are {', '.join(gateway.domains)}")
    return hosts.host(f"{workload.name}.{domain}"), domain


def host_or_none(workload: Workload, gateway: Gateway) -> str | None:
    """The host a workload asks for, also when it will not get it; None where it cannot be said."""
    try:
        return host_of(workload, gateway)[0]
    except GatewayError:
        return workload.fqdn


def _fqdn_host(fqdn: str, gateway: Gateway) -> str:
    for domain in gateway.domains:
        if hosts.lies_under(fqdn, domain):
            raise Refused(
                f"{fqdn} is or lies under this gateway's domain {domain}: names there are name proxies "
                f"(`type: {WorkloadType.NAME_PROXY}`, `name: ...`)"
            )
    return fqdn


def route_of(workload: Workload, gateway: Gateway, resolutions: Resolutions) -> Route:
    """The route of one workload, by every rule that does not depend on other workloads. Raises Refused, NoGateway."""
    host, domain = host_of(workload, gateway)
    servers: list[Backend] = []
    for backend in workload.backends:
        gateway.policy.check(backend)
        servers += [backend] if backend.address else _resolved(backend, gateway.policy, resolutions)
    return Route(workload, host, domain, tuple(dict.fromkeys(servers)))


def _resolved(backend: Backend, policy: BackendPolicy, resolutions: Resolutions) -> list[Backend]:
    resolution = resolutions.get(backend.host)
    if resolution is None:
        raise Refused(f"the backend {backend} is being looked up; it is taken as soon as its address is known")
    if resolution.problem is not None:
        raise Refused(f"the backend {backend} cannot be used: {resolution.problem}")
    for address in resolution.addresses:
        policy.check_address(address, f"{backend} (which is {address})")
    return [replace(backend, host=str(address)) for address in sorted(resolution.addresses, key=str)]


def check_free(host: str, identity: str, holders: Mapping[str, str]) -> None:
    """Raise Conflict, naming the holder, when another workload holds `host`."""
    holder = holders.get(host)
    if holder is not None and holder != identity:
        raise Conflict(f"{host} is held by the workload {holder}: delete that one first, or choose another name")


def with_claim(outcome: Admission, host: str, identity: str) -> Admission:
    """The outcome with one more claim, of a workload let in since; its old host stays claimed until it has moved."""
    return replace(outcome, holders={**outcome.holders, host: identity})


def admit(
    desired: Iterable[Desired], accepted: Mapping[str, Workload], gateway: Gateway, resolutions: Resolutions
) -> Admission:
    """Decide over a whole desired state. `accepted` holds the versions that were live last, by id.

    Whoever holds a host keeps it; of several new claims the oldest file wins, then the lesser id.
    """
    ordered = sorted(desired, key=lambda item: (item.seniority, item.id))
    fallbacks = _fallbacks([accepted[item.id] for item in ordered if item.id in accepted], gateway, resolutions)
    held = {route.host: identity for identity, route in fallbacks.items()}
    routes: dict[str, Route] = {}
    refused: dict[str, GatewayError] = {}
    for item in ordered:
        try:
            route = _admitted(item, gateway, held, resolutions)
        except GatewayError as error:
            refused[item.id] = error
            if item.id in fallbacks:
                routes[item.id] = fallbacks[item.id]
            continue
        routes[item.id] = route
        held[route.host] = item.id
    return Admission(routes, refused, {route.host: identity for identity, route in routes.items()})


def _admitted(item: Desired, gateway: Gateway, held: Mapping[str, str], resolutions: Resolutions) -> Route:
    if isinstance(item.content, InvalidInput):
        raise item.content
    route = route_of(item.content, gateway, resolutions)
    check_free(route.host, item.id, held)
    return route


def _fallbacks(workloads: Iterable[Workload], gateway: Gateway, resolutions: Resolutions) -> dict[str, Route]:
    """What may go on being served as it was. (Changed settings can make two old routes claim one host.)"""
    found: dict[str, Route] = {}
    taken: set[str] = set()
    for workload in workloads:
        try:
            route = route_of(workload, gateway, resolutions)
        except GatewayError:
            continue
        if route.host not in taken:
            taken.add(route.host)
            found[route.id] = route
    return found
