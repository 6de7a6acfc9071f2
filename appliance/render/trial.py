"""What the throw-away Traefik is given in which fragments are tried, and what its answers mean.

It has the entry points of the real one, by name, and no certificate resolver. Beside the fragments it gets one
document of ours: a router for everything that a fragment defines and perhaps nobody uses yet. Traefik builds only what
a router uses, and says nothing about the rest until somebody does use it.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from appliance.model.fragments import Complaint, Fragment
from appliance.render import dynamic
from appliance.render.dynamic import ENTRY_POINT_HTTP, ENTRY_POINT_HTTPS, Decision

API = "traefik"
ENTRY_POINTS = (ENTRY_POINT_HTTP, ENTRY_POINT_HTTPS, "metrics", API)
MARK = "_trial"
"""The router that is there once everything has been read."""
EXERCISE_FILE = "~trial.yaml"
_PREFIX = "zz-extra-"
_SECTIONS = ("routers", "tcpRouters", "middlewares", "tcpMiddlewares", "services", "tcpServices")
_BAD_LEVELS = frozenset({"error", "fatal", "panic"})
_TWICE = "already configured, skipping"


def file_name(name: str) -> str:
    """A fragment's file in Traefik's directory. Of two definitions Traefik takes the first by name of the file."""
    return f"{_PREFIX}{name}.yaml"


def body(fragment: Fragment) -> str:
    """A fragment's text as it is sealed: the operator's own, ending with a line break."""
    return fragment.text if fragment.text.endswith("\n") else fragment.text + "\n"


def rule(fragment: Fragment, protocol: str, name: str) -> str:
    """The rule of one of its routers."""
    router = fragment.items[protocol, "routers", name]
    return next(str(value) for key, value in router.items() if key.lower() == "rule")


def of_route(decision: Decision) -> Fragment:
    """A workload's route as a fragment, under the workload's id. No certificate: there is no resolver for it here."""
    unordered = dataclasses.replace(decision, orders_certificate=False)
    items = {
        (protocol, part.lower(), name): item
        for protocol, sections in dynamic.document(unordered).items()
        for part, named in sections.items()
        for name, item in named.items()
    }
    text = dynamic.files(unordered)[dynamic.file_name(decision.route.id)]
    return Fragment(decision.route.id, text, items, frozenset(), frozenset())


def static(directory: str) -> str:
    """The throw-away Traefik's static configuration. Its listening sockets are handed to it, so ports do not count."""
    points: dict[str, Any] = {
        point: {"address": "127.0.0.1:0", "http": {"aliasHeadersStrategy": "delete"}} for point in ENTRY_POINTS
    }
    for point in (ENTRY_POINT_HTTP, ENTRY_POINT_HTTPS):
        points[point]["asDefault"] = True
    return json.dumps(
        {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "WARN", "format": "json"},
            "api": {"insecure": True, "dashboard": False},
            "providers": {
                "providersThrottleDuration": "1ms",
                "file": {"directory": directory, "watch": False},
            },
            "entryPoints": points,
        }
    )


def exercise(fragments: Iterable[Fragment]) -> str:
    """The document that uses everything the fragments define."""
    http = {MARK: {"rule": "Host(`trial.invalid`)", "service": "noop@internal"}}
    tcp: dict[str, Any] = {}
    for fragment in fragments:
        http |= dict(_http_uses(fragment))
        tcp |= dict(_tcp_uses(fragment))
    content: dict[str, Any] = {"http": {"routers": http}}
    if tcp:
        servers = {"loadBalancer": {"servers": [{"address": "127.0.0.1:9"}]}}
        content["tcp"] = {"routers": tcp, "services": {MARK: servers}}
    return json.dumps(content)


def complaints(fragments: Sequence[Fragment], log: str, reported: Mapping[str, Any] | None) -> list[Complaint]:
    """What Traefik has against the fragments, by its log and by what its API reports (None: it reads nothing)."""
    found = [*_logged(fragments, log), *_reported(fragments, reported or {})]
    if reported is not None:
        found += _missing(fragments, reported)
    elif not found:
        found = [Complaint("Traefik reads nothing of it and does not say why")]
    unique: dict[str, Complaint] = {}
    for complaint in found:
        known = unique.get(complaint.words)
        unique[complaint.words] = Complaint(complaint.words, complaint.names | (known.names if known else frozenset()))
    return list(unique.values())


def _http_uses(fragment: Fragment) -> Iterator[tuple[str, Any]]:
    for part in ("middlewares", "services"):
        for protocol, name in fragment.defined(part):
            if protocol == "http":
                yield _use(part, name, {"service": name} if part == "services" else {"middlewares": [name]})
    for name in sorted(fragment.tls_options):
        yield _use("options", name, {"tls": {"options": name}})


