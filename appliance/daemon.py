"""The control plane (`gateway serve`): builds the parts, starts them in order, guards them, stops them in reverse.

What comes first is what others wait for: the authority and the challenge socket answer before any route is planned. A
part that ends unexpectedly ends the daemon, and supervisord starts it again; Traefik carries on meanwhile.
"""

import contextlib
import dataclasses
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from appliance import logs, settings
from appliance.adapters import adoption, processes
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
from appliance.layout import Root
from appliance.model import admission, brokers
from appliance.model.backends import Address
from appliance.model.errors import GatewayError, InvalidSettings, Unavailable
from appliance.model.fragments import Surroundings
from appliance.render import static
from appliance.settings import Settings, meaning

log = logs.logger(__name__)

_HOUSEKEEPING_SECONDS = 5.0
_HOLDING_THE_INTERPRETER_SECONDS = 0.0005
"""How long a thread may compute while the authority waits; Python's own 5 ms would be every answer's delay."""


class Daemon:
    """The running control plane."""

    def __init__(self, root: Root, find_config: Callable[[], Path], environment: Mapping[str, str]) -> None:
        self._root = root
        self._find_config = find_config
        self._environment = environment
        self._config = find_config()
        self._signature = _signature(self._config)
        self._settings = settings.load(self._config, environment)
        self._problem: str | None = None
        self._wake = threading.Event()
        self._is_ending = False
        self._failure: BaseException | None = None
        self._is_reload_due = False
        self._broker_addresses: frozenset[Address] = frozenset()
        self._bus_trouble: Callable[[], str | None] = lambda: None
        self._stack = contextlib.ExitStack()
        self._build()

    def run(self) -> int:
        """Serve until a signal or a failure. The exit code is 0 after a signal or for a planned restart, else 1."""
        with self._stack:
            self._start()
            log.info("control plane ready", root=str(self._root.path), config=str(self._config))
            while not self._is_ending:
                self._wake.wait(_HOUSEKEEPING_SECONDS)
                self._wake.clear()
                self._keep_house()
        if self._failure is not None:
            log.error("control plane ends: a part of it failed", exc_info=self._failure)
            return 1
        return 0

    def end(self) -> None:
        """Make `run` return. Safe in a signal handler."""
        self._is_ending = True
        self._wake.set()

    def describe(self) -> dict[str, Any]:
        """What `status` tells of this process, from `version` to `zones`."""
        public = self._settings.public
        return {
            "version": metadata.version("gateway-appliance"),
            "root": str(self._root.path),
            "config": str(self._config),
            "settings_problem": self._problem,
            "bus_problem": self._bus_trouble(),
            "public": public.model_dump(mode="json") if public else None,
            "zones": [zone.apex for zone in meaning.zones(self._settings)],
        }

    def _build(self) -> None:
        root, loaded = self._root, self._settings
        listen = [settings.split_endpoint(endpoint) for endpoint in loaded.dns.listen]
        self._dns = DnsServer(
            listen,
            rate_limit=meaning.rate_limit(loaded),
            nsid=meaning.nsid(loaded),
            failed=lambda name: self._fail(Unavailable(f"the thread {name} ended")),
        )
        self._challenges = Challenges(self._dns, ChallengeFiles(root.state / "challenges.json"), time.time)
        proxy = TraefikApi(*settings.split_endpoint(loaded.traefik.api))
        store = WorkloadFiles(root.workloads)
        self._watch = Watch(ResolverLookups(meaning.resolvers(loaded)), self._on_moved_hosts)
        self._traffic = Traffic(
            TraefikMetrics(*settings.split_endpoint(loaded.traefik.metrics)),
            KernelConnections(),
            TrafficFiles(root.state / "traffic.json", root.quarantine),
        )
        binary = processes.traefik_binary(loaded.traefik.binary)
        self._fragments = Fragments(
            store=FragmentFiles(root.extra, root.fragments, binary),
            trial=TraefikTrial(binary, root.path),
            proxy=proxy,
            around=self._around_fragments,
            changed=lambda: self._applier.reconfigure(self._rules()),
        )
        self._applier = Applier(
            workloads=store,
            accepted=AcceptedFiles(root.accepted),
            files=ProxyFiles(root.proxy, root.staging, root.quarantine),
            proxy=proxy,
            watch=self._watch,
            traffic=self._traffic,
            gateway=self._rules(),
            additions=self._fragments,
        )
        self._gateway = Gateway(
            applier=self._applier,
            store=store,
            challenges=self._challenges,
            authority=self._dns,
            traffic=self._traffic,
            fragments=self._fragments,
            proxy=proxy,
            programs=SupervisorRpc(root.supervisor_socket),
            static=StaticConfigurationFile(root.static_configuration, root.restart_mark),
            describe=self.describe,
        )
        self._challenge_socket = ChallengeSocket(
            root.challenge_socket,
            self._gateway.present,
            self._gateway.clean_up,
            loaded.challenge.uids,
            failed=self._fail,
        )
        self._watcher = Watcher()
        self._watcher.add(root.workloads, self._on_workload_files)
        self._watcher.add(root.extra, self._fragments.look)
        self._watcher.add(root.proxy, self._applier.request_route_files)
        self._watcher.add(self._config.parent, self._on_settings_files)

    def _start(self) -> None:
        self._challenges.set_zones(meaning.zones(self._settings))
        self._run_part(self._dns.start, self._dns.stop)
        self._run_part(self._challenge_socket.start, self._challenge_socket.stop)
        self._run_part(lambda: self._watch.start(self._fail), self._watch.stop)
        self._run_part(lambda: self._traffic.start(self._fail), self._traffic.stop)
        self._run_part(lambda: self._applier.start(self._fail), self._applier.stop)
        self._run_part(lambda: self._fragments.start(self._fail), self._fragments.stop)
        self._run_part(self._watcher.start, self._watcher.stop)
        self._start_admin()
        self._start_bus()
        self._gateway.apply_static_configuration(static.text(self._settings, self._root.path))
        if self._settings.public is None:
            log.warning(
                "this host is no gateway yet: write the `public` section (ipv4, domains) into the settings file; "
                "it is read as soon as it is there",
                config=str(self._config),
            )

    def _start_admin(self) -> None:
        from appliance.adapters import admin_api  # noqa: PLC0415  half of the start-up time, and nobody waits for it

        admin = admin_api.AdminApi(admin_api.application(self._gateway), self._root.admin_socket)
        self._run_part(lambda: admin.start(self._fail), admin.stop)

    def _start_bus(self) -> None:
        """Take calls from the message bus, where there is one. Last to start, first to stop."""
        loaded = self._settings
        if loaded.broker is None:
            return
        from appliance.adapters import zbus  # noqa: PLC0415  nobody without a bus waits for redis-py

        bus = zbus.BusServer(
            brokers.parse(loaded.broker),
            self._gateway,
            workers=loaded.zbus.workers,
            patience_seconds=loaded.zbus.patience,
            instance=zbus.name_in(self._root.bus_instance),
        )
        self._bus_trouble = lambda: bus.trouble
        self._run_part(lambda: bus.start(self._fail, self._on_broker_addresses), bus.stop)

    def _on_broker_addresses(self, found: frozenset[Address]) -> None:
        """Wherever the broker was ever found, no workload's traffic goes."""
        if not found <= self._broker_addresses:
            self._broker_addresses |= found
            self._applier.reconfigure(self._rules())

    def _rules(self) -> admission.Gateway:
        """The rules of admission as they are now."""
        own = processes.interface_addresses()
        found = meaning.rules(self._settings, broker=self._broker_addresses, own=own)
        return dataclasses.replace(found, reserved=self._fragments.reservations())

    def _around_fragments(self) -> Surroundings:
        """What the operator's fragments must leave alone."""
        return Surroundings(
            self._settings.public.domains if self._settings.public else (), *self._applier.board.claims()
        )

    def _run_part(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        self._stack.callback(stop)
        start()

    def _on_workload_files(self, names: frozenset[str]) -> None:
        """A name stands for a workload; a change of the directory itself for all of them."""
        self._applier.request({name.removesuffix(".yaml") for name in names} or None)

    def _on_moved_hosts(self, hosts: frozenset[str]) -> None:
        self._applier.request_hosts(hosts)

    def _on_settings_files(self, names: frozenset[str]) -> None:
        if self._config.name in names:
            self._is_reload_due = True
            self._wake.set()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self.end()

    def _keep_house(self) -> None:
        self._challenges.expire()
        self._watcher.look()
        config = self._find_config()
        signature = _signature(config)
        if self._is_reload_due or (config, signature) != (self._config, self._signature):
            self._is_reload_due = False
            self._config, self._signature = config, signature
            self._reload_settings()

    def _check(self, fresh: Settings) -> None:
        """Raise GatewayError when these settings could not be started with: better kept out than found out."""
        meaning.zones(fresh)
        meaning.rate_limit(fresh)
        # A port that this appliance has already is not in its own way, whichever address it is on.
        held = {(item.transport, item.port) for item in processes.listening(self._settings)}
        new = [item for item in processes.listening(fresh) if (item.transport, item.port) not in held]
        obstacles = [found for wanted in new if (found := processes.obstacle(wanted)) is not None]
        if obstacles:
            raise InvalidSettings("; ".join(obstacles))

    def _reload_settings(self) -> None:
        """Take changed settings over. Wrong ones change nothing but the status, and are reported."""
        try:
            fresh = settings.load(self._config, self._environment)
            self._check(fresh)
        except GatewayError as error:
            if self._problem != str(error):
                log.error("settings not taken over: the ones before stay in force", reason=str(error))
            self._problem = str(error)
            return
        self._problem = None
        if fresh == self._settings:
            return
        before, self._settings = self._settings, fresh
        self._challenges.set_zones(meaning.zones(fresh))
        self._applier.reconfigure(self._rules())
        self._fragments.look()
        self._gateway.apply_static_configuration(static.text(fresh, self._root.path))
        log.info("settings taken over", config=str(self._config))
        if meaning.read_once(before) != meaning.read_once(fresh):
            log.info("the control plane restarts for its new settings; traffic goes on")
            self.end()


def serve(root: Root, find_config: Callable[[], Path], environment: Mapping[str, str]) -> int:
    """Run the control plane alone. Raises GatewayError when it cannot start.

    `find_config` is asked again and again: a settings file may appear later, in a place that goes before.
    """
    sys.setswitchinterval(_HOLDING_THE_INTERPRETER_SECONDS)
    adoption.adopt(root, lambda: meaning.rules(settings.load(find_config(), environment)).domains)
    root.create()
    daemon = Daemon(root, find_config, environment)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.end())
    return daemon.run()


def _signature(path: Path) -> tuple[int, ...] | None:
    """What changes whenever a file does, also where nobody can watch it; None: it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
