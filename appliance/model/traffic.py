"""How many bytes each workload has carried: totals that never fall, made of counters that do.

Two sources feed them. Traefik counts requests and bodies per service, from 0 at every start of it, and forgets a
service that was removed: that is here. The kernel counts the payload of each TCP connection, which is how passthrough
is measured: that is in `flows`. The last value seen is kept beside the total, so any reading is added exactly once.

Pure: readings come in with their time, the next ledger goes out. It knows neither HTTP, nor the kernel, nor files.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

KEPT_SECONDS = 30 * 24 * 3600.0
"""How long a deleted workload's totals are kept."""
LINGERING_SECONDS = 3600.0
"""How long a connection to a backend that was given up is still known as its former workload's."""

REQUEST_BYTES = "request_bytes"
RESPONSE_BYTES = "response_bytes"
REQUESTS = "requests"

Endpoint = tuple[str, int]
"""An IP address in its shortest form, and a port."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """One reading of Traefik's counters."""

    process: float | None
    """When the Traefik that was read started (Unix time): another one has counted from 0. None: it did not say."""
    services: Mapping[str, Mapping[str, int | None]]
    """Workload id -> series (`kind:code:method:protocol`) -> value; None: there, but not a usable number."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a workload that is to be live asks to have counted."""

    host: str
    tls_passthrough: bool
    endpoints: frozenset[Endpoint]


@dataclass(frozen=True, slots=True)
class Account:
    """One workload's totals."""

    host: str
    tls_passthrough: bool = False
    request_bytes: int = 0
    response_bytes: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)
    """Requests by status class, `2xx` and so on."""
    seen: Mapping[str, int] = field(default_factory=dict)
    """The last value of each of Traefik's series, already within the totals."""
    unmeasured: str = ""
    """Why the bytes cannot be told at present; empty when they can."""
    incomplete: str = ""
    """What is missing in the totals from earlier; empty when nothing is."""
    deleted: float | None = None
    """When it was deleted (Unix time)."""

    def document(self, problem: str = "") -> dict[str, Any]:
        """The JSON form. Whatever is null has its `reason`; `note` says what is missing in a number.

        `problem` says why Traefik's counters cannot be read now, if so.
        """
        by_class = dict(sorted(self.requests.items()))
        unseen = self.tls_passthrough and not by_class
        is_stale = bool(problem) and not self.tls_passthrough and self.deleted is None
        untold = self.unmeasured or (problem if is_stale and not self.seen and not by_class else "")
        told = not untold
        reason = untold or ("TLS passthrough: requests are encrypted, only bytes are seen" if unseen else "")
        notes = [self.incomplete, f"as of the last reading: {problem}" if is_stale and told else ""]
        return {
            "host": self.host,
            "tls_passthrough": self.tls_passthrough,
            "request_bytes": self.request_bytes if told else None,
            "response_bytes": self.response_bytes if told else None,
            "requests": None if unseen or not told else by_class,
            "reason": reason,
            "note": "; ".join(filter(None, notes)),
            "deleted": self.deleted,
        }


@dataclass(frozen=True, slots=True)
class Carried:
    """What of a connection is already in the totals, and whose it is."""

    identity: str
    sent_bytes: int
    received_bytes: int
    gone: float | None = None
    """When it was no longer found open; its last reading comes when its program lets go of it (Unix time)."""


@dataclass(frozen=True, slots=True)
class Former:
    """Whose connections to an endpoint still are that nobody claims any more, and until when (Unix time)."""

    identity: str
    until: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """All accounts, and what is needed to go on counting. Never changed: every reading gives the next one."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    process: float | None = None
    """The Traefik whose series are in `Account.seen`."""
    kernel: str = ""
    """Which kernel and network namespace numbered the connections in `flows`."""
    flows: Mapping[int, Carried] = field(default_factory=dict)
    former: Mapping[Endpoint, Former] = field(default_factory=dict)


def grown_by(last: int | None, value: int) -> int:
    """What a counter's new value adds: one that fell, or was not there before, has counted from 0."""
    return value if last is None or value < last else value - last


def scraped(ledger: Ledger, scrape: Scrape) -> Ledger:
    """Add a reading of Traefik's counters. Services that are no workload's (operators' own) are passed over."""
    restarted = None not in (scrape.process, ledger.process) and scrape.process != ledger.process
    changed: dict[str, Account] = {}
    for identity, account in ledger.accounts.items():
        if not account.seen and identity not in scrape.services:
            continue  # most of ten thousand, every two seconds
        series = scrape.services.get(identity, {})
        if restarted or series != account.seen:
            changed[identity] = _with_series(account, {} if restarted else account.seen, series)
    process = scrape.process if scrape.process is not None else ledger.process
    if not changed and process == ledger.process:
        return ledger
    return replace(ledger, process=process, accounts={**ledger.accounts, **changed})


