"""The verbs that talk to a running appliance, and those that only read its settings."""

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from appliance.cli import options as workload_options
from appliance.cli import tables, traffic_table, waiting
from appliance.cli.client import AdminClient
from appliance.cli.progress import Progress
from appliance.cli.waiting import Goal
from appliance.model.errors import InvalidInput

_COUNTERS_SECONDS = 20.0
_STILL_THERE = "deleted; Traefik still has it"


def route_name(options: Namespace) -> int:
    """Set a name proxy and wait for it."""
    document = {"type": "gateway-name-proxy", "name": options.host}
    return _set(options, document | ({"domain": options.domain} if options.domain else {}))


def route_fqdn(options: Namespace) -> int:
    """Set an FQDN proxy and wait for it."""
    return _set(options, {"type": "gateway-fqdn-proxy", "fqdn": options.host})


def route_delete(options: Namespace) -> int:
    """Delete a workload; one that is not there is fine."""
    wait_seconds = waiting.seconds(options)
    path = waiting.path(options.id) + ("" if options.no_wait else waiting.query(wait_seconds))
    client = AdminClient(options.root)
    with Progress.of(options) as progress:
        answer = progress.during(lambda: client.call("DELETE", path, None, wait_seconds), lambda: _STILL_THERE)
    said = "deleted" if answer["existed"] else "was not there"
    _print(options, answer, f"{options.id} {said}")
    if options.no_wait or answer["gone"]:
        return 0
    print(f"gateway: Traefik still had it after {wait_seconds:g} s: see `gateway status`", file=sys.stderr)
    return waiting.EXIT_NOT_YET


def route_list(options: Namespace) -> int:
    """All workloads."""
    found = AdminClient(options.root).all_workloads()
    _print(options, found, _table(found))
    return 0


def route_show(options: Namespace) -> int:
    """One workload."""
    found = AdminClient(options.root).call("GET", waiting.path(options.id))
    _print(options, found, _sheet(found))
    return 0


def route_wait(options: Namespace) -> int:
    """Wait for a workload that is there, or comes as a file; by default until it has its certificate."""
    goal = Goal(options.goal)
    wait_seconds = waiting.seconds(options, goal)
    with Progress.of(options) as progress:
        found = waiting.until(AdminClient(options.root), options.id, goal, wait_seconds, progress)
    _print(options, found, _sheet(found))
    return waiting.exit_code(found, goal, wait_seconds)


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
    return 0 if found["healthy"] else waiting.EXIT_NOT_APPLIED


def challenges(options: Namespace) -> int:
    """The last challenges: presented by whom, fetched from where, ended how."""
    found = AdminClient(options.root).call("GET", "/v1/challenges")
    _print(options, found, "\n".join(_challenge_lines(found)) or "no challenges yet")
    return 0


def metrics(options: Namespace) -> int:
    """What each workload has carried. The wait is Traefik's: it is asked for its counters first."""
    found = AdminClient(options.root).call("GET", "/v1/metrics", wait_seconds=_COUNTERS_SECONDS)
    _print(options, found, traffic_table.text(found, is_table=tables.is_wanted()))
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
    goal = Goal(options.wait)
    found = _set_and_wait(options, content, goal)
    _print(options, found, _sheet(found))
    return 0 if options.no_wait else waiting.exit_code(found, goal, waiting.seconds(options, goal))


def _set_and_wait(options: Namespace, content: Mapping[str, Any], goal: Goal) -> dict[str, Any]:
    client, path = AdminClient(options.root), waiting.path(options.id)
    if options.no_wait:
        return dict(client.call("PUT", path, content))
    wait_seconds, began = waiting.seconds(options, goal), time.monotonic()
    with Progress.of(options) as progress:
        put = partial(client.call, "PUT", path + waiting.query(wait_seconds), content, wait_seconds)
        found: dict[str, Any] = progress.during(put, lambda: waiting.now(client, options.id))
        if goal is Goal.APPLIED or waiting.verdict(found, Goal.APPLIED) is not waiting.Verdict.REACHED:
            return found
        left = began + wait_seconds - time.monotonic()
        try:
            return waiting.until(client, options.id, goal, left, progress)
        except KeyboardInterrupt:
            progress.clear()
            print(f"gateway: no longer waiting; {options.id} stays as it was set", file=sys.stderr)
            raise


def _print(options: Namespace, content: Any, text: str) -> None:
    if options.json or text:
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
        ("state", waiting.with_reason(found["state"], found["reason"])),
        ("certificate", waiting.with_reason(certificate["state"], certificate["reason"])),
    ]
    return "\n".join(f"{key:<16} {value}" for key, value in rows)


def _table(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (w["id"], w["host"] or "-", w["state"], w["certificate"]["state"], w["reason"] or w["certificate"]["reason"])
        for w in found
    ]
    heading = ("ID", "HOST", "STATE", "CERTIFICATE", "REASON")
    return tables.text(heading, rows, "no workloads", is_table=tables.is_wanted())


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
