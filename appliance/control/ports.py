"""The Protocols through which the use cases speak to the outside. Adapters keep them; fakes in tests do too."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from appliance.model.admission import Desired
from appliance.model.backends import Address
from appliance.model.challenges import Challenge
from appliance.model.errors import GatewayError
from appliance.model.flows import FlowReading
from appliance.model.fragments import Complaint, Fragment
from appliance.model.histories import Entry, Fetch
from appliance.model.plans import Plan
from appliance.model.traffic import Endpoint, Ledger, Scrape
from appliance.model.workloads import Workload
from appliance.model.zones import Zone


@dataclass(frozen=True, slots=True)
class Counters:
    """What the authority counted since its construction."""

    queries: Mapping[tuple[str, str, str], int]
    """(query type, rcode, transport) -> answers given."""
    rate_limited: Mapping[str, int]
    """`dropped` without an answer, and `slipped`: answered with TC=1 to bring real clients to TCP."""
    overflowed: int
    """Datagrams lost because more came than were taken: the kernel had no room to keep them."""
    seconds: Mapping[str, float]
    """Transport -> seconds between arrival in this process and departure, summed over all questions."""
    timed: Mapping[str, int]
    """Transport -> how many questions that is the sum over."""
    slowest_seconds: Mapping[str, float]
    """Transport -> the longest of them."""
    rrsets: int
    """RRsets served: SOA and NS of every zone, and one per name with values."""

    def document(self) -> dict[str, Any]:
        """As it is told to operators, in JSON: `latency` in seconds by transport."""
        return {
            "queries": [
                {"type": qtype, "rcode": rcode, "transport": transport, "count": count}
                for (qtype, rcode, transport), count in sorted(self.queries.items())
            ],
            "rate_limited": dict(self.rate_limited),
            "overflowed": self.overflowed,
            "latency": {
                transport: {"mean": seconds / max(1, self.timed[transport]), "slowest": self.slowest_seconds[transport]}
                for transport, seconds in self.seconds.items()
            },
            "rrsets": self.rrsets,
        }


class Load(NamedTuple):
    """What came over UDP to one address of the authority since its start."""

    taken: int
    """Questions that were taken, whatever became of them."""
    left_out: int
    """Questions left without an answer: the client had had its share, or there was no room."""


class Authority(Protocol):
    """The authoritative DNS server."""

    def set_zones(self, zones: Iterable[Zone]) -> None:
        """Answer for exactly these zones from now on. No question is lost meanwhile."""

    def publish(self, serial: int, values: Mapping[str, tuple[str, ...]]) -> None:
        """Answer with these TXT values (owner name, lower case, no trailing dot -> values) when this returns."""

    def fetches(self) -> Sequence[Fetch]:
        """The queries answered with TXT values since the last call, oldest first. Under a flood, a sample of them."""

    def counters(self) -> Counters:
        """A snapshot of what was counted since construction."""


class ChallengeStore(Protocol):
    """Where challenge values outlive the process, and the history of what became of them."""

    def load(self) -> tuple[int, tuple[Challenge, ...]]:
        """The last SOA serial and the values; (0, ()) when nothing is stored, or what is was corrupt and set aside."""

    def save(self, serial: int, challenges: Iterable[Challenge]) -> None:
        """Replace what is stored, atomically."""

    def load_history(self) -> Sequence[Entry]:
        """The history as it was saved last, oldest first; empty when there is none, or it was corrupt and set aside."""

    def save_history(self, entries: Iterable[Entry]) -> None:
        """Replace the stored history, atomically."""


class WorkloadStore(Protocol):
    """The desired state: one document a workload, written by people, the API and the bus alike."""

    def load(self) -> Sequence[Desired]:
        """Everything that is desired; what cannot be read is there too, with the reason.

        Raises Unavailable when it cannot be told what is desired.
        """

    def read(self, identities: Iterable[str]) -> Mapping[str, Desired | None]:
        """These workloads as they are now; None: there is none of this id."""

    def put(self, workload: Workload) -> None:
        """Write one workload, atomically. Raises Unavailable when it could not be stored."""

    def remove(self, identity: str) -> bool:
        """Remove one workload, readable or not. False: there was none. Raises Unavailable when it could not be."""


class AcceptedStore(Protocol):
    """The versions of workloads that were let in last; they decide who held a host first, across restarts."""

    def load(self) -> Mapping[str, Workload]:
        """By id. What cannot be read any more is left out."""

    def get(self, identity: str) -> Workload | None:
        """One workload's version; None: none is remembered."""

    def put(self, workload: Workload) -> None:
        """Remember this version. Raises Unavailable when it cannot be."""

    def remove(self, identity: str) -> bool:
        """Forget a workload. False: there was none."""