def _with_series(account: Account, seen: Mapping[str, int], series: Mapping[str, int | None]) -> Account:
    totals = {REQUEST_BYTES: account.request_bytes, RESPONSE_BYTES: account.response_bytes}
    requests = dict(account.requests)
    fresh: dict[str, int] = {}
    for name, value in series.items():
        if value is None:
            if name in seen:
                fresh[name] = seen[name]
            continue
        fresh[name] = value
        kind, code = name.split(":", 2)[:2]
        grown = grown_by(seen.get(name), value)
        if kind == REQUESTS:
            requests[f"{code[:1]}xx"] = requests.get(f"{code[:1]}xx", 0) + grown
        elif kind in totals:
            totals[kind] += grown
    return replace(
        account,
        request_bytes=totals[REQUEST_BYTES],
        response_bytes=totals[RESPONSE_BYTES],
        requests=requests,
        seen=fresh,
    )


def awaits_farewell(ledger: Ledger, claims: Mapping[str, Claim], among: Iterable[str] | None = None) -> bool:
    """Whether Traefik still has series of a service that is gone, `among` these workloads (None: all).

    They must be seen to vanish, or a service of the same name that comes back within the hour would be taken for the
    same counter.
    """
    accounts = ledger.accounts
    known = accounts if among is None else accounts.keys() & set(among)
    counted = [identity for identity in known if accounts[identity].seen]
    return any(identity not in claims or claims[identity].tls_passthrough for identity in counted)


def claimants(claims: Mapping[str, Claim]) -> dict[Endpoint, list[str]]:
    """Each passthrough backend -> the ids of all workloads that send traffic there, terminated or passed through."""
    found: dict[Endpoint, list[str]] = {
        endpoint: [] for claim in claims.values() if claim.tls_passthrough for endpoint in claim.endpoints
    }
    if found:
        for identity, claim in claims.items():
            for endpoint in claim.endpoints:
                if endpoint in found:
                    found[endpoint].append(identity)
    return found


def followed(
    ledger: Ledger,
    claims: Mapping[str, Claim],
    unrouted: Collection[str],
    problem: str,
    now: float,
    touched: Collection[str] | None = None,
) -> Ledger:
    """Keep accounts for exactly these workloads: new ones begin, those not named any more are marked deleted.

    `unrouted` are workloads that exist and are not to be live. `problem` says why connections cannot be measured on
    this host, if so. A workload that comes back goes on with its totals; deleted ones are dropped after `KEPT_SECONDS`.
    Only `touched` are looked at, and whoever may share a backend with them; None: all.
    """
    claimed = claimants(claims)
    shared = {end: names for end, names in claimed.items() if len(names) > 1}
    accounts = dict(ledger.accounts)
    concerned = claims.keys() | accounts.keys() if touched is None else {*touched, *itertools.chain(*claimed.values())}
    for identity in concerned:
        claim = claims.get(identity)
        if claim is None:
            _end(accounts, identity, now, exists=identity in unrouted)
        else:
            unmeasured = _unmeasured(identity, claim, shared, problem)
            accounts[identity] = _claimed(accounts.get(identity) or Account(claim.host), claim, unmeasured, now)
    return replace(ledger, accounts=accounts, former=_former(ledger, claims, now))


def _end(accounts: dict[str, Account], identity: str, now: float, *, exists: bool) -> None:
    """What becomes of the account of a workload that is not live: of one that does not exist either, it ends."""
    account = accounts.get(identity)
    if account is None:
        return
    deleted = None if exists else account.deleted if account.deleted is not None else now
    if deleted is not None and now - deleted >= KEPT_SECONDS:
        del accounts[identity]
    elif account.deleted != deleted:
        accounts[identity] = replace(account, deleted=deleted)


def _claimed(account: Account, claim: Claim, unmeasured: str, now: float) -> Account:
    stands = (account.host, account.tls_passthrough, account.unmeasured, account.deleted)
    if stands == (claim.host, claim.tls_passthrough, unmeasured, None):
        return account
    is_back = bool(account.unmeasured) and not unmeasured
    return replace(
        account,
        host=claim.host,
        tls_passthrough=claim.tls_passthrough,
        deleted=None,
        unmeasured=unmeasured,
        incomplete=missing(account.unmeasured, now) if is_back else account.incomplete,
    )


def _unmeasured(identity: str, claim: Claim, shared: Mapping[Endpoint, list[str]], problem: str) -> str:
    if not claim.tls_passthrough:
        return ""
    if problem:
        return problem
    for address, port in sorted(claim.endpoints & shared.keys()):
        others = ", ".join(sorted(other for other in shared[address, port] if other != identity))
        return (
            f"its backend {address} port {port} is also a backend of {others}, and their connections cannot be told "
            "apart: give each a port or an address of its own"
        )
    return ""


def missing(what: str, now: float) -> str:
    """What is noted on an account when from now on it is counted again."""
    return f"not complete: until {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC, {what}"


def _former(ledger: Ledger, claims: Mapping[str, Claim], now: float) -> dict[Endpoint, Former]:
    if not ledger.former:
        return {}
    claimed = {endpoint for claim in claims.values() for endpoint in claim.endpoints}
    return {end: one for end, one in ledger.former.items() if one.until > now and end not in claimed}
