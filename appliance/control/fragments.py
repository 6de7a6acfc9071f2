"""The operator's own fragments: from `extra/` into Traefik's directory, by way of a trial.

A fragment that Traefik cannot read would freeze every route. So each new version is looked at, then tried together
with the ones accepted before, and only then wanted in the directory. A refused version changes nothing: the one that
was accepted before stays. Trials take seconds, so all of this has a thread of its own; the applier only asks which
files are wanted.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from appliance import logs
from appliance.control.ports import FragmentStore, Proxy, Trial
from appliance.control.settling import Settled, settle
from appliance.model import fragments
from appliance.model.errors import GatewayError, Unavailable
from appliance.model.fragments import Fragment, FragmentState, FragmentView, Surroundings
from appliance.model.reservations import Reservations
from appliance.render import dynamic, trial
from appliance.render.expectations import rejection

log = logs.logger(__name__)

_RECHECK_SECONDS = 60.0
_RETRY_SECONDS = 5.0
_CONFIRM_SECONDS = 0.25
_PATIENCE_SECONDS = 5.0
"""How long Traefik may refuse what passed the trial: it reads files that were written together one after another."""
_KEPT = "; the version accepted before is still served"

Files = Mapping[str, str]


class Fragments:
    """Keeps which fragments are accepted. `start()` begins with a look; `stop()` joins.

    `around` tells what belongs to others, without the lock of this class. `changed` is told after other fragments are
    accepted than before.
    """

    def __init__(
        self,
        *,
        store: FragmentStore,
        trial: Trial,
        proxy: Proxy,
        around: Callable[[], Surroundings],
        changed: Callable[[], object],
    ) -> None:
        self._store = store
        self._trial = trial
        self._proxy = proxy
        self._around = around
        self._changed = changed
        self._wake = threading.Condition()
        self._is_due = True
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._accepted: dict[str, Fragment] = dict(store.accepted())
        self._files: Files = _files(self._accepted)
        self._written: Files = {}
        self._found: Mapping[str, Fragment | GatewayError] = {}
        self._refused: dict[str, str] = {}
        self._trying: frozenset[str] = frozenset()
        self._applied: dict[str, Fragment] = {}
        self._rejected: dict[str, tuple[Fragment, str]] = {}
        self._doubts: dict[str, float] = {}
        self._settled: tuple[object, Settled] | None = None
        self._trouble: str | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin to look; `on_failure` is told when that ends unexpectedly."""
        self._thread = threading.Thread(target=self._run, args=(on_failure,), name="fragments", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the trial under way and end. May be called again."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def look(self, names: Iterable[str] = ()) -> None:
        """Look at `extra/` again, since these entries changed, or something that the judgement depends on."""
        with self._wake:
            if any(names):
                self._settled = None  # saved again unchanged: somebody wants it tried again
            self._is_due = True
            self._wake.notify_all()

    def files(self) -> Files:
        """What is wanted in Traefik's directory beside the routes: file name -> text. A new object if it changed."""
        return self._files

    def written(self, files: Files) -> None:
        """These files, as given by `files`, are in the directory now."""
        if files is not self._written:
            with self._wake:
                self._written = files
                self._wake.notify_all()

    def reservations(self) -> Reservations:
        """What the accepted fragments keep from workloads."""
        with self._wake:
            return fragments.reservations(self._accepted.values())

    def views(self) -> list[FragmentView]:
        """Every fragment, by name."""
        with self._wake:
            return [self._view(name) for name in sorted(self._found.keys() | self._accepted.keys())]

    def notices(self) -> list[str]:
        """What somebody should look at."""
        with self._wake:
            found = [self._trouble] if self._trouble else []
            if self._refused:
                found.append(f"{len(self._refused)} fragment(s) in extra/ refused: `gateway extra` says why")
            return found

    def _view(self, name: str) -> FragmentView:
        accepted = self._accepted.get(name)
        is_live = accepted is not None and self._written is self._files
        if name in self._trying:
            return FragmentView(name, FragmentState.PENDING, self._trouble or "it is being tried", is_live)
        if name in self._refused:
            return FragmentView(name, FragmentState.REFUSED, self._refused[name] + (_KEPT if accepted else ""), is_live)
        if self._applied.get(name) != accepted or accepted is None:
            return FragmentView(name, FragmentState.PENDING, "accepted; Traefik has not confirmed it yet", is_live)
        return FragmentView(name, FragmentState.APPLIED, "", is_live)

    def _run(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while self._await_cause():
                self._cycle()
        except BaseException as error:  # noqa: BLE001  whatever it was, dead fragments must not look alive
            on_failure(error)

    def _await_cause(self) -> bool:
        """Wait for something to look at, confirming what is unconfirmed meanwhile. False: stop."""
        recheck = time.monotonic() + (_RETRY_SECONDS if self._trouble else _RECHECK_SECONDS)
        while True:
            is_open = self._confirm()
            with self._wake:
                pause = _CONFIRM_SECONDS if is_open else max(0.0, recheck - time.monotonic())
                self._wake.wait_for(lambda: self._is_stopping or self._is_due, pause)
                if self._is_stopping or self._is_due or time.monotonic() >= recheck:
                    self._is_due = False
                    return not self._is_stopping

    def _cycle(self) -> None:
        try:
            self._judge()
            self._trouble = None
        except Unavailable as error:
            if self._trouble != str(error):
                log.warning("fragments cannot be tried", reason=str(error))
            self._trouble = str(error)

    def _judge(self) -> None:
        """Look at every fragment, try what is new, and want what is good. Raises Unavailable."""
        found, around = self._store.load(), self._around()
        problems = {name: words for name, it in found.items() if (words := self._problem(it, around)) is not None}
        good = {name: it for name, it in found.items() if isinstance(it, Fragment) and name not in problems}
        kept = {name: old for name, old in self._accepted.items() if name in found and _fits(old, around)}
        candidates = {name: new for name, new in good.items() if kept.get(name) != new}
        with self._wake:
            self._found = found
            self._trying = frozenset(candidates.keys() - self._refused.keys() if self._settled else candidates)
        settled = self._settle(kept, candidates)
        self._take(settled.accepted, {**problems, **settled.refused})

    def _problem(self, content: Fragment | GatewayError, around: Surroundings) -> str | None:
        if isinstance(content, GatewayError):
            return str(content)
        rejected = self._rejected.get(content.name)
        if rejected is not None and rejected[0] == content:
            return rejected[1]
        try:
            fragments.check(content, around)
        except GatewayError as error:
            return str(error)
        return None

    def _settle(self, kept: Mapping[str, Fragment], candidates: Mapping[str, Fragment]) -> Settled:
        """Try what has to be tried; the same question is not asked twice."""
        question = (dict(kept), dict(candidates), kept.keys() == self._accepted.keys())
        if self._settled is not None and self._settled[0] == question:
            return self._settled[1]
        withdrawn: Mapping[str, Fragment] = {}
        if kept.keys() != self._accepted.keys() and kept:  # what is gone may have been what another one uses
            rest = settle({}, kept, self._trial.complaints)
            withdrawn = {name: old for name, old in kept.items() if name not in rest.accepted}
            kept = rest.accepted
        settled = settle(kept, {**withdrawn, **candidates}, self._trial.complaints)
        self._settled = (question, settled)
        return settled

    def _take(self, accepted: Mapping[str, Fragment], refused: Mapping[str, str]) -> None:
        """Want these from now on, and remember them."""
        _report(self._refused, refused)
        with self._wake:
            self._trying = frozenset()
            self._refused = dict(refused)
            if accepted == self._accepted:
                return
            self._accepted = dict(accepted)
            self._applied = {name: it for name, it in self._applied.items() if accepted.get(name) == it}
            self._files = _files(accepted)
        self._store.keep(accepted)
        self._changed()

    def _confirm(self) -> bool:
        """Ask Traefik about accepted fragments; whether questions stay open."""
        with self._wake:
            if self._written is not self._files:
                return bool(self._accepted)
            questions = [it for name, it in self._accepted.items() if self._applied.get(name) != it]
        for fragment in questions:
            try:
                words = self._unmet(fragment)
            except Unavailable:
                return True
            if words is None:
                log.info("fragment applied", fragment=fragment.file)
                self._doubts.pop(fragment.name, None)
                with self._wake:
                    self._applied[fragment.name] = fragment
            elif not words:
                self._doubts.pop(fragment.name, None)
            elif time.monotonic() > self._doubts.setdefault(fragment.name, time.monotonic()) + _PATIENCE_SECONDS:
                self._reject(fragment, words)
        with self._wake:
            return any(self._applied.get(name) != it for name, it in self._accepted.items())

    def _unmet(self, fragment: Fragment) -> str | None:
        """None when Traefik has all of it, empty when not yet, else why it will not. Raises Unavailable."""
        for protocol, name in fragment.defined("routers"):
            found = self._proxy.router(protocol, f"{name}@file")
            if found is None or found.get("rule") != trial.rule(fragment, protocol, name):
                return ""
            if (words := rejection(found)) is not None:
                return f"the router {name}: {words}"
        for protocol, name in fragment.defined("services"):
            if self._proxy.service(protocol, f"{name}@file") is None:
                return ""
        return None

    def _reject(self, fragment: Fragment, words: str) -> None:
        """Take a fragment out that passed its trial and is refused all the same, until it changes."""
        del self._doubts[fragment.name]
        self._rejected[fragment.name] = (fragment, f"Traefik refuses it beside the routes: {words}")
        with self._wake:
            remaining = {name: it for name, it in self._accepted.items() if name != fragment.name}
        self._take(remaining, {**self._refused, fragment.name: self._rejected[fragment.name][1]})


def _files(accepted: Mapping[str, Fragment]) -> Files:
    return MappingProxyType({trial.file_name(name): dynamic.sealed(trial.body(it)) for name, it in accepted.items()})


def _fits(fragment: Fragment, around: Surroundings) -> bool:
    try:
        fragments.check(fragment, around)
    except GatewayError:
        return False
    return True


def _report(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Log each refusal once, and its end."""
    for name, reason in after.items():
        if before.get(name) != reason:
            log.warning("fragment refused", fragment=name, reason=reason)
    for name in before.keys() - after.keys():
        log.info("fragment no longer refused", fragment=name)
