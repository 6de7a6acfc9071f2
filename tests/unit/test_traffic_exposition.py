"""Traefik's metrics page is read strictly where it matters, and not at all elsewhere."""

import pytest

from appliance.model.errors import InvalidInput
from appliance.model.exposition import parse
from appliance.model.traffic import Scrape

LABELS = 'code="200",method="GET",protocol="http",service="a-B_1@file"'
NAME = "traefik_service_requests_bytes_total"
SERIES = "request_bytes:200:GET:http"


def test_a_page_of_traefiks() -> None:
    lines = [
        "# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.",
        "process_start_time_seconds 1.79537879911e+09",
        "go_goroutines 12",
        f'traefik_service_request_duration_seconds_bucket{{{LABELS},le="0.1"}} 1',
        f"{NAME}{{{LABELS}}} 1.23456789e+08",
        f"traefik_service_requests_total{{{LABELS}}} 3",
        f"traefik_service_responses_bytes_total{{{LABELS}}} 0",
        'traefik_service_requests_total{code="200",method="GET",protocol="http",service="api@internal"} 3',
        "",
    ]
    series = {SERIES: 123456789, "requests:200:GET:http": 3, "response_bytes:200:GET:http": 0}
    assert parse(lines) == Scrape(1795378799.11, {"a-B_1": series})


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (f"{NAME}{{{LABELS}}} 7", 7),
        (f"{NAME}{{{LABELS}}} 9007199254740993", 9007199254740992),
        (f"{NAME}{{{LABELS}}} NaN", None),
        (f"{NAME}{{{LABELS}}} +Inf", None),
        (f"{NAME}{{{LABELS}}} -1", None),
        (f"{NAME}{{{LABELS}}} 7 1795378799110", 7),
        (f'{NAME}{{service="a-B_1@file", code="200", protocol="http", method="GET",}} 7', 7),
        (f'{NAME}{{{LABELS},more="x}}\\" \\\\ \\n"}} 7', 7),
    ],
)
def test_every_lawful_form_of_a_line(line: str, value: int | None) -> None:
    assert parse([line]).services == {"a-B_1": {SERIES: value}}


@pytest.mark.parametrize(
    "line",
    [
        f"{NAME}{{{LABELS}}}",
        f"{NAME}{{{LABELS}}} seven",
        f"{NAME}{{{LABELS}",
        f"{NAME}{{{LABELS}}} 7 8 9",
        f'{NAME}{{service="a@file"}} 7',
        f"{NAME}{{service=a@file}} 7",
        f'{NAME}{{{LABELS} x="y"}} 7',
        "process_start_time_seconds soon",
    ],
)
def test_a_page_with_a_line_that_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput):
        parse([f"{NAME}{{{LABELS}}} 7", line])
