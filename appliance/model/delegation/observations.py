"""What was seen of a challenge zone's delegation, from its parent's servers to a recursive resolver's answer.

`adapters.delegation` makes these values, `links` judges them. Names are lower case without the last dot.

How a server is known to be us: our authority's SOA serial follows the time and rises with every change, so a server
that gives the same primary name and a serial between two looks at our own authority is ours (`Own.is_same`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.model.backends import Address


class Outcome(StrEnum):
    """What became of one question to one server."""

    AUTHORITATIVE = "answers with authority"
    LAME = "answers without authority for the zone"
    CLOSED = "refuses the connection"
    SILENT = "does not answer"
    UNREACHABLE = "cannot be reached from here"


@dataclass(frozen=True, slots=True)
class Soa:
    """The start of authority that an answer carried: whose zone, its primary name, its serial."""

    owner: str
    primary: str
    serial: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said when asked for the zone's SOA. `detail` is what exactly came, like an rcode."""

    outcome: Outcome
    soa: Soa | None = None
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.outcome.value} ({self.detail})" if self.detail else self.outcome.value


@dataclass(frozen=True, slots=True)
class Own:
    """Our own authority, asked where it listens, before and after everything else."""

    where: str
    """The address and port that were asked."""
    udp: Reply
    tcp: Reply
    last_serial: int | None = None
    """The serial it had at the end; at the beginning it had that of `udp` or `tcp`."""

    @property
    def is_running(self) -> bool:
        """Whether anything listens there at all."""
        return not {self.udp.outcome, self.tcp.outcome} <= {Outcome.CLOSED, Outcome.UNREACHABLE}

    @property
    def soa(self) -> Soa | None:
        """What it says of the zone; None: it does not answer for it."""
        return self.udp.soa or self.tcp.soa

    def is_same(self, other: Soa | None) -> bool | None:
        """Whether an answer is ours. None: our own authority says nothing that could be compared with."""
        if self.soa is None:
            return None
        if other is None or (other.owner, other.primary) != (self.soa.owner, self.soa.primary):
            return False
        return self.soa.serial <= other.serial <= max(self.last_serial or 0, self.soa.serial)


class Cut(StrEnum):
    """What a server of the parent zone says about the challenge zone."""

    DELEGATED = "delegated"
    ABSENT = "absent"
    ALIAS = "alias"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ParentAnswer:
    """What one server of the parent zone said, asked directly and without recursion."""

    server: str
    cut: Cut
    targets: frozenset[str] = frozenset()
    """Hosts in the NS records."""
    glue: Mapping[str, frozenset[Address]] = field(default_factory=dict)
    """The addresses that came with them."""
    alias: str | None = None
    has_ds: bool | None = None
    """None: it did not say."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A host in the NS records, with its addresses or the reason why there are none."""

    name: str
    addresses: frozenset[Address]
    problem: str = ""
    is_certain: bool = True
    """False: nobody could say what its addresses are."""


@dataclass(frozen=True, slots=True)
class Server:
    """One address of one target, asked for the zone's SOA over both transports."""

    target: str
    address: Address
    is_local: bool
    """Whether this host has the address itself; else it is translated somewhere, and asking from here may fail."""
    udp: Reply
    tcp: Reply


@dataclass(frozen=True, slots=True)
class Recursion:
    """What a recursive resolver said of a name in the zone that it cannot have known before."""

    resolver: str
    does_answer: bool
    """False: the resolver itself was silent."""
    rcode: str = ""
    soa: Soa | None = None
    """The SOA that came with its negative answer: of the zone the resolver believes the name is in."""
    works_unchecked: bool = False
    """It failed, but not when told to leave DNSSEC out (CD, RFC 4035 §3.2.2)."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything seen of one challenge zone."""

    zone: str
    nameserver: str
    """The host that the NS record should name."""
    addresses: frozenset[Address]
    """The gateway's public addresses."""
    is_required: bool = True
    """False for spellings that no certificate depends on: what would be `fail` is `warn` there."""
    parent: str | None = None
    """The zone above; None: it could not be found."""
    parent_problem: str = ""
    answers: tuple[ParentAnswer, ...] = ()
    alias: str | None = None
    """Set when the name is an alias of a zone of ours, and the rest was seen there."""
    targets: tuple[Target, ...] = ()
    servers: tuple[Server, ...] = ()
    own: Own | None = None
    recursions: tuple[Recursion, ...] = ()

    @property
    def known(self) -> tuple[ParentAnswer, ...]:
        """The parent servers that said something."""
        return tuple(answer for answer in self.answers if answer.cut is not Cut.UNKNOWN)

    @property
    def looked_at(self) -> str:
        """The zone that targets, servers and recursions are about."""
        return self.alias or self.zone

    def is_ours(self, server: Server) -> bool:
        """Whether a server is this gateway: by its address, or by what it says."""
        if server.address in self.addresses:
            return True
        return self.own is not None and True in (self.own.is_same(server.udp.soa), self.own.is_same(server.tcp.soa))

    def ours(self) -> list[Server]:
        """The servers that are this gateway."""
        return [server for server in self.servers if self.is_ours(server)]

    def reached(self) -> bool:
        """Whether a recursive resolver came to our own authority: the whole chain works."""
        return self.own is not None and any(self.own.is_same(seen.soa) for seen in self.recursions)
