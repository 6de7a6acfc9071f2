"""A gateway over fakes in which there is something of everything to see, for whoever shows a gateway."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from appliance.control.programs import Usage
from appliance.model.challenges import Challenge
from appliance.model.histories import Entry, Fetch, State
from appliance.model.workloads import Workload
from appliance.model.zones import Zone
from tests.plane import Plane, fqdn, name

ZONE = "_acme-challenge.gw.example.com"
DAY = 86400.0
_ISSUER = "A Test CA"
_STARTED = time.time() - 3 * DAY


def plane(*others: Workload) -> Plane:
    """A started control plane with a few workloads, and these."""
    made = Plane()
    made.described = made.described | {
        "public": {"ipv4": "203.0.113.10", "ipv6": "2001:db8::10", "domains": ["gw.example.com"]},
        "zones": [ZONE],
    }
    made.traefik.certified = frozenset({"*.gw.example.com"})
    for item in (name("37-2039-blog", "blog"), name("37-2040-wiki", "wiki"), name("37-2041-git", "git"), *others):
        made.store.put(item)
    made.store.put(fqdn("41-7-shop", "shop.customer.com"))
    made.store.damage("41-8-broken", "line 3: there is no key `backend`: is it `backends`?")
    made.start()
    made.look()
    gateway: Any = made.gateway
    gateway._inventory = certificates
    gateway._doctor = lambda: {"checks": checks()}
    gateway._challenges.set_zones([Zone(ZONE, "ns1.gw.example.com")])
    gateway.challenges = challenges
    gateway.metrics = Counters(made).report
    gateway.programs_watch._measure = usage
    return made


def usage(pid: int) -> Usage:
    """What the processes of the fake programs use, more from one moment to the next."""
    share, resident = {100: (0.061, 118_000_000), 101: (0.013, 71_000_000)}.get(pid, (0.0004, 19_000_000))
    return Usage(_STARTED, (time.time() - _STARTED) * share, resident)


class Counters:
    """Traffic that goes on, in waves: more for some workloads than for others, and never less than nothing."""

    def __init__(self, made: Plane) -> None:
        self._plane = made

    def report(self) -> Mapping[str, Any]:
        """As `Gateway.metrics`."""
        now = time.time() - _STARTED
        views = self._plane.applier.board.views(None)
        return {view.id: _account(view.host, _count(view.id, now)) for view in views if view.host}


def _count(identity: str, now: float) -> int:
    """Requests up to `now`; their rate rises and falls (it is what `1 + sin` adds up to), out of step with others'."""
    size, phase = 10 + sum(map(ord, identity)) % 40, sum(map(ord, identity)) % 7
    return int(size * (now - 17 * math.cos(now / 17 + phase) - 5 * math.cos(now / 7 + 2 * phase) * 0.4 + 20))


def _account(host: str, count: int) -> dict[str, Any]:
    told = {"host": host, "tls_passthrough": False, "reason": "", "note": "", "deleted": None}
    return told | {
        "request_bytes": count * 300,
        "response_bytes": count * 9000,
        "requests": {"2xx": count, "5xx": count // 400},
    }


def certificates() -> list[dict[str, Any]]:
    """As `Gateway.certificates`: one in order, one that ends soon, one that cannot be had."""
    now = time.time()
    blank = {"serial": "1f", "served": None, "reason": None, "last_order": now - DAY, "last_error": None}
    return [
        blank | _kept("*.gw.example.com", "wildcard", 61.4, ["37-2039-blog", "37-2040-wiki", "37-2041-git"]),
        blank
        | _kept("old.customer.com", "fqdn", 8.3, [])
        | {
            "last_error": {
                "at": now - 3600,
                "words": "the certificate authority could not reach port 80 of old.customer.com.",
                "todo": "See that its A record is 203.0.113.10.",
                "detail": "",
            }
        },
        blank
        | _kept("shop.customer.com", "fqdn", None, ["41-7-shop"])
        | {"issuer": None, "serial": None, "reason": "shop.customer.com does not exist in the DNS; create an A record"},
    ]


def _kept(of: str, kind: str, days: float | None, users: list[str]) -> dict[str, Any]:
    ends = None if days is None else time.time() + days * DAY
    served = None if ends is None else {"serial": "1f", "issuer": _ISSUER, "not_after": ends, "problem": None}
    told = {"name": of, "kind": kind, "issuer": _ISSUER, "not_after": ends, "days_left": days, "workloads": users}
    return told | {"served": served, "next_try": None}


def checks() -> list[dict[str, str]]:
    """As the doctor tells them: a delegation that leads elsewhere."""

    def check(kind: str, status: str, evidence: str, todo: str = "") -> dict[str, str]:
        return {"id": f"delegation.{kind}:{ZONE}", "status": status, "evidence": evidence, "todo": todo}

    todo = "ns1.gw.example.com.\t3600\tIN\tA\t203.0.113.10"
    return [
        check("parent", "ok", f"{ZONE} lies in example.com, served by ns.provider.example (192.0.2.1)"),
        check("ns", "ok", f"example.com delegates {ZONE} to ns1.gw.example.com"),
        check("target", "fail", f"{ZONE} is delegated to ns1.gw.example.com (198.51.100.7), which is not here", todo),
        check("udp", "unknown", "UDP port 53 of 203.0.113.10 was not asked"),
    ]


def challenges() -> list[dict[str, Any]]:
    """As `Gateway.challenges`: one that went well, one that is open."""
    now = time.time()

    def entry(value: str, presented: float, ended: float | None, *sources: str) -> dict[str, Any]:
        fetches = [Fetch(ZONE, presented + 2 + place, source) for place, source in enumerate(sources)]
        state: State = "cleaned up" if ended else "fetched" if sources else "presented"
        challenge = Challenge(ZONE, value, presented, "lego (DNS-01)")
        found = Entry(challenge, state=state, fetches=tuple(fetches), fetch_count=len(fetches), ended=ended)
        return asdict(found)

    return [
        entry("first", now - 7 * DAY, now - 7 * DAY + 19, "192.0.2.53", "198.51.100.99", "2001:db8:5::53"),
        entry("second", now - 12, None, "192.0.2.53"),
    ]
