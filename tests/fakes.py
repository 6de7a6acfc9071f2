"""Fakes of the Protocols in `control/ports.py`: the same promises, kept in memory.

`tests/contract` runs one suite over each fake and over the adapter it stands for, so that what the fast tests believe
of the outside is what the outside does.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import yaml

from appliance.control.ports import Counters, Program
from appliance.model.admission import Desired
from appliance.model.backends import Address
from appliance.model.challenges import Challenge
from appliance.model.errors import GatewayError, InvalidInput, NotFound, Unavailable
from appliance.model.histories import Entry, Fetch
from appliance.model.plans import Delete, Plan
from appliance.model.traffic import Ledger
from appliance.model.workloads import Workload
from appliance.model.zones import Zone
from appliance.render import dynamic

PATIENCE_SECONDS = 10.0
"""How long a test waits for what must come; it never waits this long when it passes."""


def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds. Fails after the patience is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come about")
        pause.wait(0.002)


class FakeWorkloadStore:
    """Desired state in a dict; seniority counts up with each change."""

    def __init__(self) -> None:
        self._desired: dict[str, Desired] = {}
        self._changes = 0.0

    def load(self) -> Sequence[Desired]:
        return [self._desired[identity] for identity in sorted(self._desired)]

    def read(self, identities: Iterable[str]) -> Mapping[str, Desired | None]:
        return {identity: self._desired.get(identity) for identity in identities}

    def put(self, workload: Workload) -> None:
        self._set(workload.id, workload)

    def remove(self, identity: str) -> bool:
        return self._desired.pop(identity, None) is not None

    def damage(self, identity: str, problem: str) -> None:
        """What an editor does that saves half a file."""
        self._set(identity, InvalidInput(problem))

    def _set(self, identity: str, content: Workload | InvalidInput) -> None:
        self._changes += 1
        self._desired[identity] = Desired(identity, content, self._changes)


class FakeAcceptedStore:
    """Accepted versions in a dict."""

    def __init__(self) -> None:
        self.known: dict[str, Workload] = {}

    def load(self) -> Mapping[str, Workload]:
        return dict(self.known)

    def get(self, identity: str) -> Workload | None:
        return self.known.get(identity)

    def put(self, workload: Workload) -> None:
        self.known[workload.id] = workload

    def remove(self, identity: str) -> bool:
        return self.known.pop(identity, None) is not None


class FakeRouteFiles:
    """A watched directory in a dict. `plans` are those carried out that were not empty."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.aside: list[str] = []
        self.plans: list[Plan] = []
        self._written: dict[str, str] = {}

    def current(self) -> Mapping[str, str]:
        for name, text in list(self.files.items()):
            if not (name.endswith((".yaml", ".users")) and dynamic.is_sealed(text)):
                self._set_aside(name)
        self._written = dict(self.files)
        return dict(self.files)

    def damaged(self, names: Iterable[str]) -> frozenset[str]:
        found = frozenset(
            name for name in names if name not in self.files or self.files[name] != self._written.get(name)
        )
        for name in found & self.files.keys():
            self._set_aside(name)
        return found

    def write(self, plan: Plan) -> None:
        if plan:
            self.plans.append(plan)
        for change in plan:
            if isinstance(change, Delete):
                self.files.pop(change.name, None)
            else:
                self.files[change.name] = change.text
        self._written = dict(self.files)

    def _set_aside(self, name: str) -> None:
        self.aside.append(name)
        del self.files[name]


