"""The table that `gateway metrics` prints. It knows the answer of `GET /v1/metrics` and nothing else."""

from collections.abc import Mapping
from typing import Any

from appliance.cli import tables

_HEADER = ("ID", "HOST", "IN", "OUT", "REQUESTS", "REMARKS")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_NOT_KNOWN = "-"


def text(found: Mapping[str, Mapping[str, Any]], *, is_table: bool = True) -> str:
    """One line a workload; bytes in powers of 1000, requests with what was not answered well."""
    rows = [_row(identity, entry) for identity, entry in found.items()]
    return tables.text(_HEADER, rows, "no workloads", right=(2, 3, 4), is_table=is_table)


def _row(identity: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    is_told = entry["request_bytes"] is not None
    reason = "" if is_told and entry["tls_passthrough"] else entry["reason"]
    remarks = ["deleted" if entry["deleted"] is not None else "", reason, entry["note"]]
    return (
        identity,
        entry["host"],
        size(entry["request_bytes"]),
        size(entry["response_bytes"]),
        _requests(entry["requests"]),
        "; ".join(filter(None, remarks)),
    )


def size(count: int | None) -> str:
    """Bytes in powers of 1000."""
    if count is None:
        return _NOT_KNOWN
    value, unit = float(count), 0
    while value >= 999.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def _requests(by_class: Mapping[str, int] | None) -> str:
    if by_class is None:
        return _NOT_KNOWN
    failed = [f"{count} {name}" for name, count in by_class.items() if name in ("4xx", "5xx") and count]
    total = str(sum(by_class.values()))
    return f"{total} ({', '.join(failed)})" if failed else total
