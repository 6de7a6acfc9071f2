"""The parts that decide about orders of certificates, built from the settings."""

import os
from collections.abc import Callable
from pathlib import Path

from appliance import settings
from appliance.adapters import processes
from appliance.adapters.certificate_authority import CertificateAuthority
from appliance.adapters.delegation import Delegations
from appliance.adapters.issuance_files import IssuanceFiles
from appliance.adapters.throwaway import TraefikRehearsal
from appliance.adapters.traefik_log import TraefikLog
from appliance.adapters.web_probe import WebProbe
from appliance.control.docket import Limits
from appliance.control.events import Events
from appliance.control.issuance import Issuance
from appliance.control.lookups import Watch
from appliance.control.ports import Proxy
from appliance.control.preflights import Outside, PreflightChecks
from appliance.control.rehearsals import Rehearsals
from appliance.daemon.configuration import Configuration
from appliance.layout import Root
from appliance.model import environments
from appliance.settings import meaning
from appliance.state_files import StateFile


class Issuing:
    """The governor, and what it looks at and listens to."""

    def __init__(
        self,
        root: Root,
        configuration: Configuration,
        proxy: Proxy,
        watch: Watch,
        events: Events,
        on_change: Callable[[frozenset[str]], None],
        binary: Path,
        on_files: Callable[[], object],
    ) -> None:
        self._configuration = configuration
        self._binary = binary
        self._place = root.rehearsal.absolute()
        self._accounts = StateFile(root.rehearsals, root.quarantine, "the accounts for rehearsals")
        self.rehearsals = Rehearsals(
            understudy=self._understudy, is_wanted=self._is_rehearsed, proxy=proxy, on_files=on_files
        )
        self.issuance = Issuance(
            preflights=PreflightChecks(watch, self._outside),
            proxy=proxy,
            store=IssuanceFiles(root.issuance, root.quarantine),
            limits=self._limits,
            on_change=on_change,
            rehearsals=self.rehearsals,
            events=events,
        )
        self._log = TraefikLog(root.logs)

    def listen(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin to hear of orders, and to rehearse. Of those that were under way in an earlier process, too."""
        self.rehearsals.start(on_failure, self.issuance.rehearsed)
        self._log.start(self.issuance.heed, on_failure, self.issuance.since)

    def stop_listening(self) -> None:
        """End it. May be repeated."""
        self._log.stop()
        self.rehearsals.stop()

    def _limits(self) -> Limits:
        acme = self._configuration.settings.acme
        return Limits(acme.orders_per_hour, acme.rate_limit_pause, acme.directory, acme.staging or "")

    def _is_rehearsed(self) -> bool:
        loaded = self._configuration.settings
        return loaded.acme.staging is not None and loaded.public is not None

    def _understudy(self) -> TraefikRehearsal | None:
        loaded = self._configuration.settings
        directory = loaded.acme.staging
        if directory is None:
            return None
        return TraefikRehearsal(
            self._binary,
            loaded,
            directory,
            place=self._place,
            accounts=self._accounts,
            environment=environments.for_traefik(os.environ),
        )

    def _outside(self) -> Outside:
        """Whom the checks before an order ask."""
        loaded = self._configuration.settings
        addresses = loaded.public.addresses if loaded.public else frozenset()
        listen = meaning.dns_listen(loaded)
        zones, is_local = meaning.zones(loaded), processes.has_address
        return Outside(
            addresses=addresses,
            delegations=Delegations(meaning.resolvers(loaded), listen, addresses, zones, is_local),
            authority=CertificateAuthority(loaded.acme.directory, loaded.acme.ca_certificates),
            web=WebProbe(),
            web_port=settings.split_endpoint(loaded.entrypoints.web)[1],
            local=frozenset(filter(is_local, addresses)),
            is_checked=loaded.acme.preflight,
        )
