"""The operator's settings: `gateway.yaml` plus environment variables, checked as a whole before anything uses them.

The model is closed: an unknown key is an error that names the nearest valid one, for a typo in a gateway's settings
otherwise shows only on the day it matters. Every field's meaning, unit and default stands in docs/operations.md.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from appliance.model import brokers, documents, hosts
from appliance.model.backends import Address, BackendPolicy, Network
from appliance.model.errors import InvalidInput, InvalidSettings

DEFAULT_ROOT = Path("/var/cache/modules/gateway")
DEFAULT_FILE = Path("/etc/gateway/gateway.yaml")
_LARGEST_FILE_BYTES = 1024 * 1024
_ENVIRONMENT_PREFIX = "GATEWAY__"
_DIRECTORIES = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
_ZONE_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _host(text: str) -> str:
    try:
        return hosts.host(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _zone_name(text: str) -> str:
    plain = text.lower().removesuffix(".")
    if len(plain) > 253 or not all(_ZONE_LABEL.fullmatch(part) for part in plain.split(".")):
        raise ValueError(f"{text[:80]!r} is not a DNS name of letters, digits, hyphens and underscores")
    return plain


def _name_server(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not split_endpoint(text)[0]:
            raise ValueError(f"{text[:80]!r} is not an address like 9.9.9.9 or 9.9.9.9:53") from None
    return text


def _endpoint(text: str) -> str:
    split_endpoint(text)
    return text


def _broker(text: str) -> str:
    try:
        brokers.parse(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    return text


def _written_out(value: object) -> object:
    """Addresses are text: `ipaddress` would take the number 10 for 0.0.0.10, and `false` for 0.0.0.0."""
    if isinstance(value, int | float | list | tuple):
        raise ValueError("write an address as text, like 10.1.2.3, 2001:db8::1 or 10.0.0.0/8")  # noqa: TRY004
    return value


def _duration(value: object) -> float:
    text = str(value)
    unit = _DURATION_UNITS.get(text[-1:])
    number = text[:-1] if unit else text
    try:
        seconds = float(number) * (unit or 1)
    except ValueError as error:
        raise ValueError("write a duration like 20s, 5m, 1h or 2d") from error
    if not 0 <= seconds < 10**9:
        raise ValueError("write a duration between 0s and 10000d")
    return seconds


def split_endpoint(text: str) -> tuple[str, int]:
    """`host:port` or `[ipv6]:port` or `:port` (every address) as a pair. Raises ValueError saying the right form."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdigit() or int(port) > 65535 or (":" in bare and not host.startswith("[")):
        raise ValueError(f"{text[:80]!r} is not an address and port like 0.0.0.0:53 or [::]:53")
    if bare:
        ipaddress.ip_address(bare)
    return bare, int(port)


AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]  # Traefik, which reads them, runs in the root
Host = Annotated[str, AfterValidator(_host)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
ZoneName = Annotated[str, AfterValidator(_zone_name)]
NameServer = Annotated[str, AfterValidator(_name_server)]
BrokerUrl = Annotated[str, AfterValidator(_broker)]
IPv4 = Annotated[ipaddress.IPv4Address, BeforeValidator(_written_out)]
IPv6 = Annotated[ipaddress.IPv6Address, BeforeValidator(_written_out)]
NetworkText = Annotated[Network, BeforeValidator(_written_out)]
Seconds = Annotated[float, BeforeValidator(_duration)]


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

    @property
    def directory(self) -> str:
        """The ACME directory's URL."""
        return _DIRECTORIES.get(self.ca_server, self.ca_server)


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

    webhook: str | None = None
    secret: str | None = Field(default=None, repr=False)
    command: str | None = None


class Zbus(_Section):
    """The RPC over Redis."""

    workers: int = Field(default=1, gt=0, le=64)
    patience: Seconds = 20.0


class Admin(_Section):
    """The admin API over TCP; the unix socket is always there."""

    listen: Endpoint | None = None
    token_file: Path | None = None


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


def find(root: Path, environment: Mapping[str, str], explicit: Path | None = None) -> Path:
    """The settings file: `--config`, `GATEWAY_CONFIG`, /etc/gateway/gateway.yaml if it is there, else the root's."""
    if explicit is not None:
        return explicit
    if environment.get("GATEWAY_CONFIG"):
        return Path(environment["GATEWAY_CONFIG"])
    return DEFAULT_FILE if DEFAULT_FILE.exists() else root / "gateway.yaml"


def load(path: Path, environment: Mapping[str, str]) -> Settings:
    """The settings in `path` (a missing file is an empty one), overlaid with the `GATEWAY__*` variables.

    Raises InvalidSettings, one line a fault, each naming its key and what to do.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raw = b""
    except OSError as error:
        raise InvalidSettings(f"cannot read the settings file {path}: {error.strerror}") from error
    try:
        document = documents.parse(raw, _LARGEST_FILE_BYTES)
        values = documents.mapping(document if document is not None else {}, "the settings file")
    except InvalidInput as error:
        raise InvalidSettings(f"{path}: {error}") from error
    try:
        return Settings.model_validate(_overlaid(values, environment))
    except ValidationError as error:
        faults = "\n".join(f"{path}: {_fault(item)}" for item in error.errors(include_url=False))
        raise InvalidSettings(faults) from error


def _overlaid(values: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    for variable, text in sorted(environment.items()):
        if not variable.startswith(_ENVIRONMENT_PREFIX):
            continue
        *sections, key = variable.removeprefix(_ENVIRONMENT_PREFIX).lower().split("__")
        section = values
        for name in sections:
            inner = section.get(name)
            section[name] = dict(inner) if isinstance(inner, dict) else {}
            section = section[name]
        section[key] = _from_environment(text)
    return values


def _from_environment(text: str) -> Any:
    """JSON where it is JSON of a shape no plain string has (lists, mappings, true, null); else the text itself."""
    if text[:1] in ("[", "{", '"') or text in ("true", "false", "null"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _fault(item: Any) -> str:
    path = [str(part) for part in item["loc"]]
    where = ".".join(path) or "the settings"
    if item["type"] == "extra_forbidden":
        return f"{where}: {documents.unknown_key(path[-1], _known_keys(path[:-1]))}"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}"


def _known_keys(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path:
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel))
    return list(model.model_fields)
