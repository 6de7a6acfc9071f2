"""A tree of routers as text: names grouped by prefix behind parents, each group rendered once and kept.

Of ten thousand names one changes its own group of about a hundred; the text of the others is taken as it is. What is
told depends on the names alone and not on their order of arrival, so a gateway that starts anew writes what was there.
"""

import json
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.model import prefixes
from appliance.model.admission import Route
from appliance.model.prefixes import Group
from appliance.model.steps import Steps, at_once
from appliance.render import balancing, dynamic, middlewares
from appliance.render.dynamic import Decision

_NAMES_PRIORITY = 2
_FQDNS_PRIORITY = 1
_LABEL_REST = "[a-z0-9-]*"
_HOST_REST = "[a-z0-9.-]*"
_END = r"\.?$"
"""A host may be asked for with its trailing dot; Traefik's own `Host` takes it, too."""
_BETWEEN = ",\n"
_encoded = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Members:
    """What a workload or a group adds to each section of a protocol, as JSON members; empty: nothing."""

    routers: str = ""
    middlewares: str = ""
    services: str = ""
    transports: str = ""


def members(decision: Decision, parent: str | None = None) -> Members:
    """One workload's share of the document; behind `parent`, or (None) with a router that stands for itself."""
    route = decision.route
    is_tcp = route.workload.tls_passthrough
    router = dynamic.tcp_router(route) if is_tcp else dynamic.http_router(route)
    above = {"parentRefs": [parent]} if parent is not None else {}
    return Members(
        routers=_members({dynamic.router_name(route.id): {**router, **above}}),
        middlewares=_members(middlewares.tcp(route) if is_tcp else middlewares.http(route)),
        services=_members({route.id: balancing.service(route)}),
        transports=_members(balancing.transports(route)),
    )


def joined(parts: Iterable[Members]) -> Members:
    """Several shares as one."""
    found = list(parts)
    return Members(
        routers=_join(part.routers for part in found),
        middlewares=_join(part.middlewares for part in found),
        services=_join(part.services for part in found),
        transports=_join(part.transports for part in found),
    )


def section(protocol: str, whole: Members) -> str:
    """A protocol's part of the document; empty sections are left out, for Traefik takes them for an error."""
    texts = {
        "routers": whole.routers,
        "middlewares": whole.middlewares,
        "services": whole.services,
        "serversTransports": whole.transports,
    }
    return f'"{protocol}":{{' + _BETWEEN.join(f'"{name}":{{{text}}}' for name, text in texts.items() if text) + "}"


class Grouped:
    """The HTTP routes of one gateway domain, or (`domain` None) of all FQDN proxies. Owned by one thread."""

    def __init__(self, domain: str | None, steps: Steps = at_once) -> None:
        self._domain = domain
        self._steps = steps
        self._names: list[str] = []
        self._decisions: dict[str, Decision] = {}
        self._fresh: set[str] = set()
        self._groups: dict[Group, Members] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def drop(self, decision: Decision) -> None:
        """Leave out what was decided before."""
        name = self._name(decision.route)
        if self._decisions.pop(name, None) is not None:
            del self._names[bisect_left(self._names, name)]

    def put(self, decision: Decision) -> None:
        """Take in a decision about a name that is free."""
        name = self._name(decision.route)
        if name not in self._decisions:
            insort(self._names, name)
        self._decisions[name] = decision
        self._fresh.add(name)

    def members(self) -> Members:
        """Everything as it is now."""
        found = prefixes.partition(self._names, prefixes.largest_group(len(self._names)))
        self._groups = {group: self._kept(group) or self._rendered(group) for group in found}
        self._fresh.clear()
        return joined(self._groups.values())

    def _kept(self, group: Group) -> Members | None:
        return self._groups.get(group) if self._fresh.isdisjoint(group.names) else None

    def _rendered(self, group: Group) -> Members:
        parent = f"_{self._domain or 'fqdn'}__{group.label}"  # no host has an underscore, no id starts with one
        decisions = [self._decisions[name] for name in group.names]
        above = Members(routers=_members({parent: _parent(self._domain, group, decisions)}))
        return joined([above, *(members(decision, parent) for decision in self._steps(decisions))])

    def _name(self, route: Route) -> str:
        return route.host if self._domain is None else route.host.removesuffix(f".{self._domain}")


def _parent(domain: str | None, group: Group, decisions: list[Decision]) -> dict[str, Any]:
    if domain is not None:
        pattern = group.pattern(_LABEL_REST, "\\." + domain.replace(".", "\\.") + _END)
        is_ordered = any(decision.orders_certificate for decision in decisions)
        return _root(pattern, _NAMES_PRIORITY, dynamic.domain_tls(domain) if is_ordered else {})
    # One order a host: each entry of `domains` is a certificate of its own.
    ordered = [{"main": decision.route.host} for decision in decisions if decision.orders_certificate]
    tls = {"certResolver": dynamic.HTTP_RESOLVER, "domains": ordered} if ordered else {}
    return _root(group.pattern(_HOST_REST, _END), _FQDNS_PRIORITY, tls)


def _root(pattern: str, priority: int, tls: dict[str, Any]) -> dict[str, Any]:
    return {"rule": f"HostRegexp(`{pattern}`)", "priority": priority, "tls": tls}


def _join(texts: Iterator[str]) -> str:
    return _BETWEEN.join(filter(None, texts))


def _members(value: Mapping[str, Any]) -> str:
    return _encoded(value)[1:-1] if value else ""
