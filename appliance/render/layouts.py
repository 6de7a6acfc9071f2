"""Layouts: how the routes are laid out in files for Traefik.

documented  one file a workload, as people know it from the original system. Good up to some hundred workloads.
tree        one document for all. Names are grouped by prefix behind a few parent routers, since Traefik looks for a
            router one by one; TLS stands at the parents, since every router that names a resolver costs each reload.

A layout takes changes and says which files they touch. Both layouts may lie in the directory at once while one gives
way to the other: the tree's file sorts last and its parents have the lowest priority, so a workload's own file wins
as long as it is there, and not one request falls between the two.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.model import prefixes
from appliance.model.admission import Route
from appliance.model.prefixes import Group
from appliance.render import balancing, dynamic, middlewares
from appliance.render.dynamic import Decision

Files = dict[str, str | None]
"""File name -> text, or None for a file that is not wanted any more."""

TREE_FILE = "~tree.yaml"
"""Sorts behind every workload id: of two definitions of one router Traefik takes the first it reads."""
TREE_FROM = 501
"""With so many workloads the tree replaces the documented layout..."""
DOCUMENTED_BELOW = 400
"""...which comes back below so many; the distance keeps a gateway at the border from changing for ever."""

_NAMES_PRIORITY = 2
_FQDNS_PRIORITY = 1
_LABEL_REST = "[a-z0-9-]*"
_HOST_REST = "[a-z0-9.-]*"
_END = r"\.?$"
"""A host may be asked for with its trailing dot; Traefik's own `Host` takes it, too."""


class Layout(Protocol):
    """Keeps what it was told; owned by one thread."""

    def update(self, changes: Mapping[str, Decision | None]) -> Files:
        """Take changed workloads in (None: gone); the files that follow from it."""

    def files(self) -> Files:
        """Every file of the layout."""


class Documented:
    """One file a workload."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def update(self, changes: Mapping[str, Decision | None]) -> Files:
        """One file for each change."""
        files: Files = {}
        for identity, decision in changes.items():
            fresh = dynamic.files(decision) if decision else {}
            own = (middlewares.users_file(identity), dynamic.file_name(identity))
            files.update((name, None) for name in own if self._texts.pop(name, None))
            files.update(fresh)
            self._texts |= fresh
        return files

    def files(self) -> Files:
        """All of them."""
        return dict(self._texts)


class Tree:
    """One document for all workloads, grouped by prefix."""

    def __init__(self) -> None:
        self._decisions: dict[str, Decision] = {}
        self._rest: dict[str, _Rest] = {}
        self._users: dict[str, str] = {}

    def update(self, changes: Mapping[str, Decision | None]) -> Files:
        """The one document anew. Only the changed workloads are rendered; the others' text is kept."""
        files: Files = {}
        for identity, decision in changes.items():
            if self._users.pop(middlewares.users_file(identity), None):
                files[middlewares.users_file(identity)] = None
            if decision is None:
                self._decisions.pop(identity, None)
                self._rest.pop(identity, None)
            else:
                self._decisions[identity] = decision
                self._rest[identity] = _rest(decision.route)
                self._users |= dynamic.users_files(decision.route)
        return files | self.files()

    def files(self) -> Files:
        """The document, and the files with password lines."""
        http, tcp = self._by_protocol()
        sections = [section for section in (self._http(http), self._tcp(tcp)) if section]
        document = dynamic.sealed("{" + ",\n".join(sections) + "}\n") if sections else None
        return {**self._users, TREE_FILE: document}

    def _by_protocol(self) -> tuple[list[Decision], list[Decision]]:
        http, tcp = list[Decision](), list[Decision]()
        for decision in self._decisions.values():
            (tcp if decision.route.workload.tls_passthrough else http).append(decision)
        return http, tcp

    def _http(self, decisions: list[Decision]) -> str:
        if not decisions:
            return ""
        trees: dict[str | None, dict[str, Decision]] = {}
        for decision in decisions:
            trees.setdefault(decision.route.domain, {})[_name(decision.route)] = decision
        routers = [line for domain, members in trees.items() for line in self._routers(domain, members)]
        return self._protocol("http", routers, decisions)

    def _tcp(self, decisions: list[Decision]) -> str:
        """TCP routers know no parents: they stay as they are."""
        if not decisions:
            return ""
        names = [decision.route.id for decision in decisions]
        routers = [f'"{dynamic.router_name(name)}":{{{self._rest[name].router}}}' for name in names]
        return self._protocol("tcp", routers, decisions)

    def _routers(self, domain: str | None, members: Mapping[str, Decision]) -> Iterator[str]:
        """The parents and children of one tree, as JSON members. `members` by name below the domain, or by host."""
        names = sorted(members)
        for group in prefixes.partition(names, prefixes.largest_group(len(names))):
            parent = f"_{domain or 'fqdn'}__{group.label}"  # no host has an underscore, no workload id starts with one
            decisions = [members[name] for name in group.names]
            yield f'"{parent}":{_json(_parent(domain, group, decisions))}'
            for decision in decisions:
                identity = decision.route.id
                yield f'"{dynamic.router_name(identity)}":{{{self._rest[identity].router},"parentRefs":["{parent}"]}}'

    def _protocol(self, protocol: str, routers: list[str], decisions: list[Decision]) -> str:
        rests = [self._rest[decision.route.id] for decision in decisions]
        sections = {
            "routers": routers,
            "middlewares": [rest.middlewares for rest in rests if rest.middlewares],
            "services": [rest.service for rest in rests],
            "serversTransports": [rest.transports for rest in rests if rest.transports],
        }
        parts = [_section(name, members) for name, members in sections.items() if members]
        return f'"{protocol}":{{' + ",\n".join(parts) + "}"


