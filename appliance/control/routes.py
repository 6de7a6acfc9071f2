"""The routes as files: keeps the layout, what is wanted and what is on disk, and writes the difference.

Knows neither why a route is wanted nor whether Traefik takes it. Owned by the applier's thread, but for `suspect`.
"""

import re
import threading
from collections import ChainMap
from collections.abc import Iterable, Mapping

from appliance import logs
from appliance.control.ports import Additions, RouteFiles
from appliance.model import plans
from appliance.model.errors import Unavailable
from appliance.model.steps import Steps, at_once
from appliance.render import dynamic, layouts
from appliance.render.dynamic import Decision
from appliance.render.expectations import Expectation, expectation
from appliance.render.layouts import TREE_FILE, Documented, Files, Layout

log = logs.logger(__name__)

_ORDERED = re.compile(r'\{"main":"([a-z0-9.-]+)"')
"""The hosts and gateway domains that a tree orders certificates for."""


class Routes:
    """Writes decisions about routes into Traefik's directory, in the layout that suits their number.

    `additions` are wanted there beside them, and written along.
    """

    def __init__(self, files: RouteFiles, additions: Additions | None = None, steps: Steps = at_once) -> None:
        self._files = files
        self._additions = additions
        self._steps = steps
        self._added: Mapping[str, str] = {}
        self._layout: Layout = Documented(steps)
        self._decisions: dict[str, Decision] = {}
        self._wanted: dict[str, str] = {}
        self._on_disk: dict[str, str] | None = None
        self._suspects: set[str] = set()
        self._is_all_suspect = False
        self._ordered_by: tuple[str, frozenset[str]] = ("", frozenset())
        self._trouble: str | None = None
        self._suspecting = threading.Lock()

    def suspect(self, names: Iterable[str]) -> None:
        """Somebody may have touched these entries of the directory, or (none) any: the next `write` looks at them."""
        found = set(names)
        with self._suspecting:
            self._suspects.update(found)
            self._is_all_suspect = self._is_all_suspect or not found

    def is_suspicious(self) -> bool:
        """Whether somebody may have touched the directory since it was looked at."""
        with self._suspecting:
            return self._is_all_suspect or bool(self._suspects)

    def mend(self) -> bool:
        """Look at what somebody may have touched, and put it right at once. Whether anything had to be written."""
        return self._bring_about(set())

    def decision(self, identity: str) -> Decision | None:
        """What was decided last about a workload's route; None: it has none."""
        return self._decisions.get(identity)

    def doubt_all(self) -> None:
        """The next `write` looks at the whole directory."""
        self._on_disk = None

    def trouble(self) -> str | None:
        """Why the last write did not come through, and what to do; None when it did. The next one makes up for it."""
        return self._trouble

    def was_ordered(self, decision: Decision) -> bool:
        """Whether the files on disk, which may be of an earlier process, order a certificate for this route."""
        try:
            on_disk = self._look()
        except Unavailable:
            return False
        own = on_disk.get(dynamic.file_name(decision.route.id))
        if own is not None and own == dynamic.text(dynamic.document(decision)):
            return True
        shared = on_disk.get(TREE_FILE, "")
        if shared is not self._ordered_by[0]:
            self._ordered_by = (shared, frozenset(_ORDERED.findall(shared)))
        return (decision.route.domain or decision.route.host) in self._ordered_by[1]

    def write(self, changes: Mapping[str, Decision | None]) -> dict[str, Expectation | None]:
        """Carry decisions out (None: no route). What Traefik must report for each new one; None: nothing any more."""
        through = self._steps
        fresh = {it: decision for it, decision in through(changes.items()) if self._differs(it, decision)}
        for identity, decision in fresh.items():
            if decision is None:
                self._decisions.pop(identity, None)
            else:
                self._decisions[identity] = decision
        self._bring_about(self._want(self._lay_out(fresh)))
        return {it: expectation(decision) if decision else None for it, decision in through(fresh.items())}

    def _bring_about(self, touched: set[str]) -> bool:
        """Make the directory hold what is wanted; `touched` names what may differ. Whether anything was written."""
        touched |= self._add()
        is_all_in_doubt = self._on_disk is None or self._is_all_suspect
        try:
            on_disk = self._look()
        except Unavailable as error:
            self._note_trouble(error)
            return False
        touched |= on_disk.keys() - self._wanted.keys() - self._added.keys()
        for files in (self._wanted, self._added):
            touched |= {name for name in files if is_all_in_doubt or name not in on_disk}
        is_written = self._carry_out(on_disk, touched)
        if self._additions is not None:
            self._additions.written(self._added)
        return is_written

    def _differs(self, identity: str, decision: Decision | None) -> bool:
        return self._decisions.get(identity) != decision

    def _lay_out(self, fresh: Mapping[str, Decision | None]) -> Files:
        """The files that follow from new decisions; with a change of layout, all files of both."""
        suitable = layouts.suitable(len(self._decisions), self._layout, self._steps)
        if suitable is self._layout:
            return self._layout.update(fresh) if fresh else {}
        log.info("layout of the routes changes", to=type(suitable).__name__.lower(), routes=len(self._decisions))
        gone: Files = dict.fromkeys(self._wanted)
        self._layout = suitable
        return gone | suitable.update(self._decisions)

    def _want(self, files: Files) -> set[str]:
        for name, text in files.items():
            if text is None:
                self._wanted.pop(name, None)
            else:
                self._wanted[name] = text
        return set(files)

    def _add(self) -> set[str]:
        """Take over what is wanted beside the routes; the names concerned if it is not what it was."""
        before = self._added
        self._added = self._additions.files() if self._additions is not None else before
        return set() if self._added is before else {*before, *self._added}

    def _look(self) -> dict[str, str]:
        """What is on disk: as remembered, but for entries that somebody may have touched. Raises Unavailable."""
        with self._suspecting:
            suspects, self._suspects = self._suspects, set()
            if self._is_all_suspect:
                self._is_all_suspect, self._on_disk = False, None
        if self._on_disk is None:
            self._on_disk = dict(self._files.current())
        elif suspects:
            for name in self._files.damaged(suspects):
                self._on_disk.pop(name, None)
        return self._on_disk

    def _carry_out(self, on_disk: dict[str, str], touched: set[str]) -> bool:
        current = {name: on_disk[name] for name in touched if name in on_disk}
        everything = ChainMap(self._wanted, dict(self._added))
        wanted = {name: everything[name] for name in touched if name in everything}
        plan = plans.diff(current, wanted)
        if not plan:
            self._trouble = None
            return False
        try:
            self._files.write(plan)
        except Unavailable as error:
            self._note_trouble(error)
            return False
        self._trouble = None
        for name in touched:
            if name in wanted:
                on_disk[name] = wanted[name]
            else:
                on_disk.pop(name, None)
        log.info("routes written", changes=len(plan), routes=len(self._decisions))
        return True

    def _note_trouble(self, error: Unavailable) -> None:
        if self._trouble is None:
            log.error("routes cannot be written; what is there is served on", reason=str(error))
        self._trouble = str(error)
        self._on_disk = None
