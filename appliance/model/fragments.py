"""Fragments: Traefik configuration of the operator's own, beside what the appliance renders.

Here is decided what can be decided by looking at a fragment: its form, the names it takes, the hosts its rules are
bound to. Whether Traefik takes it only Traefik knows; it is asked afterwards. Keys are compared without regard to
case, as Traefik does, so that no spelling of a key slips by unjudged.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from appliance.model import documents, rules
from appliance.model.errors import InvalidInput, Refused
from appliance.model.reservations import Reservations
from appliance.model.rules import HostPattern

LARGEST_FRAGMENT_BYTES = 256 * 1024
MOST_FRAGMENTS = 100
SUFFIX = ".yaml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PROTOCOLS = ("http", "tcp")
_PARTS = ("routers", "services", "middlewares", "serverstransports")
_ENTRY_POINTS = frozenset({"web", "web-secure"})

Item = tuple[str, str, str]
"""Protocol, part (lower case) and name of something that a fragment defines."""


class FragmentState(StrEnum):
    """A fragment's state."""

    PENDING = "pending"
    """Being tried, or written and not yet confirmed by Traefik."""
    APPLIED = "applied"
    """Traefik has it."""
    REFUSED = "refused"
    """This version is not used; the reason says what to do. The version accepted before may still be live."""


@dataclass(frozen=True, slots=True)
class FragmentView:
    """A fragment as it is shown to people and programs."""

    name: str
    state: FragmentState
    reason: str
    is_live: bool
    """Whether Traefik has a version of it, this one or the one accepted before."""

    def document(self) -> dict[str, Any]:
        """The JSON form: `{name, file, state, reason, live}`."""
        file = f"extra/{self.name}{SUFFIX}"
        return {"name": self.name, "file": file, "state": self.state, "reason": self.reason, "live": self.is_live}


