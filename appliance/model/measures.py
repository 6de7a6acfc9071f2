"""What is measured: the metrics there are, as a table, and values of them.

Names follow https://prometheus.io/docs/practices/naming/: base units, `_total` for what only rises. The table is the
promise to whoever draws graphs; docs/operations.md shows it, and a test compares the two.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf


class Kind(StrEnum):
    """The types of https://prometheus.io/docs/concepts/metric_types/."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Metric:
    """What is known of a metric beforehand."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


CATALOGUE: Mapping[str, Metric] = {
    "gateway_build_info": Metric(Kind.GAUGE, "Always 1; the version that runs.", ("version",)),
    "gateway_healthy": Metric(Kind.GAUGE, "1 while `gateway status` tells no problem, else 0."),
    "gateway_settings_problem": Metric(Kind.GAUGE, "1 while the settings file is not taken over, else 0."),
    "gateway_workloads": Metric(Kind.GAUGE, "Workloads by state.", ("state",)),
    "gateway_apply_duration_seconds": Metric(
        Kind.HISTOGRAM, "Time from the wish for a version of a workload until Traefik served it."
    ),
    "gateway_dns_queries_total": Metric(
        Kind.COUNTER, "Questions answered by the authority.", ("type", "rcode", "transport")
    ),
    "gateway_dns_rate_limited_total": Metric(
        Kind.COUNTER, "Questions over the rate limit: left without an answer, or told to come over TCP.", ("action",)
    ),
    "gateway_dns_overflowed_total": Metric(
        Kind.COUNTER, "Datagrams lost because more questions came than the authority could take."
    ),
    "gateway_dns_latency_seconds": Metric(
        Kind.SUMMARY, "Time between arrival of a question and departure of its answer.", ("transport",)
    ),
    "gateway_dns_rrsets": Metric(Kind.GAUGE, "Record sets served by the authority."),
    "gateway_challenges": Metric(Kind.GAUGE, "Challenge values answered now."),
    "gateway_challenges_total": Metric(
        Kind.COUNTER, "What became of challenges: presented, cleaned up, expired.", ("event",)
    ),
    "gateway_orders_total": Metric(
        Kind.COUNTER,
        "Orders of certificates: allowed, obtained, failed, renewal failed, rehearsed, rehearsal failed.",
        ("outcome",),
    ),
    "gateway_certificates": Metric(
        Kind.GAUGE, "Certificates that workloads need: issued, ordered, withheld.", ("state",)
    ),
    "gateway_certificate_not_after_timestamp_seconds": Metric(
        Kind.GAUGE, "When the certificate that is really served for the name ends, in Unix time.", ("name", "issuer")
    ),
    "gateway_alerts": Metric(Kind.GAUGE, "Conditions that an alert was raised for and that hold.", ("kind",)),
    "gateway_program_up": Metric(Kind.GAUGE, "1 while supervisord reports the program as RUNNING.", ("program",)),
    "gateway_program_restarts_total": Metric(
        Kind.COUNTER, "How often the program was seen with another process than before.", ("program",)
    ),
    "gateway_program_start_time_seconds": Metric(
        Kind.GAUGE, "When the program's process started, in Unix time.", ("program",)
    ),
    "gateway_program_cpu_seconds_total": Metric(
        Kind.COUNTER, "Processor time of the program's present process.", ("program",)
    ),
    "gateway_program_resident_memory_bytes": Metric(
        Kind.GAUGE, "Memory of the program's present process.", ("program",)
    ),
    "gateway_workload_request_bytes_total": Metric(
        Kind.COUNTER, "Bytes from clients, as in `gateway metrics`.", ("workload",)
    ),
    "gateway_workload_response_bytes_total": Metric(
        Kind.COUNTER, "Bytes to clients, as in `gateway metrics`.", ("workload",)
    ),
    "gateway_workload_requests_total": Metric(
        Kind.COUNTER, "Requests by status class; none with TLS passthrough.", ("workload", "code")
    ),
    "gateway_workloads_untold": Metric(
        Kind.GAUGE, "Workloads whose traffic is left out here, because there are more than 10000."
    ),
    "gateway_events_total": Metric(Kind.COUNTER, "Events that `/v1/events` told.", ("kind",)),
    "gateway_admin_requests_total": Metric(Kind.COUNTER, "Answers of the admin API.", ("method", "code")),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value. `suffix` is what a histogram's or summary's series have at the end of their name."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """All values of one metric of the catalogue."""

    name: str
    samples: Sequence[Sample]


def single(name: str, value: float) -> Family:
    """A metric without labels."""
    return Family(name, (Sample(value),))


def by_label(name: str, label: str, values: Mapping[str, float]) -> Family:
    """A metric with one label."""
    return Family(name, tuple(Sample(value, {label: key}) for key, value in sorted(values.items())))


def merged(families: Iterable[Family]) -> list[Family]:
    """One family for each name, in the catalogue's order. Raises KeyError for a metric that is not in there."""
    found: dict[str, list[Sample]] = {}
    for family in families:
        CATALOGUE[family.name]
        found.setdefault(family.name, []).extend(family.samples)
    return [Family(name, tuple(found[name])) for name in CATALOGUE if name in found]


class Histogram:
    """Counts observations up to each of some bounds, which rise. Whoever owns it guards it against other threads."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, inf)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str) -> Family:
        """What it counted, cumulated as Prometheus wants it."""
        samples: list[Sample] = []
        total = 0
        for bound, count in zip(self._bounds, self._counts, strict=True):
            total += count
            samples.append(Sample(total, {"le": "+Inf" if bound == inf else f"{bound:g}"}, "_bucket"))
        return Family(name, (*samples, Sample(self._sum, {}, "_sum"), Sample(total, {}, "_count")))
