"""The Protocols through which certificate stores are looked after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.model.certificate_ledger import CertificateLedger
from appliance.model.store_repairs import Restored


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """How a store's file is from outside."""

    signature: tuple[int, ...]
    """Changes whenever its content does."""
    mode: int
    """The permission bits."""
    is_private: bool
    """Whether Traefik will take a file of this mode."""


class StoreFile(Protocol):
    """One certificate store of Traefik's, and the snapshots of it. Every method raises Unavailable."""

    @property
    def name(self) -> str:
        """What the file is called, like `acme.json`."""

    @property
    def resolver(self) -> str:
        """The certificate resolver that it belongs to."""

    def status(self) -> StoreStatus | None:
        """How it is now; None: it is not there."""

    def make_private(self) -> None:
        """Set its mode right."""

    def read(self) -> bytes:
        """Its content. Raises Unavailable too when it is being written at this moment."""

    def keep(self, raw: bytes, now: float) -> bool:
        """Take a snapshot of this content, unless the newest is the same (False)."""

    def has_snapshot(self) -> bool:
        """Whether there is any."""


class StoreRecords(Protocol):
    """What is kept about certificate stores."""

    def load(self) -> CertificateLedger:
        """The ledger; an empty one when there is none, or none that can be read."""

    def save(self, ledger: CertificateLedger) -> None:
        """Replace it, atomically and synced. Raises Unavailable."""

    def restored(self) -> Sequence[Restored]:
        """The repairs that were reported last, oldest first."""
