"""The table of `gateway metrics`."""

from typing import Any

import pytest

from appliance.cli import traffic_table

HOST = "blog.gw.example.com"


def entry(**values: Any) -> dict[str, Any]:
    counts = {"request_bytes": 1234567, "response_bytes": 0, "requests": {"2xx": 3, "4xx": 2, "5xx": 0}}
    rest = {"host": HOST, "tls_passthrough": False, "reason": "", "note": "", "deleted": None}
    return {**counts, **rest, **values}


def row(**values: Any) -> str:
    return traffic_table.text({"blog": entry(**values)}).splitlines()[1]


def test_without_workloads_it_says_so() -> None:
    assert traffic_table.text({}) == "no workloads"


def test_columns_line_up() -> None:
    assert traffic_table.text({"blog": entry(), "b": entry(request_bytes=1, requests={})}).splitlines() == [
        "ID    HOST                     IN  OUT   REQUESTS  REMARKS",
        f"blog  {HOST}  1.2 MB  0 B  5 (2 4xx)",
        f"b     {HOST}     1 B  0 B          0",
    ]


@pytest.mark.parametrize(
    ("count", "shown"),
    [(999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (10**15, "1.0 PB"), (None, "-")],
)
def test_sizes(count: int | None, shown: str) -> None:
    assert f"  {shown}  0 B" in row(request_bytes=count)


def test_remarks_say_what_is_special() -> None:
    assert row(deleted=1.0, note="not complete").endswith("  deleted; not complete")
    unmeasured = row(tls_passthrough=True, request_bytes=None, response_bytes=None, requests=None, reason="shared")
    assert unmeasured.split()[2:] == ["-", "-", "-", "shared"]
    passed = row(tls_passthrough=True, requests=None, reason="TLS passthrough: only bytes are seen")
    assert passed.split()[2:] == ["1.2", "MB", "0", "B", "-"]
