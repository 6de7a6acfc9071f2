"""The Protocol through which the use cases learn what became of orders."""

from collections.abc import Callable
from typing import Protocol

from appliance.model.acme_log import Event


class OrderLog(Protocol):
    """What Traefik says about its orders. It says it once, to whom it may concern, and remembers nothing."""

    def start(
        self, on_event: Callable[[Event], None], on_failure: Callable[[BaseException], None], since: float = 0.0
    ) -> None:
        """Tell everything that is known from `since` (Unix seconds) on, in order, and then whatever comes.

        `on_event` is called on a thread of the log's own, one call at a time; it must return soon. `on_failure` is told
        when that thread ends unexpectedly.
        """

    def stop(self) -> None:
        """End. May be repeated."""

    @property
    def unreadable(self) -> int:
        """How many lines said that something went wrong with certificates, and could not be read."""
