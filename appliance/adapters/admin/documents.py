"""The shape of what callers send, for the OpenAPI document. What it means and refuses is the model's alone to say."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_Network = Annotated[str, Field(examples=["192.0.2.0/24"], max_length=50)]
_Duration = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h|d)?$", examples=["500ms", "20s", "5m"])]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class RateLimit(_Document):
    """Requests per second of one client address."""

    average: Annotated[int, Field(ge=1, le=1_000_000)]
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class Hsts(_Document):
    """HTTP Strict Transport Security."""

    max_age: Annotated[int, Field(ge=0)] = 31_536_000
    include_subdomains: bool = False
    preload: bool = False


class HealthCheck(_Document):
    """How a backend is asked whether it is well."""

    path: str | None = None
    interval: _Duration | int = 10
    status: Annotated[int, Field(ge=100, le=599)] | None = None


class BackendTls(_Document):
    """How an `https://` backend is judged."""

    verify: bool = False
    server_name: str | None = None
    ca: str | None = None


class Timeouts(_Document):
    """How long a backend is waited for."""

    connect: _Duration | float | None = None
    response_header: _Duration | float | None = None
    idle: _Duration | float | None = None


class Options(_Document):
    """What a workload asks beyond being routed; see "Options" in the operations guide."""

    ip_allow: Annotated[list[_Network], Field(min_length=1, max_length=128)] | None = None
    rate_limit: RateLimit | None = None
    basic_auth: Annotated[list[str], Field(min_length=1, max_length=64)] | None = None
    hsts: bool | Hsts | None = None
    health_check: HealthCheck | None = None
    sticky: bool | Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")] | None = None
    compress: bool | None = None
    max_body_bytes: Annotated[int, Field(ge=1, le=2**40)] | None = None
    backend_tls: BackendTls | None = None
    redirect_to: str | None = None
    timeouts: Timeouts | None = None


class _Workload(_Document):
    tls_passthrough: bool = False
    backends: Annotated[
        list[Annotated[str, Field(max_length=400, examples=["http://10.1.2.3:9000", "[2001:db8::1]:443"])]],
        Field(min_length=1, max_length=64),
    ]
    options: Options | None = None


class NameProxyDocument(_Workload):
    """A name proxy: its host is `<name>.<domain>`."""

    type: Literal["gateway-name-proxy"]
    name: Annotated[str, Field(min_length=1, max_length=256, examples=["blog"])]
    domain: Annotated[str, Field(max_length=256)] | None = None


class FqdnProxyDocument(_Workload):
    """An FQDN proxy."""

    type: Literal["gateway-fqdn-proxy"]
    fqdn: Annotated[str, Field(min_length=1, max_length=256, examples=["shop.customer.com"])]


WorkloadDocument = Annotated[NameProxyDocument | FqdnProxyDocument, Field(discriminator="type")]
"""The keys of a workload file."""


class PlanDocument(_Document):
    """What to foresee: these workloads deleted, and then those set, one after the other."""

    set: Annotated[dict[str, Any], Field(description="workload id -> the keys of its file", max_length=10_000)] = {}
    delete: Annotated[list[str], Field(description="workload ids", max_length=10_000)] = []