class FakeStaticConfiguration:
    """`traefik.yaml` in a string."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.is_restart_due = False

    def replace(self, text: str) -> bool:
        if text != self.text:
            self.text, self.is_restart_due = text, True
        return self.is_restart_due

    def restarted(self) -> None:
        self.is_restart_due = False


class FakeTraefik:
    """Traefik's API over what it has read from the route files.

    It reads whenever it is asked, until `freeze()`; `silent` makes it answer nothing; `rejected` (a part of the file's
    text -> its words) makes it have the file's router and not serve it.
    """

    def __init__(self, files: FakeRouteFiles) -> None:
        self._files = files
        self._frozen: dict[str, str] | None = None
        self.silent = False
        self.rejected: dict[str, str] = {}
        self.hidden: set[str] = set()
        """Names of routers and services that it reads and does not have."""
        self.certified: frozenset[str] = frozenset()
        self.asked = 0

    def freeze(self) -> None:
        """Go on with what was read until now, as Traefik does between two readings."""
        self._frozen = dict(self._files.files)

    def thaw(self) -> None:
        """Read again."""
        self._frozen = None

    def router(self, protocol: str, name: str) -> Mapping[str, Any] | None:
        return self.routers(protocol).get(name)

    def service(self, protocol: str, name: str) -> Mapping[str, Any] | None:
        return self.services(protocol).get(name)

    def routers(self, protocol: str) -> Mapping[str, Mapping[str, Any]]:
        found = {}
        for text in self._read():
            words = [words for part, words in self.rejected.items() if part in text]
            said = {"status": "disabled", "error": words} if words else {"status": "enabled"}
            for name, item in self._read_section(text, protocol, "routers").items():
                named = {key: [f"{other}@file" for other in item[key]] for key in _NAMES if key in item}
                found[f"{name}@file"] = {"name": f"{name}@file", "entryPoints": ["web-secure"], **said, **item, **named}
        return found

    def services(self, protocol: str) -> Mapping[str, Mapping[str, Any]]:
        found = {}
        for text in self._read():
            for name, item in self._read_section(text, protocol, "services").items():
                balancer = {"passHostHeader": True, **item["loadBalancer"]}
                if "serversTransport" in balancer:
                    balancer["serversTransport"] += "@file"
                found[f"{name}@file"] = {"status": "enabled", "loadBalancer": balancer}
        return found

    def certified_names(self) -> frozenset[str]:
        self._answer()
        return self.certified

    def _read(self) -> Sequence[str]:
        self._answer()
        files = self._files.files if self._frozen is None else self._frozen
        return tuple(text for name, text in files.items() if name.endswith(".yaml"))

    def _answer(self) -> None:
        self.asked += 1
        if self.silent:
            raise Unavailable("Traefik does not answer (it is a fake that was told to be silent)")

    def _read_section(self, text: str, protocol: str, part: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = yaml.safe_load(text).get(protocol, {}).get(part, {})
        return {name: item for name, item in found.items() if name not in self.hidden}


_NAMES = ("middlewares", "parentRefs")
"""What of a router are names of things, which Traefik reports with their provider."""


class FakeLookups:
    """Answers from a dict: addresses, or the error to raise. An unknown host does not exist."""

    def __init__(self, answers: Mapping[str, frozenset[Address] | GatewayError] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[str] = []

    def addresses(self, host: str) -> frozenset[Address]:
        self.asked.append(host)
        answer = self.answers.get(host, NotFound(f"{host} does not exist in the DNS"))
        if isinstance(answer, GatewayError):
            raise answer
        return answer


class FakePrograms:
    """supervisord with all programs running, unless told otherwise."""

    def __init__(self) -> None:
        self.states = {"traefik": "RUNNING", "gateway": "RUNNING"}
        self.restarts: list[str] = []
        self.silent = False

    def programs(self) -> Sequence[Program]:
        self._answer()
        return [Program(name, state, 100 + number) for number, (name, state) in enumerate(self.states.items())]

    def restart(self, name: str) -> None:
        self._answer()
        self.restarts.append(name)

    def _answer(self) -> None:
        if self.silent:
            raise Unavailable("supervisord does not answer (it is a fake that was told to be silent)")


class FakeAuthority:
    """An authority that remembers what it was told last, and answers from it."""

    def __init__(self) -> None:
        self.zones: tuple[Zone, ...] = ()
        self.values: Mapping[str, tuple[str, ...]] = {}
        self.seen: list[Fetch] = []
        self.queries: dict[tuple[str, str, str], int] = {}

    def set_zones(self, zones: Iterable[Zone]) -> None:
        self.zones = tuple(zones)

    def publish(self, serial: int, values: Mapping[str, tuple[str, ...]]) -> None:
        self.values = dict(values)

    def ask(self, name: str) -> tuple[str, ...] | None:
        """The TXT values at a name; None: not answered with authority."""
        if not any(name == zone.apex or name.endswith("." + zone.apex) for zone in self.zones):
            return None
        if values := self.values.get(name, ()):
            self.seen.append(Fetch(name, 1.0, "127.0.0.1"))
        return values

    def fetches(self) -> Sequence[Fetch]:
        seen, self.seen = self.seen, []
        return seen

    def counters(self) -> Counters:
        return Counters(
            queries=self.queries,
            rate_limited={"dropped": 0, "slipped": 0},
            overflowed=0,
            seconds={"udp": 3.0, "tcp": 0.0},
            timed={"udp": 2, "tcp": 0},
            slowest_seconds={"udp": 2.0, "tcp": 0.0},
            rrsets=len(self.values),
        )


class FakeChallengeStore:
    """A store that remembers what was saved last."""

    def __init__(self) -> None:
        self.saved: tuple[int, tuple[Challenge, ...]] = (0, ())
        self.history: tuple[Entry, ...] = ()

    def load(self) -> tuple[int, tuple[Challenge, ...]]:
        return self.saved

    def save(self, serial: int, challenges: Iterable[Challenge]) -> None:
        self.saved = (serial, tuple(challenges))

    def load_history(self) -> Sequence[Entry]:
        return self.history

    def save_history(self, entries: Iterable[Entry]) -> None:
        self.history = tuple(entries)


class FakeTrafficStore:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.saved: tuple[Ledger, float | None] = (Ledger(), None)

    def load(self) -> tuple[Ledger, float | None]:
        return self.saved

    def save(self, ledger: Ledger, now: float) -> None:
        self.saved = (ledger, now)
