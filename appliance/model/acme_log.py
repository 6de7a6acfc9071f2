"""What Traefik's log says about orders: pure parsing of one line of the kept log into what happened.

Traefik tells nobody else why an order failed. The wording is Traefik's and lego's (3.7 with lego 5; samples of the real
lines are in tests/golden/acme_log) and may change: then a failure stays a failure, with its raw words.

Parts of a reason are foreign: a certificate authority quotes what it found on the tenant's web server. So a problem's
type is read where lego writes it and nowhere else, and a name only if it is one of the order's.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from appliance.model import log_lines, redaction

LONGEST_WORDS: Final = 2000
"""Characters kept of a reason."""
_LONGEST_WAIT_SECONDS = 31 * 86400.0
"""No certificate authority's limit lasts longer; a later time is not believed."""


class Cause(StrEnum):
    """What went wrong, as far as the words say."""

    PROBLEM = "problem"
    """The certificate authority answered with an error."""
    UNREACHABLE = "unreachable"
    """The certificate authority could not be talked to: refused, not found, not trusted, no answer in time."""
    HOOK = "hook"
    """The hook that hands the DNS-01 value to the authority failed."""
    PROPAGATION = "propagation"
    """Traefik's own check did not find the DNS-01 value in time."""
    UNKNOWN = "unknown"
    """The wording is not known."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 8555, section 6.7), as much as the log has of it."""

    kind: str
    """The last part of the URN, like `rateLimited`; empty when the answer was no problem document."""
    status: int | None
    """The HTTP status; None: the log does not say."""
    detail: str
    host: str
    """The name it is about; empty: the whole order."""
    retry_at: float | None
    """Unix seconds, where the detail of a rate limit names them. (The Retry-After header is not in the log.)"""

    @property
    def is_rate_limit(self) -> bool:
        """Whether the authority asks to be left alone."""
        return self.kind == "rateLimited"


@dataclass(frozen=True, slots=True)
class OrderFailed:
    """Traefik tried to get a certificate, and did not."""

    at: float
    """Unix seconds."""
    resolver: str
    """`resolver` or `dnsresolver`; empty: the line does not say."""
    domains: tuple[str, ...]
    """As ordered, in lower case."""
    cause: Cause
    problems: tuple[Problem, ...]
    """Names of one order can fail each in its own way. Empty unless the cause is PROBLEM."""
    words: str
    """The reason as it stands in the log, redacted and bounded."""
    is_renewal: bool

    @property
    def problem(self) -> Problem | None:
        """The one to act on: a rate limit before all others."""
        return next((one for one in self.problems if one.is_rate_limit), next(iter(self.problems), None))


@dataclass(frozen=True, slots=True)
class OrderBegun:
    """Traefik begins an order (or the order of a renewal) at the certificate authority."""

    at: float
    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Obtained:
    """A certificate has come, by a first order or by a renewal; Traefik serves it some moments later."""

    at: float
    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResolverSkipped:
    """Traefik left a certificate resolver out, because of its store: it orders nothing until it is started again."""

    at: float
    resolver: str
    words: str


Event = OrderFailed | OrderBegun | Obtained | ResolverSkipped


class Unreadable(ValueError):
    """A line that says something went wrong with certificates, and not for which names."""


_PROVIDER = re.compile(r"(.+)\.acme")
_RENEWAL = re.compile(r"Error renewing .*?\{(?:Main:)?(\S{1,300}) (?:SANs:)?\[([^\]]{0,8000})\]\}")
"""Traefik prints the names in either way, and without a client for the authority at level info."""
_HOST_RULE = re.compile(r"Host(?:SNI)?\(`([^`]+)`\)")
_GROUPS = "one or more domains had a problem: "
_GROUP = re.compile(r"(?:^|\] |\n)\[?([*A-Za-z0-9._-]+): ")
_LEAD = r"(?:[^\[\]:]{0,80}\[[^\]]{0,4000}\]: )?(?:cannot get ACME client )?(?:[\w '/*.()-]{1,80}: ){0,4}?"
"""What Traefik and lego say before the authority's words: nothing foreign, and no colon but their own."""
_PROBLEM = re.compile(
    _LEAD + r"acme: error: (\d{1,3}) :: (?:[A-Z]+ :: \S+ :: )?(\S*) :: (.*)",
    re.DOTALL,
)
_NO_DOCUMENT = re.compile(r"(?:.{0,4200}?: )??(?<!error: )(\d{3}) ::\s?[A-Z]+ :: \S+ :: (.*)", re.DOTALL)
_URN = re.compile(r"urn:(?:ietf:params:)?acme:error:(\w{1,60})")
_SUBPROBLEM = re.compile(r', problem: "([^"]*)" :: (.*?)(?=, problem: "|$)', re.DOTALL)
_RETRY_AFTER = re.compile(r"[Rr]etry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?: ?UTC|Z)")
_CAUSES: tuple[tuple[re.Pattern[str], Cause], ...] = (
    (re.compile(r"error presenting token|\bexec: "), Cause.HOOK),
    (
        re.compile(r"time limit exceeded|propagation|start of authority|authoritative nameserver|recursive nameserver"),
        Cause.PROPAGATION,
    ),
    (
        re.compile(r"unable to communicate with the API server|get directory at|dial tcp|tls: |x509: |net/http: "),
        Cause.UNREACHABLE,
    ),
)


