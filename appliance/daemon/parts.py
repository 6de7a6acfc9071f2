"""The parts of the control plane, built from the settings and tied to one another."""

import dataclasses
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
from appliance.adapters.files import AcceptedFiles, ProxyFiles, StaticConfigurationFile, WorkloadFiles
from appliance.adapters.fragment_files import FragmentFiles
from appliance.adapters.lookups import ResolverLookups
from appliance.adapters.metrics import TraefikMetrics
from appliance.adapters.supervisor_rpc import SupervisorRpc
from appliance.adapters.traefik_api import TraefikApi
from appliance.adapters.traffic_files import TrafficFiles
from appliance.adapters.trial import TraefikTrial
from appliance.adapters.watcher import Watcher
from appliance.control.applier import Applier
from appliance.control.challenges import Challenges
from appliance.control.fragments import Fragments
from appliance.control.gateway import Gateway
from appliance.control.lookups import Watch
from appliance.control.traffic import Traffic
from appliance.daemon.configuration import Configuration
from appliance.layout import Root
from appliance.model import admission
from appliance.model.backends import Address
from appliance.model.errors import Unavailable
from appliance.model.fragments import Surroundings
from appliance.settings import meaning

OnFailure = Callable[[BaseException], None]


class Parts:
    """Every part, built and not yet started. `failed` is told when one ends unexpectedly."""

    def __init__(self, root: Root, configuration: Configuration, failed: OnFailure) -> None:
        self._root = root
        self._configuration = configuration
        self._broker_addresses: frozenset[Address] = frozenset()
        self.bus_trouble: Callable[[], str | None] = lambda: None
        """Why no calls come from the message bus; None when they do, or there is none."""
        loaded = configuration.settings
        self._proxy = TraefikApi(*settings.split_endpoint(loaded.traefik.api))
        self._store = WorkloadFiles(root.workloads)
        self._build_authority(failed)
        self._build_routing()
        self.gateway = self._gateway()
        self.challenge_socket = ChallengeSocket(
            root.challenge_socket, self.gateway.present, self.gateway.clean_up, loaded.challenge.uids, failed=failed
        )
        self.watcher = self._watcher()

    def _build_authority(self, failed: OnFailure) -> None:
        loaded = self._configuration.settings
        self.dns = DnsServer(
            [settings.split_endpoint(endpoint) for endpoint in loaded.dns.listen],
            rate_limit=meaning.rate_limit(loaded),
            nsid=meaning.nsid(loaded),
            failed=lambda name: failed(Unavailable(f"the thread {name} ended")),
        )
        self.challenges = Challenges(self.dns, ChallengeFiles(self._root.state / "challenges.json"), time.time)

    def _build_routing(self) -> None:
        root, loaded = self._root, self._configuration.settings
        self.watch = Watch(ResolverLookups(meaning.resolvers(loaded)), self._on_moved_hosts)
        self.traffic = Traffic(
            TraefikMetrics(*settings.split_endpoint(loaded.traefik.metrics)),
            KernelConnections(),
            TrafficFiles(root.state / "traffic.json", root.quarantine),
        )
        binary = processes.traefik_binary(loaded.traefik.binary)
        self.fragments = Fragments(
            store=FragmentFiles(root.extra, root.fragments, binary),
            trial=TraefikTrial(binary, root.path),
            proxy=self._proxy,
            around=self._around_fragments,
            changed=lambda: self.applier.reconfigure(self.rules()),
        )
        self.applier = Applier(
            workloads=self._store,
            accepted=AcceptedFiles(root.accepted),
            files=ProxyFiles(root.proxy, root.staging, root.quarantine),
            proxy=self._proxy,
            watch=self.watch,
            traffic=self.traffic,
            gateway=self.rules(),
            additions=self.fragments,
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
            programs=SupervisorRpc(root.supervisor_socket),
            static=StaticConfigurationFile(root.static_configuration, root.restart_mark),
            describe=self.describe,
        )

    def _watcher(self) -> Watcher:
        watcher = Watcher()
        watcher.add(self._root.workloads, self._on_workload_files)
        watcher.add(self._root.extra, self.fragments.look)
        watcher.add(self._root.proxy, self.applier.request_route_files)
        return watcher

    def describe(self) -> Mapping[str, Any]:
        """What `status` tells of this process, from `version` to `zones`."""
        loaded = self._configuration.settings
        return {
            "version": metadata.version("gateway-appliance"),
            "root": str(self._root.path),
            "config": str(self._configuration.path),
            "settings_problem": self._configuration.problem,
            "bus_problem": self.bus_trouble(),
            "public": loaded.public.model_dump(mode="json") if loaded.public else None,
            "zones": [zone.apex for zone in meaning.zones(loaded)],
        }

    def rules(self) -> admission.Gateway:
        """The rules of admission as they are now."""
        own = processes.interface_addresses()
        found = meaning.rules(self._configuration.settings, broker=self._broker_addresses, own=own)
        return dataclasses.replace(found, reserved=self.fragments.reservations())

    def on_broker_addresses(self, found: frozenset[Address]) -> None:
        """Wherever the broker was ever found, no workload's traffic goes."""
        if not found <= self._broker_addresses:
            self._broker_addresses |= found
            self.applier.reconfigure(self.rules())

    def _around_fragments(self) -> Surroundings:
        """What the operator's fragments must leave alone."""
        public = self._configuration.settings.public
        return Surroundings(public.domains if public else (), *self.applier.board.claims())

    def _on_workload_files(self, names: frozenset[str]) -> None:
        """A name stands for a workload; a change of the directory itself for all of them."""
        self.applier.request({name.removesuffix(".yaml") for name in names} or None)

    def _on_moved_hosts(self, hosts: frozenset[str]) -> None:
        self.applier.request_hosts(hosts)
