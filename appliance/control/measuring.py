"""Gathers the metrics: each part of the control plane is asked for its own.

A source may be asked from any thread, at any time, and answers at once with what it knows.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from appliance.control.ports import Counters
from appliance.model import measures
from appliance.model.measures import Family, Sample, by_label, single
from appliance.model.traffic import Account

Source = Callable[[], Iterable[Family]]

_MOST_WORKLOADS = 10_000


class Measuring:
    """The sources there are."""

    def __init__(self) -> None:
        self._sources: list[Source] = []

    def add(self, source: Source) -> None:
        """Ask this one, too."""
        self._sources.append(source)

    def families(self) -> list[Family]:
        """All metrics, in the catalogue's order."""
        return measures.merged(family for source in self._sources for family in source())


def appliance(told: Mapping[str, Any], events: Mapping[str, int]) -> Iterable[Family]:
    """How the appliance is, by what its `status` tells, and how many events there were."""
    yield Family("gateway_build_info", (Sample(1, {"version": told["version"]}),))
    yield single("gateway_healthy", told["healthy"])
    yield single("gateway_settings_problem", told["settings_problem"] is not None)
    yield by_label("gateway_workloads", "state", told["workloads"])
    yield by_label("gateway_events_total", "kind", events)


def dns(counters: Counters) -> Iterable[Family]:
    """What the authority counted."""
    yield Family(
        "gateway_dns_queries_total",
        tuple(
            Sample(count, {"type": qtype, "rcode": rcode, "transport": transport})
            for (qtype, rcode, transport), count in sorted(counters.queries.items())
        ),
    )
    yield by_label("gateway_dns_rate_limited_total", "action", counters.rate_limited)
    yield single("gateway_dns_overflowed_total", counters.overflowed)
    yield Family(
        "gateway_dns_latency_seconds",
        tuple(
            sample
            for transport, seconds in sorted(counters.seconds.items())
            for sample in (
                Sample(seconds, {"transport": transport}, "_sum"),
                Sample(counters.timed[transport], {"transport": transport}, "_count"),
            )
        ),
    )
    yield single("gateway_dns_rrsets", counters.rrsets)


def traffic(accounts: Mapping[str, Account]) -> Iterable[Family]:
    """What workloads carried. What cannot be measured has no series, for 0 would be a claim."""
    live = {identity: account for identity, account in sorted(accounts.items()) if account.deleted is None}
    told = {identity: account for identity, account in list(live.items())[:_MOST_WORKLOADS] if not account.unmeasured}
    received = {identity: account.request_bytes for identity, account in told.items()}
    sent = {identity: account.response_bytes for identity, account in told.items()}
    yield by_label("gateway_workload_request_bytes_total", "workload", received)
    yield by_label("gateway_workload_response_bytes_total", "workload", sent)
    requests = tuple(
        Sample(count, {"workload": identity, "code": code})
        for identity, account in told.items()
        for code, count in sorted(account.requests.items())
    )
    yield Family("gateway_workload_requests_total", requests)
    yield single("gateway_workloads_untold", max(0, len(live) - _MOST_WORKLOADS))
