"""The shapes of all answers, for the OpenAPI document.

They document and do not filter: a handler answers what the use case says, and tests prove that it fits.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from appliance.model import histories
from appliance.model.findings import Status as Finding
from appliance.model.fragments import FragmentState
from appliance.model.standings import CertificateState, State
from appliance.model.tokens import Role
from appliance.model.workloads import WorkloadType

UnixTime = Annotated[float, Field(description="Unix time, in seconds")]
Id = Annotated[str, Field(description="workload id")]


class Answer(BaseModel):
    """An answer has the keys it is documented with, and no others."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Problem(Answer):
    """An error (RFC 9457). `detail` says what to do."""

    type: Literal["about:blank"]
    title: Annotated[str, Field(description="the kind of error, like Conflict")]
    status: int
    detail: str


class Certificate(Answer):
    """How a workload's certificate stands."""

    state: CertificateState
    reason: str


class Workload(Answer):
    """A workload and how it stands; `type` and `host` are null for a file that cannot be read."""

    id: Id
    type: WorkloadType | None
    host: str | None
    tls_passthrough: bool | None
    backends: list[str]
    options: Annotated[dict[str, Any], Field(description="as in the file; of basic_auth the number of users alone")]
    state: State
    reason: Annotated[str, Field(description="why it is not applied; empty when it is")]
    certificate: Certificate


class Workloads(Answer):
    """A page of workloads, by id."""

    workloads: list[Workload]
    next: Annotated[str | None, Field(description="`page` of the next request; null: this is the end")]


class Deleted(Answer):
    """What became of a deletion."""

    id: Id
    existed: bool
    gone: Annotated[bool, Field(description="Traefik has nothing of it any more")]


class Accepted(Answer):
    """It was taken."""

    accepted: Literal[True]


class Change(Answer):
    """One change of the desired state."""

    change: Literal["create", "update", "delete"]
    id: Id
    host: str | None


class Refusal(Answer):
    """What would be kept out, and why."""

    id: Id
    error: str
    reason: str


class Plan(Answer):
    """What would change."""

    changes: list[Change]
    unchanged: list[Id]
    refused: list[Refusal]


class Fetch(Answer):
    """A question that was answered with a challenge's values."""

    name: str
    at: UnixTime
    source: str


class PresentedChallenge(Answer):
    """One TXT value at one name."""

    name: str
    value: str
    presented: UnixTime
    by: str


class Challenge(Answer):
    """One challenge's life."""

    challenge: PresentedChallenge
    state: histories.State
    fetches: list[Fetch]
    fetch_count: int
    ended: UnixTime | None


class Account(Answer):
    """What a workload has carried; whatever is null has its reason."""

    host: str
    tls_passthrough: bool
    request_bytes: int | None
    response_bytes: int | None
    requests: Annotated[dict[str, int] | None, Field(description="answers by status class, like 2xx")]
    reason: str
    note: str
    deleted: UnixTime | None


class Fragment(Answer):
    """One of the operator's own fragments."""

    name: str
    file: str
    state: FragmentState
    reason: str
    live: bool


class RRset(Answer):
    """Records that the authority answers; values as in a zone file."""

    name: str
    type: Literal["SOA", "NS", "A", "AAAA", "TXT"]
    ttl: Annotated[int, Field(description="seconds")]
    values: list[str]


class Record(Answer):
    """A record to create at the DNS provider; names end with a dot."""

    domain: str
    name: str
    type: str
    content: str
    purpose: str


class Zone(Answer):
    """A zone of the authority, and what must be created elsewhere so that it is asked."""

    zone: str
    nameserver: str
    serial: int
    rrsets: list[RRset]
    records: list[Record]


class Program(Answer):
    """A supervised program, in supervisord's words."""

    name: str
    state: str
    pid: int | None


class ProgramUsage(Program):
    """A supervised program and what its present process uses; what cannot be measured is null."""

    restarts: Annotated[int, Field(description="how often it was seen with another process than before")]
    started: UnixTime | None
    cpu_seconds: float | None
    resident_bytes: int | None


class WhoAmI(Answer):
    """Who is calling."""

    actor: Annotated[str, Field(description="as in the log: a user of the host, or a token's name")]
    role: Role


class Queries(Answer):
    """Questions of one kind."""

    type: str
    rcode: str
    transport: Literal["udp", "tcp"]
    count: int


class Latency(Answer):
    """Seconds between a question's arrival and its answer's departure."""

    mean: float
    slowest: float


class Dns(Answer):
    """What the authority counted since the control plane started."""

    queries: list[Queries]
    rate_limited: dict[Literal["dropped", "slipped"], int]
    overflowed: int
    latency: dict[Literal["udp", "tcp"], Latency]
    rrsets: int


class Status(BaseModel):
    """How the appliance is. A problem makes it unhealthy, a notice asks for a look. More keys may come."""

    healthy: bool
    problems: list[str]
    notices: list[str]
    version: str
    root: str
    config: str
    settings_problem: str | None
    public: dict[str, Any] | None
    zones: list[str]
    programs: list[Program]
    workloads: dict[State, int]
    dns: Dns


class Check(Answer):
    """What one examination found, and what to do about it."""

    id: Annotated[str, Field(description="the check, and after a colon what it is about")]
    status: Finding
    evidence: str
    todo: str


class Examination(Answer):
    """All checks of the last examination."""

    checks: list[Check]


class Alive(Answer):
    """The process answers."""

    alive: Literal[True]


class Ready(Answer):
    """Everything works."""

    ready: Literal[True]
