"""The authority's zones as they are shown: every RRset it serves, in the notation of a zone file (RFC 1035 §5.1)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from appliance.model import hosts
from appliance.model.answers import APEX_TTL, SOA_TIMES, TXT_TTL
from appliance.model.zones import Zone


def documents(zones: Sequence[Zone], serial: int, values: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """`[{zone, nameserver, serial, rrsets: [{name, type, ttl, values}]}]`; names without the trailing dot.

    `values` are TXT values by owner name. One outside every zone is not served, and not shown.
    """
    return [
        {
            "zone": zone.apex,
            "nameserver": zone.nameserver,
            "serial": serial,
            "rrsets": [*_apex(zone, serial), *_servers(zone, zones), *_texts(zone, zones, values)],
        }
        for zone in zones
    ]


def with_records(zones: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The zones, each with `records`: what to create for it, of its own name and of the gateway domain it is for."""
    return [{**zone, "records": [item for item in records if _belongs(zone["zone"], item)]} for zone in zones]


def _belongs(apex: str, record: Mapping[str, Any]) -> bool:
    if record["type"] == "NS":
        return bool(record["name"] == f"{apex}.")
    return hosts.lies_under(apex, record["domain"])


def _apex(zone: Zone, serial: int) -> Iterable[dict[str, Any]]:
    times = " ".join(map(str, SOA_TIMES))
    soa = f"{zone.nameserver}. {zone.mailbox}. {serial} {times}"
    yield _rrset(zone.apex, "SOA", APEX_TTL, [soa])
    yield _rrset(zone.apex, "NS", APEX_TTL, [f"{zone.nameserver}."])


def _servers(zone: Zone, zones: Sequence[Zone]) -> Iterable[dict[str, Any]]:
    """The addresses of name servers that lie in this zone themselves."""
    inside = {one.nameserver: one.addresses for one in zones if _zone_of(one.nameserver, zones) == zone.apex}
    for name, addresses in sorted(inside.items()):
        for kind in ("A", "AAAA"):
            found = [text for text in addresses if (":" in text) is (kind == "AAAA")]
            if found:
                yield _rrset(name, kind, APEX_TTL, found)


def _texts(zone: Zone, zones: Sequence[Zone], values: Mapping[str, Sequence[str]]) -> Iterable[dict[str, Any]]:
    for name in sorted(values):
        if _zone_of(name, zones) == zone.apex:
            yield _rrset(name, "TXT", TXT_TTL, list(values[name]))


def _zone_of(name: str, zones: Sequence[Zone]) -> str:
    """The deepest zone that a name lies in; empty for none."""
    return max(
        (zone.apex for zone in zones if name == zone.apex or name.endswith("." + zone.apex)), key=len, default=""
    )


def _rrset(name: str, kind: str, ttl: int, found: list[str]) -> dict[str, Any]:
    return {"name": name, "type": kind, "ttl": ttl, "values": found}
