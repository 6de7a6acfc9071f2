"""The verbs `certs` and `explain`: how a name stands with HTTPS."""

import json
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from appliance.cli import tables
from appliance.cli.client import AdminClient
from appliance.cli.progress import Progress

EXIT_BROKEN = 1
_LOOKING_SECONDS = 30.0
_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "BAD ", "unknown": "?   "}


def certs(options: Namespace) -> int:
    """Every certificate: what is kept, what is really served, what became of the last order."""
    found = _asked(options, "/v1/certificates", "looking at what is really served")
    if told := json.dumps(found, indent=2) if options.json else table(found, is_table=tables.is_wanted()):
        print(told)
    return 0


def explain(options: Namespace) -> int:
    """Why a host is not on HTTPS; exit code 1 when it is not."""
    found = _asked(options, f"/v1/explain/{quote(options.host, safe='')}", f"looking at {options.host}")
    print(json.dumps(found, indent=2) if options.json else page(found))
    return 0 if found["ok"] else EXIT_BROKEN


def table(found: Sequence[Mapping[str, Any]], *, is_table: bool = True) -> str:
    """Certificates for people: what is wrong with one stands below it."""
    heading = ("NAME", "KIND", "DAYS LEFT", "ISSUER", "SERVED", "WORKLOADS")
    notes = list(map(_notes, found))
    return tables.text(heading, list(map(_row, found)), "no certificates", notes=notes, is_table=is_table)


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    days, served = entry["days_left"], entry["served"]
    is_served = served is not None and served["problem"] is None
    users: list[str] = entry["workloads"]
    shown = users[0] if len(users) == 1 else f"{len(users)} workloads" if users else "none"
    left = "-" if days is None else f"{days:.1f}"
    return entry["name"], entry["kind"], left, entry["issuer"] or "-", "yes" if is_served else "no", shown


def _notes(entry: Mapping[str, Any]) -> list[str]:
    served, failure = entry["served"], entry["last_error"]
    notes = [f"served: {served['problem']}"] if served and served["problem"] else []
    if entry["reason"]:
        notes.append(f"not ordered: {entry['reason']}")
    if failure:
        notes.append(f"last error, {_moment(failure['at'])}: {failure['words']}")
    if entry["next_try"]:
        notes.append(f"next try: by itself, not before {_moment(entry['next_try'])}")
    return notes


def page(found: Mapping[str, Any]) -> str:
    """An explanation for people: the first broken link has what to do about it."""
    width = max(len(line["id"]) for line in found["lines"])
    lines = [f"{found['host']}: {'on HTTPS' if found['ok'] else 'NOT on HTTPS'}"]
    for line in found["lines"]:
        lines.append(f"  {_MARKS[line['status']]}  {line['id']:<{width}}  {line['evidence']}")
        if line["id"] == found["first_bad"] and line["todo"]:
            lines.append(f"        {'':<{width}}  -> {line['todo']}")
    return "\n".join(lines)


def _asked(options: Namespace, path: str, told: str) -> Any:
    client = AdminClient(options.root)
    with Progress.of(options) as progress:
        return progress.during(lambda: client.call("GET", path, wait_seconds=_LOOKING_SECONDS), lambda: told)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
