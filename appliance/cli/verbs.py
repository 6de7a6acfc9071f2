"""The verbs that talk to a running appliance, and those that only read its settings."""

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from appliance.cli import options as workload_options
from appliance.cli import traffic_table
from appliance.cli.client import AdminClient
from appliance.model.errors import InvalidInput

EXIT_NOT_APPLIED = 1
EXIT_NOT_YET = 3
_COUNTERS_SECONDS = 20.0


def route_name(options: Namespace) -> int:
    """Set a name proxy and wait for it."""
    document = {"type": "gateway-name-proxy", "name": options.host}
    return _set(options, document | ({"domain": options.domain} if options.domain else {}))


def route_fqdn(options: Namespace) -> int:
    """Set an FQDN proxy and wait for it."""
    return _set(options, {"type": "gateway-fqdn-proxy", "fqdn": options.host})


def route_delete(options: Namespace) -> int:
    """Delete a workload; one that is not there is fine."""
    wait = _waiting(options)
    answer = AdminClient(options.root).call("DELETE", _path(options.id) + wait, None, options.timeout)
    said = "deleted" if answer["existed"] else "was not there"
    _print(options, answer, f"{options.id} {said}")
    if options.no_wait or answer["gone"]:
        return 0
    print(f"gateway: Traefik still had it after {options.timeout:g} s: see `gateway status`", file=sys.stderr)
    return EXIT_NOT_YET


def route_list(options: Namespace) -> int:
    """All workloads."""
    found = AdminClient(options.root).all_workloads()
    _print(options, found, _table(found))
    return 0


def route_show(options: Namespace) -> int:
    """One workload."""
    found = AdminClient(options.root).call("GET", _path(options.id))
    _print(options, found, _sheet(found))
    return 0


def route_prune(options: Namespace) -> int:
    """Confirm that workload files which vanished many at once are meant to be gone."""
    _print(options, AdminClient(options.root).call("POST", "/v1/workloads:prune"), "the routes without a file go")
    return 0


def status(options: Namespace) -> int:
    """How the appliance is: exit code 0 when it is healthy."""
    found = AdminClient(options.root).call("GET", "/v1/status")
    counts = ", ".join(f"{count} {state}" for state, count in found["workloads"].items())
    lines = [f"gateway {found['version']} on {found['root']}: {'healthy' if found['healthy'] else 'NOT HEALTHY'}"]
    lines += [f"  problem: {problem}" for problem in found["problems"]]
    lines += [f"  notice: {notice}" for notice in found["notices"]]
    lines += [f"  settings: {found['config']}"]
    lines += [f"  {item['name']}: {item['state']} (pid {item['pid']})" for item in found["programs"]]
    lines += [f"  workloads: {counts}", f"  zones: {', '.join(found['zones']) or 'none'}"]
    _print(options, found, "\n".join(lines))
    return 0 if found["healthy"] else EXIT_NOT_APPLIED


def challenges(options: Namespace) -> int:
    """The last challenges: presented by whom, fetched from where, ended how."""
    found = AdminClient(options.root).call("GET", "/v1/challenges")
    _print(options, found, "\n".join(_challenge_lines(found)) or "no challenges yet")
    return 0


def metrics(options: Namespace) -> int:
    """What each workload has carried. The wait is Traefik's: it is asked for its counters first."""
    found = AdminClient(options.root).call("GET", "/v1/metrics", wait_seconds=_COUNTERS_SECONDS)
    _print(options, found, traffic_table.text(found))
    return 0


def dns_records(options: Namespace) -> int:
    """What to create at the DNS provider; read from the settings, so it works before anything runs."""
    from appliance import settings
    from appliance.render import dns_records as render

    path = settings.find(options.root, os.environ, options.config)
    found = render.records(settings.load(path, os.environ))
    if not found:
        raise InvalidInput(f"{path} has no `public` section with a domain: add `ipv4` and `domains`, then ask again")
    rows = [asdict(record) for record in found]
    _print(options, rows, render.text(found).rstrip())
    return 0


def _set(options: Namespace, document: Mapping[str, Any]) -> int:
    content = {**document, "tls_passthrough": options.tls_passthrough, "backends": options.backends}
    content |= workload_options.chosen(options)
    client = AdminClient(options.root)
    found = client.call("PUT", _path(options.id) + _waiting(options), content, options.timeout)
    _print(options, found, _sheet(found))
    if options.no_wait or found["state"] == "applied":
        return 0
    if found["state"] == "pending":
        print(f"gateway: not applied within {options.timeout:g} s: {found['reason']}", file=sys.stderr)
        return EXIT_NOT_YET
    print(f"gateway: {found['reason']}", file=sys.stderr)
    return EXIT_NOT_APPLIED


def _path(identity: str) -> str:
    return f"/v1/workloads/{quote(identity, safe='')}"


def _waiting(options: Namespace) -> str:
    return "" if options.no_wait else f"?wait=applied&timeout={min(max(options.timeout, 0.0), 600.0)}"


def _print(options: Namespace, content: Any, text: str) -> None:
    print(json.dumps(content, indent=2) if options.json else text)


def _sheet(found: Mapping[str, Any]) -> str:
    certificate = found["certificate"]
    rows = [
        ("id", found["id"]),
        ("type", found["type"] or "unreadable"),
        ("host", found["host"] or "none"),
        ("tls passthrough", "yes" if found["tls_passthrough"] else "no"),
        ("backends", ", ".join(found["backends"])),
        ("options", ", ".join(found["options"]) or "none"),
        ("state", _with_reason(found["state"], found["reason"])),
        ("certificate", _with_reason(certificate["state"], certificate["reason"])),
    ]
    return "\n".join(f"{key:<16} {value}" for key, value in rows)


def _table(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return "no workloads"
    header = ("ID", "HOST", "STATE", "CERTIFICATE", "REASON")
    rows = [
        (w["id"], w["host"] or "-", w["state"], w["certificate"]["state"], w["reason"] or w["certificate"]["reason"])
        for w in found
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(4)]
    return "\n".join("  ".join([*map(str.ljust, row[:4], widths), row[4]]).rstrip() for row in [header, *rows])


def _challenge_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    lines: list[str] = []
    for entry in found:
        challenge = entry["challenge"]
        lines.append(f"{_moment(challenge['presented'])}  {challenge['name']}  presented by {challenge['by']}")
        lines += [f"  {_moment(item['at'])}  fetched by {item['source']}" for item in entry["fetches"]]
        if more := entry["fetch_count"] - len(entry["fetches"]):
            lines.append(f"  and {more} times more")
        if entry["ended"]:
            lines.append(f"  {_moment(entry['ended'])}  {entry['state']}")
    return lines


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _with_reason(state: str, reason: str) -> str:
    return f"{state}: {reason}" if reason else state