def _use(part: str, name: str, using: Mapping[str, Any]) -> tuple[str, Any]:
    own = f"{MARK}/{part}/{name}"
    return own, {"rule": f"Host(`{_label(part, name)}.trial.invalid`)", "service": "noop@internal", **using}


def _tcp_uses(fragment: Fragment) -> Iterator[tuple[str, Any]]:
    for part in ("middlewares", "services"):
        for protocol, name in fragment.defined(part):
            if protocol == "tcp":
                using = {"service": name} if part == "services" else {"service": MARK, "middlewares": [name]}
                rule = f"HostSNI(`{_label(part, name)}.trial.invalid`)"
                yield f"{MARK}/{part}/{name}", {"rule": rule, "tls": {"passthrough": True}, **using}


def _label(part: str, name: str) -> str:
    return f"{part}-{name.encode().hex()}"[:63].rstrip("-")


def _logged(fragments: Sequence[Fragment], log: str) -> Iterator[Complaint]:
    for line in log.splitlines():
        try:
            entry: Any = json.loads(line)
        except ValueError:
            entry = {"level": "error", "error": line} if line.startswith(("panic", "fatal")) else {}
        if not isinstance(entry, dict):
            continue
        message = str(entry.get("message", ""))
        if entry.get("level") in _BAD_LEVELS:
            yield _complaint(fragments, entry, message)
        elif _TWICE in message:
            what = next((value for key, value in entry.items() if key.endswith("Name") and key != "providerName"), "")
            origin = str(entry.get("origin", ""))
            yield Complaint(f"{what} is defined twice, here and elsewhere: choose another name", _of(fragments, origin))


def _complaint(fragments: Sequence[Fragment], entry: Mapping[str, Any], message: str) -> Complaint:
    """A line of the log as people read it: the file by its own name, our own routers by what they use."""
    error = str(entry.get("error", ""))
    text = f"{message}: {error}" if message and error else error or message
    names = _of(fragments, text)
    for fragment in fragments:
        text = text.replace(file_name(fragment.name), fragment.file)
    start = text.find("extra/")
    text = text[max(start, 0) :] if names else text
    owner = _owner(str(entry.get("routerName", "")))
    if owner is None:
        return Complaint(text, names)
    part, name = owner
    return Complaint(_about(part, name, text), names | _defining(fragments, part, name))


def _reported(fragments: Sequence[Fragment], reported: Mapping[str, Any]) -> Iterator[Complaint]:
    for section in _SECTIONS:
        for full_name, item in (reported.get(section) or {}).items():
            own = _owner(full_name, section.removeprefix("tcp").lower())
            if own is not None and item.get("status") not in (None, "enabled"):
                errors = item.get("error") or ["it is disabled without a reason given"]
                for error in errors:
                    yield Complaint(_about(*own, str(error)), _defining(fragments, *own))


def _missing(fragments: Sequence[Fragment], reported: Mapping[str, Any]) -> Iterator[Complaint]:
    """What a fragment defines and Traefik does not have, or reads otherwise than it was judged."""
    for fragment in fragments:
        for protocol, part, name in fragment.items:
            section = part if protocol == "http" else f"tcp{part.capitalize()}"
            if section not in _SECTIONS:
                continue
            item = (reported.get(section) or {}).get(f"{name}@file")
            if item is None:
                yield Complaint(_about(part, name, "Traefik does not have it"), frozenset({fragment.name}))
            elif part == "routers" and item.get("rule") != rule(fragment, protocol, name):
                words = "Traefik reads another rule than is written: put it in quotes"
                yield Complaint(_about(part, name, words), frozenset({fragment.name}))


def _owner(full_name: str, part: str = "routers") -> tuple[str, str] | None:
    """Part and name of what is meant: a router of ours stands for what it uses."""
    name, _, provider = full_name.rpartition("@")
    if provider != "file" or name == MARK:
        return None
    if name.startswith(f"{MARK}/"):
        _, part, name = name.split("/", 2)
    return part, name


def _about(part: str, name: str, words: str) -> str:
    what = {"options": "TLS options"}.get(part, part.removesuffix("s"))
    return f"the {what} {name}: {words}"


def _of(fragments: Sequence[Fragment], text: str) -> frozenset[str]:
    """The fragments whose files a text names."""
    return frozenset(fragment.name for fragment in fragments if file_name(fragment.name) in text)


def _defining(fragments: Sequence[Fragment], part: str, name: str) -> frozenset[str]:
    return frozenset(
        fragment.name
        for fragment in fragments
        if (part == "options" and name in fragment.tls_options)
        or any(own == part and known == name for _, own, known in fragment.items)
    )