class RouteFiles(Protocol):
    """The directory of dynamic configuration that Traefik watches."""

    def current(self) -> Mapping[str, str]:
        """File name -> text of the appliance's own, whole files. Anything else found is set aside first.

        Nothing when the directory is gone: `write` makes it again. Raises Unavailable when it cannot be read.
        """

    def damaged(self, names: Iterable[str]) -> frozenset[str]:
        """Which of these entries are no longer as they were written. What is foreign among them is set aside."""

    def write(self, plan: Plan) -> None:
        """Carry out a plan. Each file appears, changes or goes in one step; none is ever seen half-written.

        Raises Unavailable when the disk refuses; part of the plan may have been carried out then.
        """


class Proxy(Protocol):
    """Traefik's API. Every method raises Unavailable when Traefik does not answer."""

    def router(self, protocol: str, name: str) -> Mapping[str, Any] | None:
        """The router as Traefik has it (`http` or `tcp`; name with `@file`), or None."""

    def service(self, protocol: str, name: str) -> Mapping[str, Any] | None:
        """The service as Traefik has it, or None."""

    def routers(self, protocol: str) -> Mapping[str, Mapping[str, Any]]:
        """All routers by name."""

    def services(self, protocol: str) -> Mapping[str, Mapping[str, Any]]:
        """All services by name."""

    def certified_names(self) -> frozenset[str]:
        """Every name (wildcards included) of the certificates Traefik has loaded."""


class Lookups(Protocol):
    """Address look-ups through the configured resolvers."""

    def addresses(self, host: str) -> frozenset[Address]:
        """Every A and AAAA address of `host`. Raises NotFound when it has none, Unavailable when nobody could say."""


@dataclass(frozen=True, slots=True)
class Program:
    """A supervised program."""

    name: str
    state: str
    """supervisord's word: RUNNING, STARTING, BACKOFF, FATAL, STOPPED..."""
    pid: int | None


class Programs(Protocol):
    """supervisord. Every method raises Unavailable when it does not answer."""

    def programs(self) -> Sequence[Program]:
        """All programs."""

    def restart(self, name: str) -> None:
        """Stop and start one program."""


class StaticConfiguration(Protocol):
    """Traefik's static configuration file."""

    def replace(self, text: str) -> bool:
        """Write it when it differs; whether Traefik must be restarted for it, an earlier interrupted time included."""

    def restarted(self) -> None:
        """Traefik has been restarted with what was written last."""


class ServiceCounters(Protocol):
    """Traefik's counters of requests and bytes per service."""

    def scrape(self, patience_seconds: float) -> Scrape:
        """The counters now; each wait at most so long. Raises Unavailable; never gives a part of them."""


class Connections(Protocol):
    """The kernel's count of the bytes of each TCP connection."""

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Begin to follow. Raises Unavailable where this host cannot tell."""

    def stop(self) -> None:
        """End. May be repeated."""

    def numbering(self) -> str:
        """Within what the numbers of connections are unique."""

    def watch(self, endpoints: frozenset[Endpoint]) -> None:
        """Follow the connections to exactly these."""

    def read(self) -> FlowReading:
        """All that are open, and all that ended since the last call. Raises Unavailable."""


class TrafficStore(Protocol):
    """Where the totals outlive the process and the host."""

    def load(self) -> tuple[Ledger, float | None]:
        """The ledger and when it was saved. Nothing stored: (an empty one, None). A corrupt store is set aside."""

    def save(self, ledger: Ledger, now: float) -> None:
        """Replace what is stored, atomically; it lasts through a power failure. Raises Unavailable."""


class FragmentStore(Protocol):
    """The operator's own fragments, and those of them that passed a trial."""

    def load(self) -> Mapping[str, Fragment | GatewayError]:
        """By name: every fragment as it lies there, or why it is none. Raises Unavailable without the directory."""

    def accepted(self) -> Mapping[str, Fragment]:
        """By name: what was kept last, if it was tried with the very Traefik that runs now."""

    def keep(self, accepted: Mapping[str, Fragment]) -> None:
        """Replace what is kept, atomically."""


class Trial(Protocol):
    """A throw-away Traefik."""

    def complaints(self, fragments: Sequence[Fragment]) -> Sequence[Complaint]:
        """What Traefik has against these together; nothing: it takes them. Raises Unavailable if it cannot be asked."""


class Additions(Protocol):
    """Files that are wanted in Traefik's directory beside the routes'."""

    def files(self) -> Mapping[str, str]:
        """File name -> text, sealed. The same object as long as nothing changed."""

    def written(self, files: Mapping[str, str]) -> None:
        """What `files` gave is in the directory now. Called often, so it costs nothing when nothing changed."""
