"""The Protocols of the issuance governor."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.model.acme_log import OrderFailed
from appliance.model.inventory import Presented
from appliance.model.issuance import Record


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the checks before an order found."""

    obstacle: str | None
    """Why an order would fail, and what to do; None: nothing stands against it."""
    is_certain: bool
    """False when somebody did not answer: nothing new is ordered then, and nothing taken back."""
    seen: str
    """What was seen, as text to compare: the same again means that nothing was mended."""


class Preflights(Protocol):
    """The checks before an order."""

    def check(self, subject: str) -> Circumstances:
        """Look at everything an order for this subject depends on. Takes seconds at most, and never raises."""

    def doubt_authority(self) -> None:
        """The certificate authority did not answer somebody else: what is known of it is to be asked again."""


class IssuanceStore(Protocol):
    """Where the history of orders outlives the process."""

    def load(self) -> tuple[dict[str, Record], tuple[float, ...]]:
        """Records by subject, and when the account's last orders were made; empty when there is nothing (usable)."""

    def save(self, records: Mapping[str, Record], spent: tuple[float, ...]) -> None:
        """Replace what is stored, atomically. Raises Unavailable."""


class ServedProbe(Protocol):
    """The gateway's own HTTPS port, as a client sees it. Nothing here raises."""

    def presented(self, host: str) -> Presented | str:
        """The certificate presented for a host, trusted or not; or why none could be seen."""

    def refused(self) -> str | None:
        """Why the port takes no connection; None: it does."""


class Rehearser(Protocol):
    """Tries orders at the staging directory."""

    def ask(self, subjects: Iterable[str]) -> None:
        """Try these soon. What becomes of each is told elsewhere, some time later."""


class Understudy(Protocol):
    """A throw-away Traefik that orders at the staging directory, in the way the real one does in earnest."""

    directory: str
    """The staging directory."""

    def listen(self) -> int:
        """The loopback port where it is going to answer HTTP-01 challenges. Raises Unavailable."""

    def outcomes(
        self, subjects: Sequence[str], is_over: Callable[[], bool]
    ) -> Generator[tuple[str, OrderFailed | None]]:
        """Order certificates for these, and give what became of each (None: it came) as soon as it is known.

        Ends when all are told or `is_over` says so; to be closed by whoever does not wait for the end. To be called
        once, after `listen`. Raises Unavailable when the throw-away Traefik does not work.
        """

    def close(self) -> None:
        """Give up the port."""
