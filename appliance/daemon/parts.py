"""The parts of the control plane, built from the settings and tied to one another."""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from appliance import settings
from appliance.adapters import processes
from appliance.adapters.challenge_files import ChallengeFiles
from appliance.adapters.challenge_socket import ChallengeSocket
from appliance.adapters.connections import KernelConnections
from appliance.adapters.dns import DnsServer
from appliance.adapters.dns_probe import DnsProbe
from appliance.adapters.files import AcceptedFiles, ProxyFiles, StaticConfigurationFile, WorkloadFiles
from appliance.adapters.fragment_files import FragmentFiles
from appliance.adapters.lookups import ResolverLookups
from appliance.adapters.metrics import TraefikMetrics
from appliance.adapters.store_files import StoreRecordFiles, TraefikStore, snapshots_of
from appliance.adapters.supervisor_rpc import SupervisorRpc
from appliance.adapters.throwaway import TraefikTrial
from appliance.adapters.token_file import TokenFile
from appliance.adapters.traefik_api import TraefikApi
from appliance.adapters.traffic_files import TrafficFiles
from appliance.adapters.watcher import Watcher
from appliance.control import examinations
from appliance.control.additions import Together
from appliance.control.applier import Applier
from appliance.control.challenges import Challenges
from appliance.control.doctor import Doctor
from appliance.control.events import Events
from appliance.control.fragments import Fragments
from appliance.control.gateway import Gateway
from appliance.control.lookups import Watch
from appliance.control.stores import CertificateStores
from appliance.control.traffic import Traffic
from appliance.control.yielding import Yielding
from appliance.daemon import diagnosis
from appliance.daemon.configuration import Configuration
from appliance.daemon.issuing import Issuing
from appliance.daemon.telling import Telling
from appliance.layout import Root
from appliance.model import admission
from appliance.model.backends import Address
from appliance.model.errors import Unavailable
from appliance.model.fragments import Surroundings
from appliance.render import dns_records
from appliance.render.dynamic import DNS_RESOLVER, HTTP_RESOLVER
from appliance.settings import meaning

OnFailure = Callable[[BaseException], None]