@dataclass(frozen=True, slots=True)
class Fragment:
    """One fragment that has the right form. `text` is what Traefik is given, character by character."""

    name: str
    text: str
    items: Mapping[Item, Any] = field(compare=False)
    tls_options: frozenset[str] = field(compare=False)
    hosts: frozenset[HostPattern] = field(compare=False)

    @property
    def file(self) -> str:
        """Where the operator finds it."""
        return f"extra/{self.name}{SUFFIX}"

    def defined(self, part: str) -> list[tuple[str, str]]:
        """(protocol, name) of everything it defines in one part, like `routers`."""
        return [(protocol, name) for protocol, own, name in self.items if own == part]

    def taken_names(self) -> frozenset[str]:
        """The workload ids that would clash with a name in it, or with its file in Traefik's directory."""
        names = {name.split(".")[0] for _, _, name in self.items}  # what is a workload's is called `<id>.<kind>...`
        return frozenset(names | {name.removesuffix("-route") for name in names} | {f"zz-extra-{self.name}"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a fragment must leave alone: this gateway's domains, the workloads' ids, and who holds which host."""

    domains: tuple[str, ...] = ()
    ids: Collection[str] = frozenset()
    holders: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What Traefik has against a set of fragments. `names`: whose fault it seems to be; empty where it does not say."""

    words: str
    names: frozenset[str] = frozenset()


def parse(name: str, raw: bytes) -> Fragment:
    """The fragment `raw`, in a file `<name>.yaml`. Raises InvalidInput or Refused, naming the place and the mend."""
    if not _NAME.fullmatch(name):
        raise InvalidInput("rename the file: its name is 1 to 100 letters, digits, `.`, `-` and `_`, then `.yaml`")
    content = documents.parse(raw, LARGEST_FRAGMENT_BYTES)
    text = raw.decode("utf-8")
    if "{{" in text:
        raise Refused(
            "it holds `{{`, which begins a Go template: Traefik would work it out anew at each reading, so what was "
            "tried would not be what is served; write the value itself"
        )
    top = documents.lowered(content, "the fragment")
    for key in top:
        if key not in (*_PROTOCOLS, "tls"):
            raise InvalidInput(_unknown(key))
    items = dict(_items(top))
    fragment = Fragment(name, text, items, _tls_options(top), _bound_hosts(items))
    _check_no_orders(top)
    return fragment


def check(fragment: Fragment, around: Surroundings) -> None:
    """Raise Refused when a fragment takes what is not the operator's: a workload's name or host, a gateway host."""
    for identity in sorted(fragment.taken_names()):
        if identity in around.ids:
            raise Refused(
                f"the name {identity} (or {identity}-route) belongs to the workload {identity}: choose another name"
            )
    for pattern in sorted(fragment.hosts, key=str):
        for domain in around.domains:
            if pattern.touches(domain):
                raise Refused(
                    f"a rule matches {pattern}, which concerns this gateway's domain {domain}: hosts there belong to "
                    "workloads; register a name proxy, or choose another host"
                )
        holder = _holder(pattern, around.holders)
        if holder is not None:
            raise Refused(f"a rule matches {pattern}, which the workload {holder} holds: choose another host")


def reservations(fragments: Iterable[Fragment]) -> Reservations:
    """What accepted fragments keep from workloads that come later."""
    names: dict[str, str] = {}
    hosts: dict[HostPattern, str] = {}
    for fragment in fragments:
        names.update(dict.fromkeys(fragment.taken_names(), fragment.file))
        hosts.update(dict.fromkeys(fragment.hosts, fragment.file))
    return Reservations(names, hosts)


def _holder(pattern: HostPattern, holders: Mapping[str, str]) -> str | None:
    if not pattern.is_below:
        return holders.get(pattern.host)
    return next((holder for host, holder in holders.items() if pattern.matches(host)), None)


def _unknown(key: str) -> str:
    if key == "udp":
        return "`udp` is of no use: this gateway has no UDP entry point"
    return documents.unknown_key(key, [*_PROTOCOLS, "tls"]) + " (Traefik would pass over it in silence)"


def _items(top: Mapping[str, Any]) -> Iterator[tuple[Item, Any]]:
    for protocol in _PROTOCOLS:
        if protocol not in top:
            continue
        section = documents.lowered(top[protocol], f"`{protocol}`")
        for part in _PARTS:
            for name, value in _named(section.get(part), f"`{protocol}.{part}`"):
                yield (protocol, part, name), value


def _named(value: Any, what: str) -> Iterator[tuple[str, Any]]:
    """The members of a section. An empty one is left to Traefik, which has words for it."""
    for name, member in documents.mapping(value or {}, what).items():
        if name.startswith("_") or "@" in name:
            raise InvalidInput(f"{what} has the name {name[:80]!r}: names neither begin with `_` nor hold `@`")
        yield name, member


def _tls_options(top: Mapping[str, Any]) -> frozenset[str]:
    section = documents.lowered(top.get("tls") or {}, "`tls`")
    return frozenset(name for name, _ in _named(section.get("options"), "`tls.options`"))


def _bound_hosts(items: Mapping[Item, Any]) -> frozenset[HostPattern]:
    routers = {(protocol, name) for protocol, part, name in items if part == "routers"}
    found = set[HostPattern]()
    for (protocol, part, name), value in items.items():
        if part == "routers":
            found |= _router_hosts(protocol, name, documents.lowered(value, f"the router {name}"), routers)
    return frozenset(found)


def _router_hosts(
    protocol: str, name: str, router: Mapping[str, Any], routers: Collection[tuple[str, str]]
) -> frozenset[HostPattern]:
    _check_entry_points(name, router)
    if str(router.get("rulesyntax", "v3")).lower() != "v3":
        raise Refused(f"the router {name} asks for another `ruleSyntax`: write its rule in Traefik's third syntax")
    rule = router.get("rule")
    if not isinstance(rule, str):
        raise InvalidInput(f"the router {name} has no `rule`: say what it matches, like Host(`www.example.org`)")
    try:
        bound = rules.bound(rule)
    except InvalidInput as error:
        raise InvalidInput(f"the rule of the router {name} cannot be read: {error}") from error
    if bound is None:
        _check_leftover(protocol, name, router, routers)
        return frozenset()
    for pattern in bound:
        if "*" in pattern.host:
            raise InvalidInput(f"the rule of the router {name} has `*` inside the host {pattern}: only `*.` goes first")
    return bound


def _check_leftover(protocol: str, name: str, router: Mapping[str, Any], routers: Collection[tuple[str, str]]) -> None:
    """A router bound to no host may only have what nobody else takes."""
    if protocol == "tcp":
        raise Refused(
            f"the rule of the TCP router {name} is not bound to hosts, so it would take the workloads' connections: "
            "name the hosts by HostSNI(`www.example.org`)"
        )
    parents = router.get("parentrefs")
    if isinstance(parents, list) and parents and all(("http", str(parent)) in routers for parent in parents):
        return
    try:
        priority = int(router.get("priority", 0))
    except (TypeError, ValueError):
        priority = 0
    if priority >= 0:
        raise Refused(
            f"the rule of the router {name} is not bound to hosts, so it would take the workloads' requests: "
            "name the hosts by Host(`www.example.org`), or set `priority: -1` to have what nobody else takes"
        )


def _check_entry_points(name: str, router: Mapping[str, Any]) -> None:
    points = router.get("entrypoints")
    listed = [points] if isinstance(points, str) else points
    for point in listed if isinstance(listed, list) else ():
        if point not in _ENTRY_POINTS:
            raise Refused(
                f"the router {name} uses the entry point {str(point)[:80]!r}: a fragment's are `web` and `web-secure`"
            )


def _check_no_orders(value: Any) -> None:
    """Refuse whatever makes Traefik order certificates.

    It orders every missing one again at each reload, and nothing holds it back for a fragment; the limits that this
    uses up are those of the account which all workloads share.
    """
    pending = [value]
    while pending:
        found = pending.pop()
        if isinstance(found, list):
            pending += found
        elif isinstance(found, dict):
            if any(str(key).lower() in ("certresolver", "defaultgeneratedcert") for key in found):
                raise Refused(
                    "it orders a certificate (`certResolver` or `defaultGeneratedCert`): register the host as an FQDN "
                    "proxy, or give a certificate of your own in `tls.certificates`"
                )
            pending += found.values()
