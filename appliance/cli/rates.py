"""What `gateway top` shows, worked out from two looks at a running gateway. Pure: no clock and no terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BUSIEST = 20
_COUNTED = ("requests", "errors", "request_bytes", "response_bytes")


@dataclass(frozen=True, slots=True)
class Look:
    """The answers of one moment (`at`, seconds of a clock that only rises)."""

    at: float
    status: Mapping[str, Any]
    accounts: Mapping[str, Mapping[str, Any]]
    certificates: Sequence[Mapping[str, Any]]
    programs: Sequence[Mapping[str, Any]]


def frame(before: Look, now: Look) -> dict[str, Any]:
    """What is told of the time between two looks; rates are per second."""
    seconds = max(now.at - before.at, 0.001)
    rows = [
        {"workload": identity, "host": account["host"], **rate}
        for identity, account in now.accounts.items()
        if (rate := _rate(before.accounts.get(identity), account, seconds)) is not None
    ]
    first = min(
        (one for one in now.certificates if one["days_left"] is not None),
        key=lambda one: float(one["days_left"]),
        default=None,
    )
    return {
        "seconds": round(seconds, 3),
        "healthy": now.status["healthy"],
        "problems": now.status["problems"],
        "workloads": now.status["workloads"],
        "per_second": {key: round(sum(row[key] or 0.0 for row in rows), 3) for key in _COUNTED},
        "certificates": {
            "count": len(now.certificates),
            "missing": sum(one["days_left"] is None for one in now.certificates),
            "first": {"name": first["name"], "days_left": first["days_left"]} if first else None,
        },
        "programs": [dict(one) for one in now.programs],
        "busiest": sorted(rows, key=_busy, reverse=True)[:_BUSIEST],
    }


def _busy(row: Mapping[str, Any]) -> tuple[float, float]:
    return row["request_bytes"] + row["response_bytes"], row["requests"] or 0.0


def _rate(before: Mapping[str, Any] | None, now: Mapping[str, Any], seconds: float) -> dict[str, float | None] | None:
    """Of one workload; None when it cannot be told. Requests of TLS passthrough are None: nobody sees them."""
    if before is None or before["request_bytes"] is None or now["request_bytes"] is None:
        return None
    then, counted = _counts(before), _counts(now)
    return {key: _grown(then[key], counted[key], seconds) for key in _COUNTED}


def _counts(account: Mapping[str, Any]) -> dict[str, int | None]:
    requests = account["requests"]
    return {
        "requests": None if requests is None else sum(requests.values()),
        "errors": None if requests is None else requests.get("5xx", 0),
        "request_bytes": account["request_bytes"],
        "response_bytes": account["response_bytes"],
    }


def _grown(before: int | None, now: int | None, seconds: float) -> float | None:
    return None if before is None or now is None else round(max(0, now - before) / seconds, 3)
