"""Admission: what one workload becomes by the rules of this gateway, or why it is not let in.

Pure: a workload, the rules and what names resolve to in, a route or a reason out. What depends on the other workloads
(who holds a host) is the register's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from appliance.model import hosts
from appliance.model.backends import Address, Backend, BackendPolicy
from appliance.model.errors import Conflict, GatewayError, InvalidInput, NoGateway, Refused
from appliance.model.reservations import Reservations
from appliance.model.resolution import Resolutions
from appliance.model.workloads import Workload, WorkloadType


@dataclass(frozen=True, slots=True)
class Gateway:
    """What admission knows of this gateway. `public` is false without a `public` section; `domains` may be empty."""

    public: bool
    addresses: frozenset[Address]
    domains: tuple[str, ...]
    policy: BackendPolicy
    reserved: Reservations = field(default_factory=Reservations)
    """What the operator's own fragments have."""


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


def host_of(workload: Workload, gateway: Gateway) -> tuple[str, str | None]:
    """The host a workload is for, and the gateway domain it lies under (None for an FQDN proxy).

    Raises NoGateway, Refused when the host breaks a rule of this gateway, Conflict when the operator has it.
    """
    host, domain = _host_and_domain(workload, gateway)
    gateway.reserved.check(workload.id, host)
    return host, domain


def _host_and_domain(workload: Workload, gateway: Gateway) -> tuple[str, str | None]:
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
    _check_redirect(workload, host)
    servers: list[Backend] = []
    for backend in workload.backends:
        gateway.policy.check(backend)
        servers += [backend] if backend.address else _resolved(backend, gateway.policy, resolutions)
    return Route(workload, host, domain, tuple(dict.fromkeys(servers)))


def check_at_the_door(workload: Workload, gateway: Gateway, resolutions: Resolutions) -> str:
    """The host of a workload that may come in. A backend's host name that nobody looked up yet is no obstacle here.

    Raises Refused or NoGateway.
    """
    if all(backend.address or backend.host in resolutions for backend in workload.backends):
        return route_of(workload, gateway, resolutions).host
    for backend in workload.backends:
        gateway.policy.check(backend)
    host = host_of(workload, gateway)[0]
    _check_redirect(workload, host)
    return host


def _check_redirect(workload: Workload, host: str) -> None:
    target = workload.options.redirect_to
    if target is not None and target.host == host:
        raise Refused(f"`options.redirect_to` leads to {host}, the workload's own host, and would never end there")


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
