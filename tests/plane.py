"""A control plane over fakes, as `daemon/parts.py` builds it over adapters."""

import dataclasses
import ipaddress
import time
from collections.abc import Callable
from typing import Any

from appliance.control.applier import Applier
from appliance.control.challenges import Challenges
from appliance.control.docket import Limits
from appliance.control.events import Events
from appliance.control.fragments import Fragments
from appliance.control.gateway import Gateway
from appliance.control.issuance import Issuance
from appliance.control.lookups import Watch
from appliance.control.programs import Usage
from appliance.control.traffic import Traffic
from appliance.model import admission, workloads
from appliance.model.backends import BackendPolicy
from appliance.model.errors import Unavailable
from appliance.model.flows import FlowReading
from appliance.model.fragments import Surroundings
from appliance.model.standings import CertificateState, State, WorkloadView
from appliance.model.steps import Steps, at_once
from appliance.model.traffic import Endpoint, Scrape
from appliance.model.workloads import Workload
from tests.fakes import (
    PATIENCE_SECONDS,
    FakeAcceptedStore,
    FakeAuthority,
    FakeChallengeStore,
    FakeLookups,
    FakePrograms,
    FakeRouteFiles,
    FakeStaticConfiguration,
    FakeTraefik,
    FakeTrafficStore,
    FakeWorkloadStore,
    until,
)
from tests.fakes_fragments import FakeFragmentStore, FakeTrial
from tests.fakes_issuance import FakeIssuanceStore, FakePreflights

HERE = frozenset({ipaddress.ip_address("203.0.113.10")})
RULES = admission.Gateway(True, HERE, ("gw.example.com",), BackendPolicy(own=HERE, allow_hostnames=True))
NO_PUBLIC = admission.Gateway(False, frozenset(), (), BackendPolicy())


def name(identity: str, label: str = "", backend: str = "http://10.1.2.3") -> Workload:
    document = {"type": "gateway-name-proxy", "name": label or identity, "backends": [backend]}
    return workloads.parse(identity, document)


def fqdn(identity: str, host: str, backend: str = "http://10.1.2.3") -> Workload:
    return workloads.parse(identity, {"type": "gateway-fqdn-proxy", "fqdn": host, "backends": [backend]})


class NoCounters:
    """A Traefik that tells no counters."""

    def scrape(self, patience_seconds: float) -> Scrape:
        raise Unavailable("there are no counters")


class NoConnections:
    """A host that tells nothing of its connections."""

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        raise Unavailable("this host cannot tell")

    def stop(self) -> None:
        pass

    def numbering(self) -> str:
        return ""

    def watch(self, endpoints: frozenset[Endpoint]) -> None:
        pass

    def read(self) -> FlowReading:
        raise Unavailable("this host cannot tell")


class Plane:
    """The use cases, and every fake they stand on. What the fakes hold survives `start` and `stop`, like a disk."""

    def __init__(self) -> None:
        self.store = FakeWorkloadStore()
        self.accepted = FakeAcceptedStore()
        self.files = FakeRouteFiles()
        self.traefik = FakeTraefik(self.files)
        self.lookups = FakeLookups()
        self.programs = FakePrograms()
        self.static = FakeStaticConfiguration()
        self.extra = FakeFragmentStore()
        self.authority = FakeAuthority()
        self.issued = FakeIssuanceStore()
        self.trial = FakeTrial()
        self.route_trial = FakeTrial()
        self.failures: list[BaseException] = []
        self.steps: Steps = at_once
        self.usage: Usage | None = None
        self.described: dict[str, Any] = {
            "version": "1",
            "root": "/srv",
            "config": "/etc/gateway.yaml",
            "settings_problem": None,
            "is_restarting": False,
            "public": {"ipv4": "203.0.113.10"},
            "zones": [],
        }

    def _rules(self) -> admission.Gateway:
        return dataclasses.replace(self.rules, reserved=self.fragments.reservations())

    def start(self, rules: admission.Gateway = RULES) -> None:
        self.rules = rules
        self.fragments = Fragments(
            store=self.extra,
            trial=self.trial,
            proxy=self.traefik,
            around=lambda: Surroundings(rules.domains, *self.applier.board.claims()),
            changed=lambda: self.applier.reconfigure(self._rules()),
        )
        traffic = Traffic(NoCounters(), NoConnections(), FakeTrafficStore())
        self.events = Events()
        self.watch = Watch(self.lookups, self._request_hosts)
        self.issuance = Issuance(
            preflights=FakePreflights(self.watch, HERE),
            proxy=self.traefik,
            store=self.issued,
            limits=lambda: Limits(orders_per_hour=100, rate_limit_pause_seconds=3600.0),
            on_change=self._on_verdicts,
        )
        # A verdict that came later would have everything written twice.
        self.issuance.patience_seconds = PATIENCE_SECONDS
        self.applier = Applier(
            workloads=self.store,
            accepted=self.accepted,
            files=self.files,
            proxy=self.traefik,
            watch=self.watch,
            traffic=traffic,
            issuance=self.issuance,
            trial=self.route_trial,
            gateway=self._rules(),
            additions=self.fragments,
            events=self.events,
            steps=self.steps,
        )
        self.gateway = Gateway(
            applier=self.applier,
            store=self.store,
            challenges=Challenges(self.authority, FakeChallengeStore(), time.time, self.events),
            authority=self.authority,
            traffic=traffic,
            fragments=self.fragments,
            proxy=self.traefik,
            programs=self.programs,
            static=self.static,
            describe=lambda: self.described,
            events=self.events,
            measure=lambda _: self.usage,
        )
        self.watch.start(self.failures.append)
        self.issuance.start(self.failures.append)
        self.applier.start(self.failures.append)
        self.fragments.start(self.failures.append)

    def stop(self) -> None:
        self.fragments.stop()
        self.applier.stop()
        self.issuance.stop()
        self.watch.stop()
        if self.failures:
            raise AssertionError("the applier failed") from self.failures[0]

    def _on_verdicts(self, subjects: frozenset[str]) -> None:
        self.applier.request_certificates(subjects)

    def _request_hosts(self, hosts: frozenset[str]) -> None:
        self.issuance.look(hosts)
        self.applier.request_hosts(hosts)

    def put(self, *items: Workload) -> None:
        """Write workload files, as an editor does, and wait until they have been looked at."""
        for item in items:
            self.store.put(item)
        self.look()

    def put_quietly(self, item: Workload) -> None:
        """Write a workload file, and wait for nothing."""
        self.store.put(item)
        self.applier.request({item.id})

    def look(self) -> None:
        """Wait for a cycle that looks at everything."""
        self.applier.wait("nobody", self.applier.request(), time.monotonic() + PATIENCE_SECONDS)

    def view(self, identity: str) -> WorkloadView:
        found = self.applier.board.view(identity, self.traefik.certified)
        assert found is not None
        return found

    def state(self, identity: str) -> State:
        return self.view(identity).standing.state

    def reason(self, identity: str) -> str:
        return self.view(identity).standing.reason

    def certificate(self, identity: str) -> CertificateState:
        return self.view(identity).certificate.state

    def reaches(self, identity: str, state: State) -> None:
        """Wait until a workload is in this state."""
        until(lambda: self.state(identity) is state)

    def orders(self, identity: str) -> bool:
        """Whether the route as written orders a certificate."""
        return "certResolver" in self.files.files[f"{identity}.yaml"]
