"""The control plane (`gateway serve`): builds the parts, starts them in order, guards them, stops them in reverse.

What comes first is what others wait for: the authority and the challenge socket answer before any route is planned. A
part that ends unexpectedly ends the daemon, and supervisord starts it again; Traefik carries on meanwhile.
"""

import contextlib
import ipaddress
import signal
import threading
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from appliance import logs, settings
from appliance.adapters.challenge_files import ChallengeFiles
from appliance.adapters.challenge_socket import ChallengeSocket
from appliance.adapters.dns import DnsServer
from appliance.adapters.files import AcceptedFiles, ProxyFiles, StaticConfigurationFile, WorkloadFiles
from appliance.adapters.lookups import ResolverLookups
from appliance.adapters.supervisor_rpc import SupervisorRpc
from appliance.adapters.traefik_api import TraefikApi
from appliance.adapters.watcher import Watcher
from appliance.control.applier import Applier
from appliance.control.challenges import Challenges
from appliance.control.gateway import Gateway
from appliance.control.lookups import Watch
from appliance.layout import Root
from appliance.model import admission
from appliance.model.errors import InvalidSettings, Unavailable
from appliance.model.zones import Zone, zones_of
from appliance.render import static
from appliance.settings import Settings

log = logs.logger(__name__)

_HOUSEKEEPING_SECONDS = 5.0
_NOT_LIVE = ("dns", "challenge", "admin", "zbus", "broker", "traefik")
"""Sections that are read once: a change of them restarts the control plane, which costs no traffic."""


class Daemon:
    """The running control plane."""

    def __init__(self, root: Root, config: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._config = config
        self._environment = environment
        self._settings = settings.load(config, environment)
        self._problem: str | None = None
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._reload = threading.Event()
        self._stack = contextlib.ExitStack()
        self._build()

    def run(self) -> int:
        """Serve until a signal or a failure. The exit code is 0 after a signal or for a planned restart, else 1."""
        with self._stack:
            self._start()
            log.info("control plane ready", root=str(self._root.path), config=str(self._config))
            while not self._ended.wait(_HOUSEKEEPING_SECONDS if not self._reload.is_set() else 0.05):
                self._keep_house()
        if self._failure is not None:
            log.error("control plane ends: a part of it failed", exc_info=self._failure)
            return 1
        return 0

    def end(self) -> None:
        """Make `run` return. Safe in a signal handler."""
        self._ended.set()

    def describe(self) -> dict[str, Any]:
        """What `status` tells of this process: `{version, root, config, settings_problem, public, zones}`."""
        public = self._settings.public
        return {
            "version": metadata.version("gateway-appliance"),
            "root": str(self._root.path),
            "config": str(self._config),
            "settings_problem": self._problem,
            "public": public.model_dump(mode="json") if public else None,
            "zones": [zone.apex for zone in _zones(self._settings)],
        }

    def _build(self) -> None:
        root, loaded = self._root, self._settings
        listen = [settings.split_endpoint(endpoint) for endpoint in loaded.dns.listen]
        self._dns = DnsServer(listen, failed=lambda name: self._fail(Unavailable(f"the thread {name} ended")))
        self._challenges = Challenges(self._dns, ChallengeFiles(root.state / "challenges.json"), time.time)
        proxy = TraefikApi(*settings.split_endpoint(loaded.traefik.api))
        store = WorkloadFiles(root.workloads)
        self._applier = Applier(
            store,
            AcceptedFiles(root.accepted),
            ProxyFiles(root.proxy, root.staging, root.quarantine),
            proxy,
            _rules(loaded),
        )
        resolvers = [_name_server(text) for text in loaded.dns.resolvers]
        self._watch = Watch(ResolverLookups(resolvers), self._request_cycle)
        self._applier.use(self._watch)
        self._gateway = Gateway(
            applier=self._applier,
            store=store,
            challenges=self._challenges,
            proxy=proxy,
            programs=SupervisorRpc(root.supervisor_socket),
            static=StaticConfigurationFile(root.static_configuration, root.restart_mark),
        )
        self._challenge_socket = ChallengeSocket(
            root.challenge_socket, self._gateway.present, self._gateway.clean_up, loaded.challenge.uids
        )
        self._watcher = Watcher()
        self._watcher.add(root.workloads, self._request_cycle)
        self._watcher.add(root.proxy, self._request_cycle)
        self._watcher.add(self._config.parent, self._reload.set, only=self._config.name)

    def _start(self) -> None:
        self._challenges.set_zones(_zones(self._settings))
        self._run_part(self._dns.start, self._dns.stop)
        self._run_part(self._challenge_socket.start, self._challenge_socket.stop)
        self._run_part(self._watch.start, self._watch.stop)
        self._run_part(lambda: self._applier.start(self._fail), self._applier.stop)
        self._run_part(self._watcher.start, self._watcher.stop)
        self._start_admin()
        self._gateway.apply_static_configuration(static.text(self._settings, self._root.path))
        if self._settings.public is None:
            log.warning(
                "this host is no gateway yet: write the `public` section (ipv4, domains) into the settings file; "
                "it is read as soon as it is there",
                config=str(self._config),
            )

    def _start_admin(self) -> None:
        from appliance.adapters import admin_api  # noqa: PLC0415  half of the start-up time, and nobody waits for it

        admin = admin_api.AdminApi(admin_api.application(self._gateway, self.describe), self._root.admin_socket)
        self._run_part(lambda: admin.start(self._fail), admin.stop)

    def _run_part(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        self._stack.callback(stop)
        start()

    def _request_cycle(self) -> None:
        self._applier.request()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._ended.set()

    def _keep_house(self) -> None:
        self._challenges.expire()
        if self._reload.is_set():
            self._reload.clear()
            self._reload_settings()

    def _reload_settings(self) -> None:
        """Take changed settings over. Wrong ones change nothing but the status, and are reported."""
        try:
            fresh = settings.load(self._config, self._environment)
        except InvalidSettings as error:
            if self._problem != str(error):
                log.error("settings not taken over: the ones before stay in force", reason=str(error))
            self._problem = str(error)
            return
        self._problem = None
        if fresh == self._settings:
            return
        before, self._settings = self._settings, fresh
        self._gateway.apply_static_configuration(static.text(fresh, self._root.path))
        self._challenges.set_zones(_zones(fresh))
        self._applier.reconfigure(_rules(fresh))
        log.info("settings taken over", config=str(self._config))
        if any(getattr(before, section) != getattr(fresh, section) for section in _NOT_LIVE):
            log.info("the control plane restarts for its new settings; traffic goes on")
            self._ended.set()


def serve(root: Root, config: Path, environment: Mapping[str, str]) -> int:
    """Run the control plane alone. Raises GatewayError when it cannot start."""
    root.create()
    daemon = Daemon(root, config, environment)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.end())
    return daemon.run()


def _rules(loaded: Settings) -> admission.Gateway:
    public = loaded.public
    return admission.Gateway(
        public=public is not None,
        addresses=public.addresses if public else frozenset(),
        domains=public.domains if public else (),
        policy=loaded.backend_policy(),
    )


def _zones(loaded: Settings) -> tuple[Zone, ...]:
    public = loaded.public
    return tuple(
        zones_of(
            public.domains if public else (),
            loaded.dns.challenge_labels,
            loaded.dns.extra_zones,
            public.nameserver if public else None,
        )
    )


def _name_server(text: str) -> tuple[str, int]:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return settings.split_endpoint(text)
    return text, 53
