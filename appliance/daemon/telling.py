"""The parts that tell people how things stand: the inventory of certificates, explanations, alerts."""

from collections.abc import Callable, Iterable

from appliance import settings
from appliance.adapters import tls_probe
from appliance.adapters.alert_channels import Command, Webhook
from appliance.adapters.alert_files import AlertFiles
from appliance.adapters.lookups import ResolverLookups
from appliance.adapters.tls_probe import TlsProbe
from appliance.control import conditions
from appliance.control.alerting import Alerting
from appliance.control.board import Board
from appliance.control.doctor import Doctor
from appliance.control.explaining import Explainer
from appliance.control.inventory import Inventory
from appliance.control.issuance import Issuance
from appliance.control.ports import Programs, Proxy
from appliance.control.ports_alerts import AlertChannel
from appliance.control.stores import CertificateStores
from appliance.daemon.configuration import Configuration
from appliance.layout import Root
from appliance.settings import meaning

OnFailure = Callable[[BaseException], None]


class Telling:
    """Built last: it looks at everything else."""

    def __init__(
        self,
        root: Root,
        configuration: Configuration,
        *,
        board: Board,
        proxy: Proxy,
        issuance: Issuance,
        stores: CertificateStores,
        doctor: Doctor,
        programs: Programs,
    ) -> None:
        self._configuration = configuration
        self.inventory = Inventory(
            issuance=issuance,
            probe=self._probe,
            stored=stores.stored_certificates,
            users=lambda: ((use.subject, use.workload) for use in board.certificate_uses() if use.subject),
        )
        self.explainer = Explainer(
            board=board,
            lookups=ResolverLookups(lambda: meaning.resolvers(configuration.settings)),
            proxy=proxy,
            issuance=issuance,
            probe=self._probe,
            dial=tls_probe.refused,
        )
        self.alerting = Alerting(
            sources=conditions.sources(
                issuance=issuance,
                inventory=self.inventory,
                warn_days=lambda: meaning.warn_days(configuration.settings),
                restored=stores.restored,
                findings=doctor.findings,
                board=board,
                programs=programs,
            ),
            channels=lambda: list(self._channels()),
            store=AlertFiles(root.alerts, root.quarantine),
        )

    def start(self, on_failure: OnFailure) -> None:
        """Begin to look."""
        self.inventory.start(on_failure)
        self.alerting.start(on_failure)

    def stop(self) -> None:
        """End. May be repeated."""
        self.alerting.stop()
        self.inventory.stop()

    def _probe(self) -> TlsProbe:
        return TlsProbe(*settings.split_endpoint(self._configuration.settings.entrypoints.web_secure))

    def _channels(self) -> Iterable[AlertChannel]:
        alerts = self._configuration.settings.alerts
        if alerts.webhook is not None:
            yield Webhook(alerts.webhook, alerts.secret)
        if alerts.command is not None:
            yield Command(alerts.command)
