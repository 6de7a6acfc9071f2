"""The examinations of the doctor: what is looked at, and whose rules judge it. Each is independent of the others."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from appliance.control.outside import CertificateAuthority, Delegations, Host, WebProbe
from appliance.model import accounts, authorities, caa, delegation, doctor, host, names, ports, web
from appliance.model.authorities import Directory
from appliance.model.backends import Address
from appliance.model.findings import Finding, Status
from appliance.model.ports import Own, Wanted
from appliance.model.zones import Zone
from appliance.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outside:
    """Whom to ask about what lies outside the host; there with usable settings only."""

    settings: Settings
    zones: tuple[Zone, ...]
    wanted: Sequence[Wanted]
    """Where the appliance is to listen."""
    local: frozenset[Address]
    """Those of the public addresses that this host has itself."""
    web_port: int
    delegations: Delegations
    authority: CertificateAuthority
    web: WebProbe


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an examination looks at, as it is now."""

    config: str
    """The settings file, whether it is there or not."""
    problem: str | None
    """Why the settings cannot be used; None when they can."""
    outside: Outside | None
    host: Host
    status: Callable[[], Mapping[str, Any] | None]
    """`Gateway.status` of the running control plane; None when none runs."""


@dataclass(frozen=True, slots=True)
class Examination:
    """One independent look. `id` is what is said to be unknown when it does not end."""

    id: str
    look: Callable[[], Iterable[Finding]]


def of(around: Surroundings) -> list[Examination]:
    """Every examination for these surroundings."""
    own = _Once(around.host.own)
    found = [
        Examination("settings", lambda: [_settings(around)]),
        Examination("appliance", lambda: [_appliance(around, own())]),
        Examination("root.writable", lambda: host.space(around.host.filesystem())),
        Examination("files", lambda: [host.files(around.host.files())]),
        Examination("inotify", lambda: [_inotify(around.host, own())]),
    ]
    return found + _of_outside(around.outside, around.host, own) if around.outside is not None else found


def _of_outside(outside: Outside, where: Host, own: "_Once[Own]") -> list[Examination]:
    directory = _Once(outside.authority.look)
    domains = outside.settings.public.domains if outside.settings.public else ()
    found = [
        Examination("port", lambda: _ports(outside, where, own())),
        Examination("privileges", lambda: [host.privileges(where.privileges(), [it.port for it in outside.wanted])]),
        Examination("traefik.version", lambda: [host.traefik(*where.traefik_version(outside.settings.traefik.binary))]),
    ]
    if outside.settings.public is None:
        return found
    found.append(Examination("ca.reachable", lambda: _authority(outside, where, directory())))
    found += [Examination("web.port80", lambda: _web(outside, own()))]
    for domain in domains:
        found.append(Examination(f"domain.address:{domain}", lambda it=domain: _domain(outside, it)))  # type: ignore[misc]
        found.append(Examination(f"caa:{domain}", lambda it=domain: _caa(outside, it, directory)))  # type: ignore[misc]
    found += [Examination(f"delegation.parent:{it.apex}", lambda it=it: _zone(outside, it)) for it in outside.zones]  # type: ignore[misc]
    return found


def across(around: Surroundings, found: Sequence[Finding]) -> list[Finding]:
    """What shows only when the findings are taken together."""
    public = around.outside.settings.public if around.outside else None
    domains = public.domains if public else ()
    nameserver = public.nameserver if public else None
    spellings = (doctor.spelling(domain, nameserver or domain, found) for domain in domains)
    return [one for one in spellings if one is not None]


def _settings(around: Surroundings) -> Finding:
    if around.problem is not None:
        return Finding("settings", Status.FAIL, around.problem, f"mend {around.config}")
    if around.outside is None or around.outside.settings.public is None:
        told = f"this host is no gateway yet: {around.config} has no `public` section"
        todo = "write into it: public: {ipv4: 203.0.113.10, domains: [gw.example.com]} (with your own)"
        return Finding("settings", Status.FAIL, told, todo)
    return Finding("settings", Status.OK, f"{around.config} is in order")


def _appliance(around: Surroundings, own: Own) -> Finding:
    status = around.status()
    if status is None and not own.is_visible:
        told = "this user may not see whether the appliance runs"
        return Finding("appliance", Status.UNKNOWN, told, "run `gateway doctor` as root, or as the appliance's user")
    if status is None and own.pids:
        told = "the appliance runs, but its control plane does not answer: traffic goes on, changes wait"
        return Finding("appliance", Status.FAIL, told, "look why: journalctl -u gateway, or the log of `gateway run`")
    if status is None:
        return Finding("appliance", Status.WARN, "the appliance does not run on this root", "start it: gateway run")
    if not status["healthy"]:
        return Finding("appliance", Status.FAIL, "; ".join(map(str, status["problems"])), "gateway status")
    if status["notices"]:
        return Finding("appliance", Status.WARN, "; ".join(map(str, status["notices"])), "gateway status")
    return Finding("appliance", Status.OK, f"gateway {status['version']} runs and is healthy")


def _inotify(where: Host, own: Own) -> Finding:
    return host.inotify(where.inotify(), where.workloads(), is_running=bool(own.pids))


def _ports(outside: Outside, where: Host, own: Own) -> list[Finding]:
    holders = where.holders({wanted.port for wanted in outside.wanted})
    # A program that is started again meanwhile has another pid: it was the appliance's before, or it is now.
    now = where.own()
    own = replace(now, pids=own.pids | now.pids, is_settled=own.is_settled and now.is_settled)
    return [ports.finding(wanted, holders, own) for wanted in outside.wanted]


def _authority(outside: Outside, where: Host, directory: Directory) -> list[Finding]:
    acme = outside.settings.acme
    account = next((found for it in ("dnsresolver", "resolver") if (found := where.account(it)) is not None), None)
    return [
        authorities.reachable(directory),
        authorities.clock(directory),
        authorities.profile(directory, acme.profile),
        accounts.finding(account, directory, has_binding=acme.eab is not None),
    ]


def _web(outside: Outside, own: Own) -> list[Finding]:
    public = outside.settings.public
    addresses = sorted(public.addresses, key=str) if public else []
    if not own.pids and own.is_visible:
        told = "the appliance does not run, so nothing answers on port 80"
        return [Finding(f"web.port80:{it}", Status.UNKNOWN, told, "start it: gateway run") for it in addresses]
    name = public.domains[0] if public and public.domains else ""
    found = []
    for address in addresses:
        port = outside.web_port if address in outside.local else 80
        found.append(web.finding(str(address), outside.web.ask(str(address), name or str(address), port)))
    return found


def _domain(outside: Outside, domain: str) -> tuple[Finding, ...]:
    own = outside.settings.public.addresses if outside.settings.public else frozenset[Address]()
    return names.findings(outside.delegations.domain(domain), own)


def _zone(outside: Outside, zone: Zone) -> tuple[Finding, ...]:
    return delegation.findings(outside.delegations.look(zone.apex))


def _caa(outside: Outside, domain: str, directory: "_Once[Directory]") -> list[Finding]:
    found = outside.delegations.caa(domain)
    identities = authorities.identities(directory())
    return [caa.finding(host, found, identities, "dns-01") for host in (domain, f"*.{domain}")]


class _Once(Generic[T]):
    """The result of a look that several examinations need: made by the first that asks, the others wait for it."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._found: list[T] = []

    def __call__(self) -> T:
        with self._lock:
            if not self._found:
                self._found.append(self._look())
            return self._found[0]
