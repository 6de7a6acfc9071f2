"""Layouts: how the routes are laid out in files for Traefik.

documented  one file a workload, as people know it from the original system. Good up to some hundred workloads.
tree        one document for all. Names are grouped by prefix behind a few parent routers, since Traefik looks for a
            router one by one; TLS stands at the parents, since every router that names a resolver costs each reload.

A layout takes changes and says which files they touch. Both layouts may lie in the directory at once while one gives
way to the other: the tree's file sorts last and its parents have the lowest priority, so a workload's own file wins
as long as it is there, and not one request falls between the two.
"""

from collections.abc import Mapping
from typing import Protocol

from appliance.model.steps import Steps, at_once
from appliance.render import dynamic, grouping, middlewares
from appliance.render.dynamic import Decision
from appliance.render.grouping import Grouped, Members

Files = dict[str, str | None]
"""File name -> text, or None for a file that is not wanted any more."""

TREE_FILE = "~tree.yaml"
"""Sorts behind every workload id: of two definitions of one router Traefik takes the first it reads."""
TREE_FROM = 501
"""With so many workloads the tree replaces the documented layout..."""
DOCUMENTED_BELOW = 400
"""...which comes back below so many; the distance keeps a gateway at the border from changing for ever."""

_FQDNS = ""
"""Stands for the FQDN proxies among the gateway domains."""


class Layout(Protocol):
    """Keeps what it was told; owned by one thread."""

    def update(self, changes: Mapping[str, Decision | None]) -> Files:
        """Take changed workloads in (None: gone); the files that follow from it."""

    def files(self) -> Files:
        """Every file of the layout."""


class Documented:
    """One file a workload."""

    def __init__(self, steps: Steps = at_once) -> None:
        self._steps = steps
        self._texts: dict[str, str] = {}

    def update(self, changes: Mapping[str, Decision | None]) -> Files:
        """One file for each change."""
        files: Files = {}
        for identity, decision in self._steps(changes.items()):
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

    def __init__(self, steps: Steps = at_once) -> None:
        self._steps = steps
        self._decisions: dict[str, Decision] = {}
        self._passed_through: dict[str, Members] = {}
        self._grouped: dict[str, Grouped] = {}
        self._users: dict[str, str] = {}

    def update(self, changes: Mapping[str, Decision | None]) -> Files:
        """The one document anew. Only the groups of changed workloads are rendered; the others' text is kept."""
        files: Files = {}
        for identity in self._steps(changes):  # first all of them, since one may take over what another one gives up
            self._drop(identity)
            if self._users.pop(middlewares.users_file(identity), None):
                files[middlewares.users_file(identity)] = None
        for identity, decision in self._steps(changes.items()):
            if decision is not None:
                self._put(identity, decision)
        return files | self.files()

    def files(self) -> Files:
        """The document, and the files with password lines."""
        passed_through = (self._passed_through[identity] for identity in sorted(self._passed_through))
        terminated = (self._grouped[domain].members() for domain in sorted(self._grouped) if self._grouped[domain])
        wholes = {"http": grouping.joined(terminated), "tcp": grouping.joined(passed_through)}
        sections = [grouping.section(protocol, whole) for protocol, whole in wholes.items() if whole.routers]
        document = dynamic.sealed("{" + ",\n".join(sections) + "}\n") if sections else None
        return {**self._users, TREE_FILE: document}

    def _drop(self, identity: str) -> None:
        before = self._decisions.pop(identity, None)
        if before is not None and self._passed_through.pop(identity, None) is None:
            self._grouped[before.route.domain or _FQDNS].drop(before)

    def _put(self, identity: str, decision: Decision) -> None:
        route = decision.route
        self._decisions[identity] = decision
        self._users |= dynamic.users_files(route)
        if route.workload.tls_passthrough:  # TCP routers know no parents
            self._passed_through[identity] = grouping.members(decision)
            return
        domain = route.domain or _FQDNS
        if domain not in self._grouped:
            self._grouped[domain] = Grouped(route.domain, self._steps)
        self._grouped[domain].put(decision)


def suitable(count: int, current: Layout, steps: Steps = at_once) -> Layout:
    """The layout for so many workloads: the current one as long as it will do, else an empty one of the other kind."""
    if isinstance(current, Tree):
        return Documented(steps) if count < DOCUMENTED_BELOW else current
    return Tree(steps) if count >= TREE_FROM else current