def parse(line: Mapping[str, Any]) -> Event | None:
    """The event a line of the kept log tells of; None: it is about something else. Raises Unreadable."""
    message = line.get("message")
    when = log_lines.moment(line.get("time"))
    if line.get("program") != log_lines.TRAEFIK or not isinstance(message, str) or when is None:
        return None
    at = when.timestamp()
    if line.get("logger") == "lego":
        return _from_lego(line, message, at)
    if "skipped from the resolvers list" in message and line.get("resolver"):
        return ResolverSkipped(at, str(line["resolver"]), _words(line, message))
    provider = _PROVIDER.fullmatch(str(line.get("providerName", "")))
    if provider is None or not (line.get("level") in ("error", "critical") or _RENEWAL.search(message)):
        return None
    return _failed(line, message, provider[1], at)


def _from_lego(line: Mapping[str, Any], message: str, at: float) -> Event | None:
    domains = _canonical(str(line.get("domains", "")).split(","))
    if not domains:
        return None
    if message.startswith("Obtaining "):
        return OrderBegun(at, domains)
    return Obtained(at, domains) if message.startswith("Server responded with a certificate") else None


def _failed(line: Mapping[str, Any], message: str, resolver: str, at: float) -> OrderFailed:
    renewal = _RENEWAL.search(message)
    domains = _canonical([renewal[1], *renewal[2].split()] if renewal else _domains(line))
    words = _words(line, message)
    if not domains:
        raise Unreadable(f"no names in {message[:100]!r}")
    whole = str(line.get("error") or message)
    causes, problems = _reasons(redaction.redacted(whole), domains, at)
    cause = Cause.PROBLEM if problems else next((one for one in causes if one is not Cause.UNKNOWN), Cause.UNKNOWN)
    return OrderFailed(at, resolver, domains, cause, problems, words, renewal is not None)


def _domains(line: Mapping[str, Any]) -> Iterable[str]:
    named = line.get("domains")
    if isinstance(named, list):
        return [str(one) for one in named]
    if isinstance(named, str):
        return named.split(",")
    return _HOST_RULE.findall(str(line.get("rule", "")))


def _reasons(words: str, domains: tuple[str, ...], at: float) -> tuple[list[Cause], tuple[Problem, ...]]:
    """Why each name failed, or the order as a whole."""
    _, is_grouped, groups = words.partition(_GROUPS)
    parts = _by_name(groups, domains) if is_grouped else {}
    parts = parts or {"": words}
    problems = [one for host, part in parts.items() for one in _problems(part, host, at)]
    return [_cause(part) for part in parts.values()], tuple(problems)


def _by_name(groups: str, domains: tuple[str, ...]) -> dict[str, str]:
    """`[name: reason] [name: reason]`, cut where one of the order's names begins that has not been before."""
    starts: dict[str, re.Match[str]] = {}
    for found in _GROUP.finditer(groups):
        name = found[1].lower()
        if name in domains:
            starts.setdefault(name, found)
    ends = [found.start() for found in list(starts.values())[1:]] + [len(groups)]
    return {
        name: groups[found.end() : end].removesuffix("]")
        for (name, found), end in zip(starts.items(), ends, strict=True)
    }


def _problems(words: str, host: str, at: float) -> list[Problem]:
    found = _PROBLEM.match(words)
    if found is None:
        plain = _NO_DOCUMENT.match(words)
        return [_problem("", int(plain[1]), plain[2], host, at)] if plain else []
    kind, detail = _kind(found[2]), found[3]
    status = int(found[1]) or None
    if kind == "compound":
        parts = [_problem(_kind(urn), status, text, host, at) for urn, text in _SUBPROBLEM.findall(detail)]
        return parts or [_problem(kind, status, detail, host, at)]
    return [_problem(kind, status, detail, host, at)]


def _problem(kind: str, status: int | None, detail: str, host: str, at: float) -> Problem:
    retry_at = _retry_at(detail, at) if kind == "rateLimited" else None
    return Problem(kind, status, detail.strip()[:LONGEST_WORDS], host, retry_at)


def _kind(urn: str) -> str:
    found = _URN.fullmatch(urn)
    return found[1] if found else ""


def _retry_at(detail: str, at: float) -> float | None:
    """The time that Let's Encrypt writes into the detail: `retry after 2026-11-22 23:00:00 UTC`."""
    found = _RETRY_AFTER.search(detail)
    when = log_lines.moment(f"{found[1]}T{found[2]}+00:00") if found else None
    if when is None or when - dt.datetime.fromtimestamp(at, dt.UTC) > dt.timedelta(seconds=_LONGEST_WAIT_SECONDS):
        return None
    return when.timestamp()


def _cause(words: str) -> Cause:
    return next((cause for pattern, cause in _CAUSES if pattern.search(words)), Cause.UNKNOWN)


def _words(line: Mapping[str, Any], message: str) -> str:
    return redaction.redacted(str(line.get("error") or message))[:LONGEST_WORDS]


def _canonical(names: Iterable[str]) -> tuple[str, ...]:
    found = (name.strip().lower().removesuffix(".") for name in names)
    return tuple(dict.fromkeys(name for name in found if name and len(name) <= 255))
