"""The checks there are, in the order they are told, and what a whole examination comes to.

The kinds are the stable part of the ids: docs/operations.md lists them, and a test compares.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from appliance.model.findings import Finding, Status, first, record_line

KINDS: Mapping[str, str] = {
    "settings": "settings",
    "disk.space": "host",
    "disk.inodes": "host",
    "root.writable": "host",
    "files": "host",
    "inotify": "host",
    "privileges": "host",
    "traefik.version": "host",
    "port": "ports",
    "domain.address": "names",
    "domain.wildcard": "names",
    "domain.dnssec": "names",
    "delegation.spelling": "delegation",
    "delegation.parent": "delegation",
    "delegation.ns": "delegation",
    "delegation.glue": "delegation",
    "delegation.address": "delegation",
    "delegation.target": "delegation",
    "delegation.udp": "delegation",
    "delegation.tcp": "delegation",
    "delegation.authority": "delegation",
    "delegation.servers": "delegation",
    "delegation.dnssec": "delegation",
    "delegation.recursion": "delegation",
    "web.port80": "certificates",
    "ca.reachable": "certificates",
    "ca.account": "certificates",
    "ca.profile": "certificates",
    "clock": "certificates",
    "caa": "certificates",
    "appliance": "appliance",
}
"""Kind of check -> the group it is told in. Each group's causes come before what follows from them."""

_ORDER = {kind: number for number, kind in enumerate(KINDS)}
_RFC_LABEL, _OLD_LABEL = "_acme-challenge", "__acme-challenge"


def arranged(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """In the order of the kinds; of the same group, the checks of one subject stay together."""
    return tuple(sorted(found, key=lambda one: (_group_order(one), _subject(one), _ORDER[one.kind])))


def group(found: Finding) -> str:
    """The group a finding is told in."""
    return KINDS[found.kind]


def worst(found: Sequence[Finding]) -> Finding | None:
    """What to mend first: the first failure, else the first warning."""
    return first(found, Status.FAIL) or first(found, Status.WARN)


def is_well(found: Iterable[Finding], *, is_strict: bool) -> bool:
    """Whether nothing fails, or with `is_strict` nothing is even warned of. What is unknown is no failure."""
    bad = {Status.FAIL, Status.WARN} if is_strict else {Status.FAIL}
    return not any(one.status in bad for one in found)


def report(found: Iterable[Finding]) -> dict[str, Any]:
    """`{checks: [{id, status, evidence, todo}]}`, as it is told in JSON."""
    return {"checks": [one.document() for one in found]}


def spelling(domain: str, nameserver: str, found: Sequence[Finding]) -> Finding | None:
    """Whether the delegation exists in the spelling authorities look for, where old instructions gave another one.

    `found` holds the findings about both zones; None when not both are delegated names of this gateway.
    """
    zones = [f"{label}.{domain}" for label in (_RFC_LABEL, _OLD_LABEL)]
    right, old = (next((one for one in found if one.id == f"delegation.ns:{zone}"), None) for zone in zones)
    if right is None or old is None:
        return None
    identity = f"delegation.spelling:{domain}"
    record = record_line(zones[0] if right.status is not Status.OK else zones[1], "NS", f"{nameserver}.")
    if right.status is Status.FAIL and old.status is Status.OK:
        told = f"only {zones[1]} is delegated, and certificate authorities look for {zones[0]} (one underscore)"
        return Finding(identity, Status.FAIL, told, f"create {record}")
    if right.status is Status.OK and old.status is not Status.OK:
        told = f"only {zones[0]} is delegated; clients that follow old instructions use {zones[1]}"
        todo = f'create {record} (or, if there are none: dns: {{challenge_labels: ["{_RFC_LABEL}"]}})'
        return Finding(identity, Status.WARN, told, todo)
    if right.status is Status.OK:
        return Finding(identity, Status.OK, f"both spellings of the challenge name of {domain} are delegated")
    return None


def _group_order(found: Finding) -> int:
    return list(dict.fromkeys(KINDS.values())).index(KINDS[found.kind])


def _subject(found: Finding) -> str:
    """What keeps the links of one zone together."""
    return found.id.partition(":")[2] if found.kind.startswith("delegation.") else ""
