"""The Protocols of preflights: how the outside is asked whether a certificate can be had, and whether all is well.

None of these raises: what could not be found out is part of the value.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from appliance.model import caa, delegation, names, web
from appliance.model.accounts import Account
from appliance.model.authorities import Directory
from appliance.model.host import Files, Filesystem, Inotify, Privileges
from appliance.model.ports import Holder, Own


class Delegations(Protocol):
    """The DNS, asked at the servers themselves. Every call ends within a few seconds."""

    def look(self, zone: str) -> delegation.Observation:
        """Everything seen of one challenge zone (its apex, like `_acme-challenge.gw.example.com`)."""

    def caa(self, host: str) -> caa.Found:
        """The CAA records that count for a host."""

    def domain(self, domain: str) -> names.Observation:
        """What a gateway domain's names resolve to."""


class CertificateAuthority(Protocol):
    """The certificate authority's directory."""

    @property
    def url(self) -> str:
        """Where it is."""

    def look(self) -> Directory:
        """Ask for it, within a few seconds."""


class WebProbe(Protocol):
    """Port 80, as a validating authority sees it."""

    def ask(self, address: str, host: str, port: int = 80) -> web.Reply:
        """What an address says to a request for a challenge of `host`, within two seconds."""


class Host(Protocol):
    """The host that the appliance runs on, and the root there."""

    def holders(self, ports: Iterable[int]) -> Sequence[Holder]:
        """Everybody who listens on one of these ports."""

    def own(self) -> Own:
        """The appliance's own processes on this root."""

    def filesystem(self) -> Filesystem:
        """Where the root lies."""

    def files(self) -> Files:
        """The files under the root that are not as they have to be."""

    def inotify(self) -> Inotify:
        """The kernel's limits on watching files."""

    def privileges(self) -> Privileges:
        """Which ports this user may listen on."""

    def traefik_version(self, name: str) -> tuple[str | None, str | None]:
        """(version, problem) of a Traefik program; one of them is None."""

    def account(self, resolver: str) -> Account | None:
        """The account in the certificate store of this resolver."""

    def workloads(self) -> int:
        """How many workload files there are."""

    def mend(self) -> Sequence[str]:
        """Mend what is safe to mend, and tell each as the command it stands for."""
