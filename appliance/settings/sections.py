"""The settings as values: a closed model. An unknown key is an error, for a typo in a gateway's settings otherwise
shows only on the day it matters. Every field's meaning, unit and default stands in docs/operations.md.
"""

import ipaddress
import shlex
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from appliance.model import authorities, brokers
from appliance.model.backends import Address, BackendPolicy
from appliance.settings.fields import (
    AbsolutePath,
    BrokerUrl,
    Endpoint,
    Host,
    IPv4,
    IPv6,
    NameServer,
    NetworkText,
    Seconds,
    ServerId,
    ZoneName,
    split_endpoint,
)

_DIRECTORIES = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}


class _Section(BaseModel):
    # No input in an error's text: some of it is secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Public(_Section):
    """The public side of this host. Absent: no gateway, and workloads are refused until it appears."""

    ipv4: IPv4
    ipv6: IPv6 | None = None
    domains: tuple[Host, ...] = ()
    nameserver: Host | None = None

    @property
    def addresses(self) -> frozenset[Address]:
        """What names of this gateway resolve to."""
        return frozenset(address for address in (self.ipv4, self.ipv6) if address is not None)


class ExternalAccountBinding(_Section):
    """ACME external account binding (RFC 8555 §7.3.4)."""

    kid: str
    hmac: str = Field(repr=False)


class Acme(_Section):
    """The certificate authority and how to ask it."""

    email: str = ""
    ca_server: str = "letsencrypt"
    ca_certificates: tuple[AbsolutePath, ...] = ()
    key_type: Literal["EC256", "EC384", "RSA2048", "RSA4096", "RSA8192"] = "EC256"
    eab: ExternalAccountBinding | None = None
    profile: str | None = None
    certificate_hours: int = Field(default=2160, gt=0)
    propagation_check: Literal["authoritative", "off"] = "authoritative"
    rate_limit_pause: Seconds = 3600.0
    preflight: bool = True
    orders_per_hour: int = Field(default=90, gt=0, le=10_000)
    rehearsal: bool = False
    rehearsal_directory: str | None = None

    @field_validator("propagation_check", mode="before")
    @classmethod
    def _yaml_off(cls, value: object) -> object:
        return "off" if value is False else value  # YAML 1.1 reads a bare `off` as false

    @field_validator("ca_server")
    @classmethod
    def _known_directory(cls, value: str) -> str:
        if value not in _DIRECTORIES and not value.startswith("https://"):
            raise ValueError(f"{value[:80]!r} must be letsencrypt, letsencrypt-staging or an https:// directory URL")
        return value

    @field_validator("rehearsal_directory")
    @classmethod
    def _is_a_directory(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("https://"):
            raise ValueError(f"{value[:80]!r} must be an https:// directory URL")
        return value

    @property
    def directory(self) -> str:
        """The ACME directory's URL."""
        return _DIRECTORIES.get(self.ca_server, self.ca_server)

    @property
    def staging(self) -> str | None:
        """The directory where a first order is rehearsed; None: it is not."""
        known = self.rehearsal_directory or authorities.STAGING.get(self.directory)
        return known if self.rehearsal else None

    @model_validator(mode="after")
    def _rehearses_elsewhere(self) -> "Acme":
        if not self.rehearsal:
            return self
        if self.staging is None:
            raise ValueError(
                f"`rehearsal` needs `rehearsal_directory`: no staging directory is known for {self.directory[:200]}"
            )
        if self.staging == self.directory:
            raise ValueError("`rehearsal_directory` is where certificates are ordered in earnest: name another one")
        return self


class RateLimit(_Section):
    """Response rate limiting of the DNS authority; see docs/operations.md."""

    per_second: int = Field(default=20, gt=0, le=255)
    slip: int = Field(default=2, ge=0)
    exempt: tuple[NetworkText, ...] = ()


class Dns(_Section):
    """The DNS authority."""

    listen: tuple[Endpoint, ...] = ("0.0.0.0:53", "[::]:53")
    challenge_labels: tuple[ZoneName, ...] = ("_acme-challenge", "__acme-challenge")
    extra_zones: tuple[ZoneName, ...] = ()
    resolvers: tuple[NameServer, ...] = ()
    rate_limit: RateLimit | None = RateLimit()
    nsid: ServerId | None = None


class ChallengeSocket(_Section):
    """Who besides root and the appliance's own user may write challenge records."""

    uids: tuple[int, ...] = ()


class EntryPoints(_Section):
    """Where Traefik listens."""

    web: Endpoint = ":80"
    web_secure: Endpoint = ":443"
    http3: bool = False


class Backends(_Section):
    """Which addresses workloads may name; what is never allowed stands in docs/operations.md."""

    allow_loopback: bool = False
    allow_hostnames: bool = False
    allow: tuple[NetworkText, ...] = ()
    deny: tuple[NetworkText, ...] = ()


class Traefik(_Section):
    """The data plane's program and its inner addresses."""

    binary: str = "traefik"
    api: Endpoint = "127.0.0.1:8099"
    metrics: Endpoint = "127.0.0.1:8082"
    fast_proxy: bool = False
    access_log: bool = False


class Certificates(_Section):
    """Keeping of certificates."""

    grace: Seconds = 86400.0
    quiet_hour: Annotated[int, Field(ge=0, le=23)] | None = None
    warn_days: int = Field(default=14, ge=0)


class Alerts(_Section):
    """Where alerts go."""

    webhook: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] | None = Field(default=None, repr=False)
    secret: str | None = Field(default=None, repr=False)
    command: str | None = None

    @field_validator("command")
    @classmethod
    def _is_a_command_line(cls, value: str | None) -> str | None:
        """Taken apart as a shell would, without one. `shlex` raises ValueError for an open quotation."""
        if value is not None and not shlex.split(value):
            raise ValueError("it is empty: give a program and its arguments, or leave it out")
        return value


