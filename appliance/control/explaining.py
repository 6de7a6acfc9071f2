"""`gateway explain HOST`: follows a name link by link, and stops at nothing, so that what is broken is seen together.

DNS -> port -> router -> service -> backends -> certificate -> last error -> next try. Nothing is changed by looking.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from appliance.control.board import Board
from appliance.control.docket import IssuanceView
from appliance.control.issuance import Issuance
from appliance.control.lookups import look_up
from appliance.control.ports import Lookups, Proxy
from appliance.control.ports_issuance import ServedProbe
from appliance.model import admission, hosts, inventory, resolution
from appliance.model.admission import Route
from appliance.model.backends import Backend
from appliance.model.errors import GatewayError, Unavailable
from appliance.model.explanations import Explanation
from appliance.model.findings import Finding, Status
from appliance.model.inventory import Presented
from appliance.model.issuance import subject_of
from appliance.model.standings import State, WorkloadView
from appliance.render import dynamic

_MOST_BACKENDS = 16

Dial = Callable[[str, int], str | None]
"""Why an address takes no TCP connection on a port; None: it does."""


class Explainer:
    """Looks from this host, now. Safe to call from any thread; takes seconds at most."""

    def __init__(
        self,
        *,
        board: Board,
        lookups: Lookups,
        proxy: Proxy,
        issuance: Issuance,
        probe: Callable[[], ServedProbe],
        dial: Dial,
    ) -> None:
        self._board = board
        self._lookups = lookups
        self._proxy = proxy
        self._issuance = issuance
        self._probe = probe
        self._dial = dial

    def explain(self, text: str) -> Explanation:
        """Why a host is not on HTTPS, or that it is. Raises InvalidInput for what is no host name."""
        host = hosts.host(text)
        rules, resolutions, holders = self._board.rules()
        identity = holders.get(host)
        view = self._board.view(identity, None) if identity else None
        if identity is None or view is None:
            return Explanation(host, None, tuple(self._without_workload(host, rules)))
        route = self._route(identity, rules, resolutions)
        findings = [_standing(view), self._dns(host, rules), self._port()]
        if route is not None:
            findings += [self._router(route), self._service(route), *self._backends(route)]
            findings += self._certificate(route)
        return Explanation(host, identity, tuple(findings))

    def _route(self, identity: str, rules: admission.Gateway, resolutions: resolution.Resolutions) -> Route | None:
        """The route that is live, or should be."""
        served = self._board.served(identity)
        try:
            return admission.route_of(served, rules, resolutions) if served else None
        except GatewayError:
            return None

    def _without_workload(self, host: str, rules: admission.Gateway) -> Iterator[Finding]:
        waiting = next((view for view in self._board.views(None) if view.host == host), None)
        if waiting is not None:
            yield _standing(waiting)
        else:
            domain = next((domain for domain in rules.domains if hosts.lies_under(host, domain)), None)
            yield Finding("workload", Status.FAIL, *_unknown(host, domain))
        yield self._dns(host, rules)
        yield self._port()

    def _dns(self, host: str, rules: admission.Gateway) -> Finding:
        answer = look_up(self._lookups, host)
        obstacle = resolution.obstacle(host, answer, rules.addresses)
        if obstacle is None:
            return Finding("dns", Status.OK, f"{host} points to {', '.join(sorted(map(str, answer.addresses)))}: here")
        here = " and ".join(sorted(map(str, rules.addresses)))
        return Finding("dns", Status.FAIL if answer.is_certain else Status.UNKNOWN, obstacle, f"{host} -> {here}")

    def _port(self) -> Finding:
        trouble = self._probe().refused()
        if trouble is None:
            return Finding("port", Status.OK, "the HTTPS port takes connections")
        return Finding(
            "port", Status.FAIL, trouble, "gateway status: see whether Traefik runs; gateway doctor: who has the port"
        )

    def _router(self, route: Route) -> Finding:
        protocol = "tcp" if route.workload.tls_passthrough else "http"
        name = dynamic.router_name(route.id)
        try:
            found = self._proxy.router(protocol, f"{name}@file")
        except Unavailable as error:
            return Finding("router", Status.FAIL, str(error), "gateway status")
        if found is None:
            return Finding("router", Status.FAIL, f"Traefik has no router {name}", f"gateway route show {route.id}")
        if found.get("status") != "enabled":
            words = "; ".join(map(str, found.get("error") or ["it does not say why"]))
            return Finding(
                "router", Status.FAIL, f"Traefik has disabled the router {name}: {words}", "change the workload"
            )
        return Finding("router", Status.OK, f"Traefik has the router {name}: {found.get('rule', '')}")

    def _service(self, route: Route) -> Finding:
        protocol = "tcp" if route.workload.tls_passthrough else "http"
        try:
            found = self._proxy.service(protocol, f"{route.id}@file")
        except Unavailable as error:
            return Finding("service", Status.FAIL, str(error), "gateway status")
        if found is None:
            return Finding(
                "service", Status.FAIL, f"Traefik has no service {route.id}", f"gateway route show {route.id}"
            )
        statuses: dict[str, str] = found.get("serverStatus") or {}
        down = sorted(server for server, status in statuses.items() if status != "UP")
        if statuses and len(down) == len(statuses):
            return Finding(
                "service", Status.FAIL, f"every backend failed its health check: {', '.join(down)}", "mend the backend"
            )
        if down:
            return Finding("service", Status.WARN, f"out of rotation: {', '.join(down)}", "mend the backend")
        return Finding("service", Status.OK, f"Traefik has the service {route.id}, {len(route.servers)} backend(s)")

    def _backends(self, route: Route) -> list[Finding]:
        with ThreadPoolExecutor(_MOST_BACKENDS) as pool:
            servers = route.servers[:_MOST_BACKENDS]
            troubles = list(pool.map(lambda backend: self._dial(backend.host, backend.port), servers))
        is_any_well = None in troubles
        return [
            _backend(route, server, trouble, is_any_well) for server, trouble in zip(servers, troubles, strict=True)
        ]

    def _certificate(self, route: Route) -> Iterator[Finding]:
        if route.workload.tls_passthrough:
            yield Finding("certificate", Status.OK, "TLS passthrough: the backend presents its own certificate")
            return
        name = subject_of(route.domain, route.host)
        served = self._probe().presented(route.host)
        view = self._issuance.view(name)
        if isinstance(served, Presented) and served.covers(route.host):
            days = (served.not_after - time.time()) / inventory.DAY_SECONDS
            status, todo = (
                (Status.OK, "") if days > 0 else (Status.FAIL, f"gateway certs: see why {name} is not renewed")
            )
            yield Finding("certificate", status, f"served by {served.issuer}, {days:.1f} days left", todo)
        else:
            yield _missing(name, served, view)
        yield from _history(view)


def _unknown(host: str, domain: str | None) -> tuple[str, str]:
    """What is known of a host that no workload has, and the command that gives it one."""
    if domain is None:
        said = f"no workload is for {host}, and it lies under no domain of this gateway"
        return said, f"gateway route fqdn WLID {host} BACKEND"
    if host == domain:
        said = f"{host} is the gateway domain itself: workloads are served at names under it"
        return said, f"gateway route name WLID NAME BACKEND --domain {domain}"
    name = host.removesuffix(f".{domain}")
    if "." in name:
        return f"{host} lies two labels under the gateway domain {domain}, where nothing is served", (
            f"choose one label: gateway route name WLID NAME BACKEND --domain {domain}"
        )
    said = f"{host} lies under the gateway domain {domain}, and no workload has it"
    return said, f"gateway route name WLID {name} BACKEND --domain {domain}"


def _standing(view: WorkloadView) -> Finding:
    state, reason = view.standing.state, view.standing.reason
    if state is State.APPLIED:
        return Finding("workload", Status.OK, f"{view.id} is served here")
    if state is State.PENDING:
        return Finding("workload", Status.WARN, f"{view.id} is pending: {reason}", f"gateway route show {view.id}")
    return Finding("workload", Status.FAIL, f"{view.id} is in quarantine: {reason}", f"gateway route show {view.id}")


def _backend(route: Route, server: Backend, trouble: str | None, is_any_well: bool) -> Finding:
    identity = f"backend:{server.socket_address}"
    if trouble is not None:
        status = Status.WARN if is_any_well else Status.FAIL
        return Finding(identity, status, trouble, f"start the backend, or let this host reach {server.socket_address}")
    trust = route.workload.options.backend_tls
    is_unverified = server.scheme == "https" and not (trust is not None and trust.verify)
    note = "; its certificate is not verified (`backend_tls.verify`)" if is_unverified else ""
    return Finding(identity, Status.OK, f"{server} takes connections{note}")


def _missing(name: str, served: Presented | str, view: IssuanceView | None) -> Finding:
    seen = served if isinstance(served, str) else f"a certificate for something else is served, by {served.issuer}"
    if view is None:
        return Finding("certificate", Status.FAIL, f"{seen}; none is ordered for {name}", "gateway route list")
    if view.reason is None:
        return Finding("certificate", Status.FAIL, f"{seen}; {name} is being ordered", "wait a minute, and ask again")
    return Finding("certificate", Status.FAIL, f"{seen}; none is ordered for {name}", view.reason)


def _history(view: IssuanceView | None) -> Iterator[Finding]:
    failure = view.failure if view else None
    if view is None or failure is None:
        return
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(failure.at))
    words = f"{moment}: {failure.words} ({failure.detail})" if failure.detail else f"{moment}: {failure.words}"
    yield Finding("last-error", Status.WARN if view.is_issued else Status.FAIL, words, failure.todo)
    if view.next_try is not None:
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(view.next_try))
        yield Finding("next-try", Status.OK, f"by itself, not before {moment}")