class Parts:
    """Every part, built and not yet started. `failed` is told when one ends unexpectedly."""

    def __init__(self, root: Root, configuration: Configuration, failed: OnFailure) -> None:
        self._root = root
        self._configuration = configuration
        self._broker_addresses: frozenset[Address] = frozenset()
        self._changing_rules = threading.Lock()
        self.bus_trouble: Callable[[], str | None] = lambda: None
        """Why no calls come from the message bus; None when they do, or there is none."""
        self.events = Events()
        loaded = configuration.settings
        self.tokens = TokenFile(loaded.admin.token_file) if loaded.admin.token_file and loaded.admin.listen else None
        """Who may call the admin API over TCP; None where nobody may."""
        self.tcp_trouble: str | None = None
        """Why the admin API is not served over TCP although it should be."""
        self._build_authority(failed)
        self._yielding = Yielding(self.dns.per_second)
        self._proxy = TraefikApi(*settings.split_endpoint(loaded.traefik.api), self._yielding)
        self._store = WorkloadFiles(root.workloads, self._yielding)
        self._build_routing()
        self.stores = self._certificate_stores()
        self.doctor = Doctor(self._examined)
        self.programs = SupervisorRpc(root.supervisor_socket)
        self.telling = Telling(
            root,
            configuration,
            board=self.applier.board,
            proxy=self._proxy,
            issuance=self.issuing.issuance,
            stores=self.stores,
            doctor=self.doctor,
            programs=self.programs,
        )
        self.gateway = self._gateway()
        for source in (self.issuing.issuance, self.telling.inventory, self.telling.alerting):
            self.gateway.measuring.add(source.families)
        self.challenge_socket = ChallengeSocket(
            root.challenge_socket, self.gateway.present, self.gateway.clean_up, loaded.challenge.uids, failed=failed
        )
        self.watcher = self._watcher()

    def _build_authority(self, failed: OnFailure) -> None:
        loaded = self._configuration.settings
        self.dns = DnsServer(
            meaning.dns_listen(loaded),
            rate_limit=meaning.rate_limit(loaded),
            nsid=meaning.nsid(loaded),
            failed=lambda name: failed(Unavailable(f"the thread {name} ended")),
        )
        store = ChallengeFiles(self._root.state / "challenges.json")
        self.challenges = Challenges(self.dns, store, time.time, self.events)
        self._dns_probe = DnsProbe(self.dns.loads, self._apexes)

    def _build_routing(self) -> None:
        root, configuration = self._root, self._configuration
        loaded = configuration.settings
        lookups = ResolverLookups(lambda: meaning.resolvers(configuration.settings))
        self.watch = Watch(lookups, self._on_moved_hosts)
        self.traffic = Traffic(
            TraefikMetrics(*settings.split_endpoint(loaded.traefik.metrics)),
            KernelConnections(),
            TrafficFiles(root.state / "traffic.json", root.quarantine),
        )
        binary = processes.traefik_binary(loaded.traefik.binary)
        self.issuing = Issuing(
            root,
            self._configuration,
            self._proxy,
            self.watch,
            self.events,
            on_change=self._on_verdicts,
            binary=binary,
            on_files=lambda: self.applier.request(()),
        )
        trial = TraefikTrial(binary, root.path)
        self.fragments = Fragments(
            store=FragmentFiles(root.extra, root.fragments, binary),
            trial=trial,
            proxy=self._proxy,
            around=self._around_fragments,
            changed=self.change_rules,
        )
        self.applier = Applier(
            workloads=self._store,
            accepted=AcceptedFiles(root.accepted, self._yielding),
            files=ProxyFiles(root.proxy, root.staging, root.quarantine),
            proxy=self._proxy,
            watch=self.watch,
            traffic=self.traffic,
            issuance=self.issuing.issuance,
            trial=trial,
            gateway=self.rules(),
            additions=Together(self.fragments, self.issuing.rehearsals),
            events=self.events,
            steps=self._yielding,
        )

    def _certificate_stores(self) -> CertificateStores:
        root = self._root
        paths = {HTTP_RESOLVER: root.http_store, DNS_RESOLVER: root.dns_store}
        return CertificateStores(
            files=[TraefikStore(resolver, path, snapshots_of(root, path)) for resolver, path in paths.items()],
            records=StoreRecordFiles(root.certificates, root.restored),
            applier=self.applier,
            additions=self.fragments,
            keeping=lambda: meaning.keeping(self._configuration.settings),
            restart=lambda: self.gateway.restart_traefik("dropping certificates that no workload uses"),
        )

    def _gateway(self) -> Gateway:
        root = self._root
        return Gateway(
            applier=self.applier,
            store=self._store,
            challenges=self.challenges,
            authority=self.dns,
            traffic=self.traffic,
            fragments=self.fragments,
            proxy=self._proxy,
            programs=self.programs,
            static=StaticConfigurationFile(root.static_configuration, root.restart_mark),
            stores=self.stores,
            doctor=self.doctor.report,
            certificates=self.telling.inventory.documents,
            explain=lambda host: self.telling.explainer.explain(host).document(),
            describe=self.describe,
            events=self.events,
            records=lambda: dns_records.records(self._configuration.settings),
            measure=processes.usage,
        )

    def _watcher(self) -> Watcher:
        watcher = Watcher()
        watcher.add(self._root.workloads, self._on_workload_files)
        watcher.add(self._root.extra, self.fragments.look)
        watcher.add(self._root.proxy, self.applier.request_route_files, self._on_another_route_directory)
        watcher.add(self._root.traefik, self.stores.look)
        return watcher

    def describe(self) -> Mapping[str, Any]:
        """What `status` tells of this process, from `version` to `zones`."""
        loaded, dns = self._configuration.settings, self._dns_probe.look()
        return {
            "version": metadata.version("gateway-appliance"),
            "root": str(self._root.path),
            "config": str(self._configuration.path),
            "settings_problem": self._configuration.problem,
            "is_restarting": self._configuration.is_restart_due,
            "bus_problem": self.bus_trouble(),
            "dns_problems": dns.problems,
            "dns_notices": dns.notices,
            "admin_problem": self.tcp_trouble or (self.tokens.trouble() if self.tokens else None),
            "public": loaded.public.model_dump(mode="json") if loaded.public else None,
            "zones": self._apexes(),
        }

    def _apexes(self) -> list[str]:
        return [zone.apex for zone in meaning.zones(self._configuration.settings)]

    def rules(self) -> admission.Gateway:
        """The rules of admission as they are now."""
        own = processes.interface_addresses()
        found = meaning.rules(self._configuration.settings, broker=self._broker_addresses, own=own)
        return dataclasses.replace(found, reserved=self.fragments.reservations())

    def on_broker_addresses(self, found: frozenset[Address]) -> None:
        """Wherever the broker was ever found, no workload's traffic goes."""
        if not found <= self._broker_addresses:
            self._broker_addresses |= found
            self.change_rules()

    def change_rules(self) -> None:
        """Admit by the rules as they are now. One at a time: the last one told is the last one to have looked."""
        with self._changing_rules:
            self.applier.reconfigure(self.rules())

    def _examined(self) -> examinations.Surroundings:
        """What the doctor looks at."""
        now = self._configuration
        return diagnosis.of_settings(self._root, now.path, now.settings, now.problem, self.gateway.status)

    def _around_fragments(self) -> Surroundings:
        """What the operator's fragments must leave alone."""
        public = self._configuration.settings.public
        return Surroundings(public.domains if public else (), *self.applier.board.claims())

    def _on_workload_files(self, names: frozenset[str]) -> None:
        """A name stands for a workload; a change of the directory itself for all of them."""
        self.applier.request({name.removesuffix(".yaml") for name in names} or None)

    def _on_verdicts(self, subjects: frozenset[str]) -> None:
        self.applier.request_certificates(subjects)

    def _on_another_route_directory(self) -> None:
        """Traefik goes on watching the directory that is gone, and would see no change any more."""
        self.gateway.restart_traefik("the new directory of routes, which it does not watch yet")

    def _on_moved_hosts(self, hosts: frozenset[str]) -> None:
        self.issuing.issuance.look(hosts)
        self.applier.request_hosts(hosts)