class Zbus(_Section):
    """The RPC over Redis."""

    workers: int = Field(default=1, gt=0, le=64)
    patience: Seconds = 20.0


class Admin(_Section):
    """The admin API over TCP; the unix socket is always there."""

    listen: Endpoint | None = None
    token_file: AbsolutePath | None = None

    @model_validator(mode="after")
    def _never_without_tokens(self) -> "Admin":
        if self.listen is not None and self.token_file is None:
            raise ValueError("`listen` needs `token_file`: without tokens nobody could be told from anybody")
        return self


class Log(_Section):
    """What the appliance writes to its standard output."""

    format: Literal["json", "text"] = "json"


class Settings(_Section):
    """All settings. Immutable: a changed file makes a new value."""

    public: Public | None = None
    acme: Acme = Acme()
    dns: Dns = Dns()
    challenge: ChallengeSocket = ChallengeSocket()
    entrypoints: EntryPoints = EntryPoints()
    backends: Backends = Backends()
    certificates: Certificates = Certificates()
    alerts: Alerts = Alerts()
    zbus: Zbus = Zbus()
    admin: Admin = Admin()
    traefik: Traefik = Traefik()
    log: Log = Log()
    broker: BrokerUrl | None = Field(default=None, repr=False)  # it may hold a password

    @model_validator(mode="after")
    def _distinct_ports(self) -> "Settings":
        listening = [self.entrypoints.web, self.entrypoints.web_secure, self.traefik.api, self.traefik.metrics]
        doubled = {endpoint for endpoint in listening if listening.count(endpoint) > 1}
        if doubled:
            raise ValueError(f"{doubled.pop()} is given to two entry points: each needs an address and port of its own")
        return self

    def backend_policy(self) -> BackendPolicy:
        """The rules for backends that follow from these settings."""
        listening = {split_endpoint(item)[0] for item in (self.entrypoints.web, self.entrypoints.web_secure)}
        own = {ipaddress.ip_address(host) for host in listening if host}
        public = self.public.addresses if self.public else frozenset()
        broker = brokers.parse(self.broker).address if self.broker else None
        return BackendPolicy(
            own=frozenset(address for address in own | public if not address.is_unspecified),
            broker=frozenset({broker}) if broker else frozenset(),
            allow_loopback=self.backends.allow_loopback,
            allow_hostnames=self.backends.allow_hostnames,
            allow=self.backends.allow,
            deny=self.backends.deny,
        )