@dataclass(frozen=True, slots=True)
class _Rest:
    """What does not depend on the other workloads, as JSON members."""

    router: str
    middlewares: str
    service: str
    transports: str


def _rest(route: Route) -> _Rest:
    is_tcp = route.workload.tls_passthrough
    return _Rest(
        router=_members(dynamic.tcp_router(route) if is_tcp else dynamic.http_router(route)),
        middlewares=_members(middlewares.tcp(route) if is_tcp else middlewares.http(route)),
        service=_members({route.id: balancing.service(route)}),
        transports=_members(balancing.transports(route)),
    )


def suitable(count: int, current: Layout) -> Layout:
    """The layout for so many workloads: the current one as long as it will do, else an empty one of the other kind."""
    if isinstance(current, Tree):
        return Documented() if count < DOCUMENTED_BELOW else current
    return Tree() if count >= TREE_FROM else current


def _parent(domain: str | None, group: Group, decisions: list[Decision]) -> dict[str, Any]:
    if domain is not None:
        pattern = group.pattern(_LABEL_REST, "\\." + domain.replace(".", "\\.") + _END)
        return _root(pattern, _NAMES_PRIORITY, dynamic.domain_tls(domain))
    # One order a host: each entry of `domains` is a certificate of its own.
    ordered = [{"main": decision.route.host} for decision in decisions if decision.orders_certificate]
    tls = {"certResolver": dynamic.HTTP_RESOLVER, "domains": ordered} if ordered else {}
    return _root(group.pattern(_HOST_REST, _END), _FQDNS_PRIORITY, tls)


def _root(pattern: str, priority: int, tls: dict[str, Any]) -> dict[str, Any]:
    return {"rule": f"HostRegexp(`{pattern}`)", "priority": priority, "tls": tls}


def _name(route: Route) -> str:
    return route.host if route.domain is None else route.host.removesuffix(f".{route.domain}")


def _section(name: str, members: list[str]) -> str:
    return f'"{name}":{{' + ",\n".join(members) + "}"


def _members(value: Mapping[str, Any]) -> str:
    return _json(value)[1:-1]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
