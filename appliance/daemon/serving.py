"""The life of the control plane: starts its parts in order, guards them, stops them in reverse.

What comes first is what others wait for: the authority and the challenge socket answer before any route is planned. A
part that ends unexpectedly ends the daemon, and supervisord starts it again; Traefik carries on meanwhile.
"""

import contextlib
import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from appliance import logs, settings
from appliance.adapters import adoption, state_format
from appliance.adapters.resident import Thrift
from appliance.daemon.configuration import Configuration
from appliance.daemon.parts import Parts
from appliance.layout import Root
from appliance.model import brokers
from appliance.model.errors import Unavailable
from appliance.render import static
from appliance.settings import Settings, meaning

log = logs.logger(__name__)

_HOUSEKEEPING_SECONDS = 5.0
_HOLDING_THE_INTERPRETER_SECONDS = 0.0001
"""How long a thread may compute while the authority waits; Python's own 5 ms would be every answer's delay."""
_COLLECTIONS = (700, 10, 100)
"""A full garbage collection stops every thread for as long as all that lives takes to visit: tens of milliseconds at
10,000 workloads. So it comes ten times more seldom than Python has it; the two quick ones stay as they are."""


@contextlib.contextmanager
def _collecting_nothing() -> Iterator[None]:
    """What is built at the start stays: looking through it again and again is a tenth of that time, once will do."""
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


