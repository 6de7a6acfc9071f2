"""Reads the counters that matter out of Traefik's metrics page (Prometheus text exposition, version 0.0.4).

Why not a library: of some dozen lines per service only three are wanted. Passing over the others by their first
letters is what keeps a page of a hundred thousand lines from being seconds of computing. The lines that are wanted are
read strictly: a page with one that cannot be read is refused whole, since a counter that is missing by accident would
look like one that restarted. It knows the names of Traefik's metrics and nothing of accounts.
"""

import math
import re
from collections.abc import Iterable

from appliance.model.errors import InvalidInput
from appliance.model.traffic import REQUEST_BYTES, REQUESTS, RESPONSE_BYTES, Scrape

_KINDS = {
    "traefik_service_requests_bytes_total": REQUEST_BYTES,
    "traefik_service_responses_bytes_total": RESPONSE_BYTES,
    "traefik_service_requests_total": REQUESTS,
}
_PROCESS_START = "process_start_time_seconds"
_PREFIXES = (*(f"{name}{{" for name in _KINDS), f"{_PROCESS_START} ")
_PROVIDER = "@file"
_USUAL = re.compile(
    r'([a-z_]+)\{code="([0-9]+)",method="([A-Z_]+)",protocol="([a-z0-9_]+)",service="([^"\\]*)"\} ([^ ]+)'
)
"""The line as Traefik writes it, which one expression can take apart; any other lawful form takes the way below."""
_LINE = re.compile(r'([a-zA-Z_:][\w:]*)\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\}[ \t]+([^ \t]+)(?:[ \t]+-?[0-9]+)?[ \t]*')
_LABEL = re.compile(r'[ \t]*([a-zA-Z_]\w*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|$)')


def parse(lines: Iterable[str]) -> Scrape:
    """The counters of the services that came from files. Raises InvalidInput, quoting the line."""
    process: float | None = None
    services: dict[str, dict[str, int | None]] = {}
    for line in lines:
        if not line.startswith(_PREFIXES):
            continue
        if line.startswith(_PROCESS_START):
            process = _number(line.split()[1], line)
            continue
        service, series, value = _sample(line)
        if service.endswith(_PROVIDER):
            services.setdefault(service.removesuffix(_PROVIDER), {})[series] = _count(_number(value, line))
    return Scrape(process, services)


def _sample(line: str) -> tuple[str, str, str]:
    """The service, the series' name within it, and the value as text."""
    usual = _USUAL.fullmatch(line)
    if usual is not None:
        name, code, method, protocol, service, value = usual.groups()
        return service, f"{_KINDS[name]}:{code}:{method}:{protocol}", value
    match = _LINE.fullmatch(line)
    if match is None:
        raise InvalidInput(f"this line of the metrics cannot be read: {line[:300]!r}")
    labels = _labels(match[2], line)
    try:
        service, key = labels["service"], (labels["code"], labels["method"], labels["protocol"])
    except KeyError as error:
        raise InvalidInput(f"this line of the metrics has no label {error}: {line[:300]!r}") from error
    return service, ":".join((_KINDS[match[1]], *key)), match[3]


def _labels(text: str, line: str) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _LABEL.match(text, position)
        if match is None:
            raise InvalidInput(f"the labels of this line of the metrics cannot be read: {line[:300]!r}")
        found[match[1]] = re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), match[2])
        position = match.end()
    return found


def _number(text: str, line: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"this line of the metrics has no number: {line[:300]!r}") from error


def _count(value: float) -> int | None:
    """A counter's value; None for what no counter can be (NaN, infinite, negative)."""
    return int(value) if math.isfinite(value) and value >= 0 else None
