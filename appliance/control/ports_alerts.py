"""The Protocols of alerting."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from appliance.model.alerts import Alert, Open


class AlertChannel(Protocol):
    """A way to reach the operator."""

    def send(self, alert: Alert) -> None:
        """Deliver it, within seconds. Raises Unavailable when it may not have arrived."""


class AlertStore(Protocol):
    """Where open and undelivered alerts outlive the process."""

    def load(self) -> tuple[dict[str, Open], tuple[Alert, ...]]:
        """What is open by key, and what is yet to be delivered; empty when there is nothing (usable)."""

    def save(self, open_ones: Mapping[str, Open], pending: Sequence[Alert]) -> None:
        """Replace what is stored, atomically. Raises Unavailable."""
