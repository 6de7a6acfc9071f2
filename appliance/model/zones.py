"""Zones: what this gateway is authoritative for, and which names exist in them.

Why: a delegation such as `_acme-challenge.gw.example.com NS gw.example.com` makes us the only server a certificate
authority may believe about that name. Everything the server says follows from the values here and `answers`.
It knows no packets, no sockets and no clock; names are kept in wire form, because that is how questions spell them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from appliance.model.errors import InvalidInput

Name = bytes
"""An owner name in wire form (RFC 1035 §3.1), ASCII letters in lower case (RFC 4343), ending in the root label."""

_LONGEST_NAME = 255  # octets in wire form, RFC 1035 §2.3.4
_LONGEST_LABEL = 63
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True, slots=True)
class Zone:
    """One delegated zone: its apex, and the host its NS record (and the parent's delegation) names.

    Both are host-like text in lower case without the trailing dot. `addresses` are those of the host: they are served
    where it lies in a zone of this gateway itself, so that nobody else can say them.
    """

    apex: str
    nameserver: str
    addresses: tuple[str, ...] = ()

    @property
    def mailbox(self) -> str:
        """The RNAME of the SOA: `hostmaster` at the domain above the apex (RFC 2142 §7)."""
        return f"hostmaster.{_parent(self.apex)}"


def zones_of(
    domains: Iterable[str],
    challenge_labels: Iterable[str],
    extra_zones: Iterable[str],
    nameserver: str | None,
    addresses: Iterable[str] = (),
) -> tuple[Zone, ...]:
    """Every zone of a gateway: each challenge label below each gateway domain, then the extra zones.

    With no `nameserver`, a zone is served under the name it was delegated from: the gateway domain itself, and for an
    extra zone the domain above its apex. That is the host an operator has given an address already, in both cases.
    `addresses` are the gateway's own.
    A zone named twice is kept once. Raises InvalidInput for a name that cannot be a zone.
    """
    labels, own = tuple(challenge_labels), tuple(addresses)
    apexes = [f"{label}.{domain}" for domain in domains for label in labels]
    zones: dict[str, Zone] = {}
    for apex in (*apexes, *extra_zones):
        name = plain_name(apex)
        zone = Zone(name, plain_name(nameserver or _parent(name)), own)
        plain_name(zone.mailbox)  # it has to be a name as well
        zones.setdefault(name, zone)
    return tuple(zones.values())


def plain_name(text: str) -> str:
    """`text` in the spelling used inside: lower case, no trailing dot.

    Raises InvalidInput when it is no name of letters, digits, hyphens and underscores, or too long (RFC 1035 §2.3.4).
    """
    name = text.lower().removesuffix(".")
    for label in name.split("."):
        if not label or len(label) > _LONGEST_LABEL or not _PLAIN.issuperset(label):
            raise InvalidInput(
                f"the DNS name {_shown(text)} has the label {_shown(label)}: "
                "a label is 1 to 63 letters, digits, hyphens and underscores"
            )
    if len(name) + 2 > _LONGEST_NAME:
        raise InvalidInput(f"the DNS name {_shown(text)} is too long: at most {_LONGEST_NAME - 2} characters")
    return name


def wire_name(text: str) -> Name:
    """A plain name (as `plain_name` gives it) in wire form."""
    return b"".join(bytes((len(label),)) + label.encode("ascii") for label in text.split(".")) + b"\0"


def plain_text(name: Name) -> str:
    """The plain name of an owner name that came from one: the reverse of `wire_name`."""
    labels, at = [], 0
    while name[at]:
        labels.append(name[at + 1 : at + 1 + name[at]].decode("ascii"))
        at += name[at] + 1
    return ".".join(labels)


@dataclass(frozen=True, slots=True)
class Contents:
    """All zones with all values at one serial: what a question is answered from. Never changed, only replaced."""

    zones: Mapping[Name, Zone]
    serial: int
    texts: Mapping[str, tuple[str, ...]]
    """Owner name (plain) -> TXT values, as they were published: also those outside every zone."""
    values: Mapping[Name, tuple[str, ...]]
    """The same by wire name."""
    weights: Mapping[Name, int]
    """Names that exist -> how many apexes and owner names are at or below them. Above zero without values and not an
    apex: an empty non-terminal (RFC 8020 §2), which exists as well."""
    addresses: Mapping[Name, tuple[str, ...]] = field(default_factory=dict)
    """Name servers that lie in these zones themselves -> where they are."""

    @classmethod
    def of(cls, zones: Iterable[Zone], serial: int, texts: Mapping[str, tuple[str, ...]]) -> Self:
        """Everything anew, for a new set of zones."""
        apexes = {wire_name(zone.apex): zone for zone in zones}
        empty = cls(zones=apexes, serial=serial, texts={}, values={}, weights=dict.fromkeys(apexes, 1))
        weights = dict(empty.weights)
        for apex in apexes:  # what lies between a nested zone and the one around it exists as well (RFC 8020 §2)
            around = empty.zone_of(above(apex))
            if around:
                empty._count(weights, above(apex), around, 1)
        servers = {wire_name(zone.nameserver): zone.addresses for zone in apexes.values() if zone.addresses}
        addresses = {name: found for name, found in servers.items() if empty.zone_of(name)}
        for name in addresses:
            empty._weigh(weights, name, 1)
        return replace(empty, weights=weights, addresses=addresses).with_values(serial, texts)

    def with_values(self, serial: int, texts: Mapping[str, tuple[str, ...]]) -> Self:
        """The same zones with other values. Costs what changed, plus one copy of the maps."""
        values, weights = dict(self.values), dict(self.weights)
        for text in {text for text, _ in texts.items() ^ self.texts.items()}:
            name = wire_name(text)
            had, has = name in values, bool(texts.get(text))
            values.pop(name, None)
            if has:
                values[name] = texts[text]
            if had != has:
                self._weigh(weights, name, 1 if has else -1)
        return replace(self, serial=serial, texts=dict(texts), values=values, weights=weights)

    def closest(self, name: Name) -> Name:
        """The closest encloser (RFC 4592 §3.3.1) of `name` that exists here: itself, if it does; empty outside."""
        weights = self.weights
        start = 0
        while name[start]:
            if name[start:] in weights:
                return name[start:]
            start += name[start] + 1
        return b""

    def zone_of(self, name: Name) -> Name:
        """The apex of the deepest zone that `name` lies in; empty when it lies in none."""
        start = 0
        while name[start]:
            if name[start:] in self.zones:
                return name[start:]
            start += name[start] + 1
        return b""

    def _weigh(self, weights: dict[Name, int], name: Name, change: int) -> None:
        """Count an owner name in (or out) along the way up to its apex. Names outside every zone do not exist."""
        apex = self.zone_of(name)
        if apex:
            self._count(weights, name, apex, change)

    @staticmethod
    def _count(weights: dict[Name, int], name: Name, apex: Name, change: int) -> None:
        for start in _label_starts(name[: len(name) - len(apex)]):
            weight = weights.get(name[start:], 0) + change
            if weight:
                weights[name[start:]] = weight
            else:
                del weights[name[start:]]


def above(name: Name) -> Name:
    """The name one label up."""
    return name[name[0] + 1 :]


def _label_starts(labels: bytes) -> Iterable[int]:
    start = 0
    while start < len(labels):
        yield start
        start += labels[start] + 1


def _parent(name: str) -> str:
    """The domain above `name`, or `name` itself when there is none."""
    return name.partition(".")[2] or name


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