class Daemon:
    """The running control plane."""

    def __init__(self, root: Root, configuration: Configuration) -> None:
        self._root = root
        self._configuration = configuration
        self._wake = threading.Event()
        self._is_ending = False
        self._failure: BaseException | None = None
        self._thrift = Thrift()
        self._stack = contextlib.ExitStack()
        self._parts = Parts(root, configuration, self._fail)
        self._parts.watcher.add(configuration.path.parent, self._on_settings_files)

    def run(self) -> int:
        """Serve until a signal or a failure. The exit code is 0 after a signal or for a planned restart, else 1."""
        with self._stack:
            with _collecting_nothing():
                self._start()
            log.info("control plane ready", root=str(self._root.path), config=str(self._configuration.path))
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

    def _start(self) -> None:
        parts, loaded = self._parts, self._configuration.settings
        parts.challenges.set_zones(meaning.zones(loaded))
        self._run_part(parts.dns.start, parts.dns.stop)
        self._run_part(parts.challenge_socket.start, parts.challenge_socket.stop)
        self._run_part(lambda: parts.watch.start(self._fail), parts.watch.stop)
        self._run_part(lambda: parts.traffic.start(self._fail), parts.traffic.stop)
        self._run_part(lambda: parts.issuing.issuance.start(self._fail), parts.issuing.issuance.stop)
        self._run_part(lambda: parts.applier.start(self._fail), parts.applier.stop)
        self._run_part(lambda: parts.issuing.listen(self._fail), parts.issuing.stop_listening)
        self._run_part(lambda: parts.fragments.start(self._fail), parts.fragments.stop)
        self._run_part(lambda: parts.stores.start(self._fail), parts.stores.stop)
        self._run_part(lambda: parts.watcher.start(self._fail), parts.watcher.stop)
        self._run_part(lambda: parts.doctor.start(self._fail), parts.doctor.stop)
        self._run_part(lambda: parts.telling.start(self._fail), parts.telling.stop)
        self._start_admin()
        self._start_bus()
        parts.gateway.apply_static_configuration(static.text(loaded, self._root.path))
        if loaded.public is None:
            log.warning(
                "this host is no gateway yet: write the `public` section (ipv4, domains) into the settings file; "
                "it is read as soon as it is there",
                config=str(self._configuration.path),
            )

    def _start_admin(self) -> None:
        from appliance.adapters import admin  # noqa: PLC0415  half of the start-up time, and nobody waits for it

        parts, listen = self._parts, self._configuration.settings.admin.listen
        app = admin.application(parts.gateway, parts.tokens)
        local = admin.unix(app, self._root.admin_socket)
        self._run_part(lambda: local.start(self._fail), local.stop)
        if listen is not None:
            public = admin.tcp(app, *settings.split_endpoint(listen))
            try:
                self._run_part(lambda: public.start(self._fail), public.stop)
            except Unavailable as error:  # names and routes matter more than who may look at them from elsewhere
                log.error("admin API is not served over TCP", reason=str(error))
                parts.tcp_trouble = str(error)

    def _start_bus(self) -> None:
        """Take calls from the message bus, where there is one. Last to start, first to stop."""
        loaded = self._configuration.settings
        if loaded.broker is None:
            return
        from appliance.adapters import zbus  # noqa: PLC0415  nobody without a bus waits for redis-py

        bus = zbus.BusServer(
            brokers.parse(loaded.broker),
            self._parts.gateway,
            workers=loaded.zbus.workers,
            patience_seconds=loaded.zbus.patience,
            instance=zbus.name_in(self._root.bus_instance),
        )
        self._parts.bus_trouble = lambda: bus.trouble
        self._run_part(lambda: bus.start(self._fail, self._parts.on_broker_addresses), bus.stop)

    def _run_part(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        self._stack.callback(stop)
        start()

    def _on_settings_files(self, names: frozenset[str]) -> None:
        if self._configuration.path.name in names:
            self._configuration.touched()
            self._wake.set()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self.end()

    def _keep_house(self) -> None:
        self._parts.challenges.expire()
        self._parts.watcher.look()
        self._parts.gateway.programs_watch.look()
        self._thrift.look()
        problem = self._configuration.problem
        before = self._configuration.refresh()
        if self._configuration.problem not in (None, problem):
            self._parts.events.publish("settings", {"state": "refused", "reason": self._configuration.problem})
        if before is not None:
            self._take_over(before, self._configuration.settings)

    def _take_over(self, before: Settings, fresh: Settings) -> None:
        """Have changed settings in force: here and now, or after a restart and until then nothing of them."""
        if self._configuration.is_restart_due:
            self._make_way(fresh)
        else:
            self._follow(before, fresh)

    def _make_way(self, fresh: Settings) -> None:
        """End for a process that has these settings from its start.

        Traefik has them before: a port it lets go may be wanted, and what it counted is still read where it was.
        """
        self._parts.events.publish("settings", {"state": "restart", "reason": ""})
        self._parts.gateway.apply_static_configuration(static.text(fresh, self._root.path))
        log.info("the control plane restarts for its new settings; traffic goes on")
        self.end()

    def _follow(self, before: Settings, fresh: Settings) -> None:
        """Make every part follow changed settings."""
        parts = self._parts
        parts.challenges.set_zones(meaning.zones(fresh))
        parts.dns.configure(rate_limit=meaning.rate_limit(fresh), nsid=meaning.nsid(fresh))
        if before.dns.resolvers != fresh.dns.resolvers:
            parts.watch.ask_anew()
        parts.change_rules()
        parts.fragments.look()
        parts.doctor.soon()
        parts.gateway.apply_static_configuration(static.text(fresh, self._root.path))
        parts.issuing.issuance.look()  # a Traefik that is being restarted would answer no challenge
        parts.events.publish("settings", {"state": "taken over", "reason": ""})
        log.info("settings taken over", config=str(self._configuration.path))


def serve(root: Root, find_config: Callable[[], Path], environment: Mapping[str, str]) -> int:
    """Run the control plane alone. Raises GatewayError when it cannot start."""
    sys.setswitchinterval(_HOLDING_THE_INTERPRETER_SECONDS)
    gc.set_threshold(*_COLLECTIONS)
    state_format.check(root)
    adoption.adopt(root, lambda: meaning.rules(settings.load(find_config(), environment)).domains)
    root.create()
    state_format.bring_up_to_date(root)
    daemon = Daemon(root, Configuration(find_config, environment))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.end())
    return daemon.run()
