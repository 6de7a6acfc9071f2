"""Metrics: the page as text, the catalogue's names, and that every metric is really told."""

import re
from pathlib import Path

import pytest

from appliance.control import measuring
from appliance.control.ports import Counters
from appliance.control.programs import Usage
from appliance.model import measures
from appliance.model.measures import CATALOGUE, Family, Histogram, Kind, Sample, single
from appliance.model.standings import State
from appliance.model.traffic import Account
from appliance.render import prometheus
from tests.plane import Plane, name

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.txt"


def test_the_page_is_the_golden_one() -> None:
    """Help and type before the values, labels escaped, whole numbers whole (exposition format 0.0.4)."""
    latency = Histogram((0.1, 1.0))
    for value in (0.0625, 0.25, 7.0):
        latency.observe(value)
    families = [
        Family("gateway_build_info", (Sample(1, {"version": 'a"b\\c\nd'}),)),
        single("gateway_healthy", True),
        latency.family("gateway_apply_duration_seconds"),
        Family("gateway_dns_latency_seconds", (Sample(0.25, {"transport": "udp"}, "_sum"),)),
        Family("gateway_workload_request_bytes_total", (Sample(2**53, {"workload": "blog"}),)),
    ]
    assert prometheus.text(families) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(("metric", "known"), CATALOGUE.items())
def test_names_follow_the_conventions(metric: str, known: measures.Metric) -> None:
    """One prefix, base units, `_total` for what only rises and for nothing else."""
    assert re.fullmatch(r"gateway_[a-z][a-z0-9_]*[a-z]", metric)
    assert metric.endswith("_total") is (known.kind is Kind.COUNTER)
    assert not re.search(r"milli|micro|minutes|hours|kilo|mega|percent", metric)
    assert known.help.endswith(".")
    assert "le" not in known.labels


def test_what_the_authority_counted_is_told_sample_by_sample() -> None:
    counted = Counters(
        queries={("TXT", "NOERROR", "udp"): 7, ("SOA", "REFUSED", "tcp"): 2},
        rate_limited={"dropped": 5, "slipped": 3},
        overflowed=6,
        seconds={"udp": 0.5},
        timed={"udp": 9},
        slowest_seconds={"udp": 0.25},
        rrsets=4,
    )
    told = prometheus.text(list(measuring.dns(counted))).splitlines()
    assert [line for line in told if not line.startswith("#")] == [
        'gateway_dns_queries_total{type="SOA",rcode="REFUSED",transport="tcp"} 2',
        'gateway_dns_queries_total{type="TXT",rcode="NOERROR",transport="udp"} 7',
        'gateway_dns_rate_limited_total{action="dropped"} 5',
        'gateway_dns_rate_limited_total{action="slipped"} 3',
        "gateway_dns_overflowed_total 6",
        'gateway_dns_latency_seconds_sum{transport="udp"} 0.5',
        'gateway_dns_latency_seconds_count{transport="udp"} 9',
        "gateway_dns_rrsets 4",
    ]


def test_a_metric_outside_the_catalogue_is_a_mistake() -> None:
    """Nobody graphs what nobody documented."""
    with pytest.raises(KeyError):
        measures.merged([single("gateway_surprise", 1)])


def test_families_of_one_name_become_one() -> None:
    """Two sources may tell of one metric; the format wants it in one place."""
    twice = [Family("gateway_workloads", (Sample(1, {"state": state}),)) for state in ("applied", "pending")]
    (found,) = measures.merged(twice)
    assert [sample.labels["state"] for sample in found.samples] == ["applied", "pending"]


def test_a_bound_counts_what_is_on_it() -> None:
    """`le` is less or equal."""
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    counts = [sample.value for sample in histogram.family("gateway_apply_duration_seconds").samples]
    assert counts == [1, 3, 4, 7.0, 4]


def test_traffic_is_told_of_workloads_that_are_there_and_measured() -> None:
    """What cannot be measured has no series: 0 would be a claim."""
    found = measures.merged(
        measuring.traffic(
            {
                "blog": Account("b.test", request_bytes=5, response_bytes=7, requests={"2xx": 2}),
                "gone": Account("g.test", request_bytes=5, deleted=1.0),
                "raw": Account("r.test", tls_passthrough=True, unmeasured="the kernel does not tell"),
            }
        )
    )
    text = prometheus.text(found)
    assert 'gateway_workload_request_bytes_total{workload="blog"} 5' in text
    assert 'gateway_workload_requests_total{workload="blog",code="2xx"} 2' in text
    assert "gone" not in text
    assert "raw" not in text


def test_the_control_plane_tells_what_it_does() -> None:
    """A workload that was applied, a challenge, a program that came back: each is on the page."""
    plane = Plane()
    plane.start()
    plane.usage = Usage(1000.0, 2.5, 4096)
    try:
        plane.put(name("blog"))
        plane.reaches("blog", State.APPLIED)
        plane.gateway.programs_watch.look()
        plane.programs.states["traefik"] = "BACKOFF"
        plane.gateway.programs_watch.look()
        text = prometheus.text(plane.gateway.measuring.families())
    finally:
        plane.stop()
    assert 'gateway_workloads{state="applied"} 1' in text
    assert "gateway_apply_duration_seconds_count 1" in text
    assert 'gateway_program_up{program="traefik"} 0' in text
    assert 'gateway_program_resident_memory_bytes{program="gateway"} 4096' in text
    assert 'gateway_events_total{kind="program"} 1' in text
    assert "gateway_settings_problem 0" in text
