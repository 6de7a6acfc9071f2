"""When a certificate may be ordered: the rules, without a clock.

A *subject* is one certificate to come: the host of an FQDN proxy, or `*.<domain>` for a gateway domain. Traefik orders
whatever its configuration names, at every reload, and forgets every failure; so a route names its certificate resolver
only while an order is *allowed* here, and each failure makes the next one wait.

    waiting --allowed--> ordered --obtained--> issued
       ^                    |                     |
       +------failed--------+      certificate gone

The bounds are the strictest public ones that are known: five failed validations an account, host and hour, and 300 new
orders an account and three hours (https://letsencrypt.org/docs/rate-limits/).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from appliance.model import acme_problems
from appliance.model.acme_log import Cause, OrderFailed

WILDCARD = "*."
SILENCE_SECONDS = 300.0
"""An order of which nothing was heard for so long has failed: every wait inside Traefik is shorter."""
MOST_UNDER_WAY = 20
"""How many orders may be under way at once."""
HOUR_SECONDS = 3600.0


class Weight(StrEnum):
    """What a failure says about the next attempt."""

    PASSING = "passing"
    """The authority's or the network's own trouble: soon again."""
    LASTING = "lasting"
    """Somebody has to mend something first: later and later."""
    LIMIT = "limit"
    """The authority counts: not before the time it named, else not before the pause that is set."""


class Rest(NamedTuple):
    """How long to wait after the n-th failure in a row: `first * factor ** (n - 1)`, at most `longest`, in seconds."""

    first: float
    factor: float
    longest: float

    def seconds(self, failures: int) -> float:
        """The wait after so many failures in a row."""
        return min(self.longest, self.first * self.factor ** min(max(0, failures - 1), 30))


RESTS = {Weight.PASSING: Rest(5.0, 2.0, 600.0), Weight.LASTING: Rest(120.0, 4.0, 6 * HOUR_SECONDS)}
_THEIR_OWN = frozenset({"badNonce", "serverInternal"})
_SERVER_ERRORS_FROM = 500
_MOST_REMEMBERED = 10_000
_JITTER = 0.1
"""Rests are lengthened by up to this share, so that what failed together is not tried together."""
_MENDED = Rest(20.0, 4.0, 6 * HOUR_SECONDS)
"""How soon after a failure an order may follow because what was wrong looks different now; longer and longer, too, for
a name that flaps must not use up what the authority allows.
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an order failed. Times are Unix seconds."""

    at: float
    weight: Weight
    words: str
    """What happened, in plain words."""
    todo: str
    retry_at: float | None = None
    """The time the authority named."""
    circumstances: str = ""
    """What the checks saw when it failed: something else seen later may mean that it is mended."""
    is_renewal: bool = False
    detail: str = ""
    """The authority's or Traefik's own words."""
    authority: str = ""
    """The certificate authority's directory: what it counts, another one does not."""
    rehearsal: str = ""
    """The staging directory where it failed; empty: it was an order in earnest."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one subject, also across restarts. Times are Unix seconds."""

    allowed_at: float | None = None
    """Since when an order is allowed; None: it is not."""
    ordered_at: float | None = None
    """When one was allowed last."""
    issued_at: float | None = None
    """When a certificate was there first; None: there is none."""
    failures: int = 0
    """In a row."""
    failure: Failure | None = None
    """The last one since the last success, a failed renewal included."""
    rests_until: float = 0.0
    rehearsed: str = ""
    """The staging directory where an order succeeded last."""
    was_issued: bool = False
    """Whether there was a certificate before: how to come by it is proven then."""

    def needs_rehearsal(self, directory: str) -> bool:
        """Whether an order is to be tried at this staging directory first; without one, none is."""
        return bool(directory) and not self.was_issued and self.rehearsed != directory

    def allowed(self, now: float) -> "Record":
        """An order may be made from now on."""
        return replace(self, allowed_at=now, ordered_at=now, issued_at=None)

    def withdrawn(self) -> "Record":
        """No order may be made."""
        return replace(self, allowed_at=None)

    def issued(self, now: float) -> "Record":
        """The certificate is there: whatever order failed before is over, though not a failed renewal of it."""
        if self.failure is not None and self.failure.is_renewal:
            return replace(self, issued_at=now)
        return replace(self, issued_at=now).renewed()

    def renewed(self) -> "Record":
        """A new certificate was obtained: all failures are over."""
        return replace(self, failures=0, failure=None, rests_until=0.0)

    def lost(self) -> "Record":
        """The certificate is there no more."""
        was_issued = self.was_issued or self.issued_at is not None
        return replace(self, issued_at=None, allowed_at=None, was_issued=was_issued)

    def failed(self, failure: Failure, pause_seconds: float, jitter: float) -> "Record":
        """An order failed. `pause_seconds`: after a rate limit that names no time; `jitter`: a number in [0, 1)."""
        failures = self.failures + 1
        if failure.weight is Weight.LIMIT:
            until = failure.retry_at if failure.retry_at is not None else failure.at + pause_seconds
        else:
            until = failure.at + RESTS[failure.weight].seconds(failures)
        until += (until - failure.at) * _JITTER * jitter
        # A certificate that is there stays in its route: a renewal is Traefik's to repeat.
        allowed_at = self.allowed_at if self.issued_at is not None else None
        return replace(self, allowed_at=allowed_at, failures=failures, failure=failure, rests_until=until)

    def settled(self, now: float, authority: str, staging: str = "") -> "Record":
        """As it counts now: failures at another authority or staging directory do not, and a clock that was set back
        must not make a rest last until it has caught up.
        """
        failure = self.failure
        if failure is None or failure.is_renewal:
            return self
        if failure.authority != authority or failure.rehearsal not in ("", staging):
            return self.renewed()
        if failure.at <= now:
            return self
        rests_until = now + self.rests_until - failure.at
        return replace(self, failure=replace(failure, at=now), rests_until=rests_until)

    def is_silent(self, now: float) -> bool:
        """Whether an order was allowed so long ago that it must have failed unheard."""
        return self.issued_at is None and self.allowed_at is not None and now - self.allowed_at > SILENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Budget:
    """How many orders the account may make in an hour, and when it made them, in Unix seconds, oldest first."""

    per_hour: int
    spent: tuple[float, ...] = ()

    def spend(self, now: float) -> "Budget":
        """One more order."""
        return replace(self, spent=(*self._recent(now), now))

    def free_at(self, now: float) -> float:
        """When the next order may be made; `now` or earlier: at once."""
        recent = self._recent(now)
        return now if len(recent) < self.per_hour else recent[-self.per_hour] + HOUR_SECONDS

    def _recent(self, now: float) -> tuple[float, ...]:
        return tuple(moment for moment in self.spent if now - HOUR_SECONDS < moment <= now)


class Hold(NamedTuple):
    """Why nothing is ordered now, and until when at least (Unix seconds); None: until something changes."""

    reason: str
    until: float | None
    is_fixed: bool = False
    """Whether nothing that a check sees could shorten it: until then there is nothing to look at."""


def hold(record: Record, now: float, circumstances: str, budget: Budget, under_way: int) -> Hold | None:
    """What stands against an order for a subject whose checks passed; None: it is allowed now.

    `circumstances` is what the checks saw.
    """
    failure = record.failure
    if failure is not None and now < _rest_end(record, failure, circumstances):
        until = _rest_end(record, failure, circumstances)
        return Hold(resting(failure), until, is_fixed=failure.weight is Weight.LIMIT)
    free_at = budget.free_at(now)
    if free_at > now:
        reason = f"{budget.per_hour} certificates were ordered within an hour, the limit `acme.orders_per_hour`"
        return Hold(f"{reason}: this one waits for its turn", free_at, is_fixed=True)
    if under_way >= MOST_UNDER_WAY:
        return Hold(f"{under_way} orders are under way: this one waits for its turn", None)
    return None


def _rest_end(record: Record, failure: Failure, circumstances: str) -> float:
    """A rest ends early when what was wrong looks different now; what the authority counts is not ours to shorten."""
    if failure.weight is not Weight.LASTING or failure.circumstances == circumstances:
        return record.rests_until
    return min(record.rests_until, failure.at + _MENDED.seconds(record.failures))


def resting(failure: Failure) -> str:
    """Why nothing is ordered after a failure, and what to do."""
    return f"the last order failed: {failure.words}; the next one is tried by itself: {failure.todo}"


def rehearsing(directory: str) -> str:
    """Why nothing is ordered in earnest while an order is rehearsed."""
    return f"the order is rehearsed at {directory}: the one in earnest follows by itself once that succeeds"


def in_rehearsal(failure: Failure, directory: str) -> Failure:
    """A failure as it is told of a rehearsal at this staging directory."""
    words = f"in the rehearsal at {directory}, {failure.words}"
    todo = failure.todo.replace("`acme.ca_server`", directory)
    return replace(failure, words=words, todo=todo, is_renewal=False, rehearsal=directory)


def failure_of(event: OrderFailed) -> Failure:
    """The failure an event tells of."""
    words, todo = acme_problems.describe(event)
    problem = event.problem
    return Failure(
        at=event.at,
        weight=weight(event),
        words=words,
        todo=todo,
        retry_at=problem.retry_at if problem else None,
        is_renewal=event.is_renewal,
        detail=problem.detail if problem else event.words,
    )


def weight(event: OrderFailed) -> Weight:
    """What a failed order says about the next attempt."""
    if event.cause is Cause.UNREACHABLE:
        return Weight.PASSING
    problem = event.problem
    if problem is None:
        return Weight.LASTING
    if problem.is_rate_limit:
        return Weight.LIMIT
    is_theirs = problem.kind in _THEIR_OWN or (problem.status or 0) >= _SERVER_ERRORS_FROM
    return Weight.PASSING if is_theirs else Weight.LASTING


def unheard_since(records: Iterable[Record], now: float) -> float:
    """Since when something may have been said of orders that nobody heard: since the oldest that was under way, or
    whose renewal had failed.
    """
    kept = list(records)
    begun = [record.allowed_at for record in kept if record.issued_at is None and record.allowed_at is not None]
    renewals = [record.failure.at for record in kept if record.failure is not None and record.failure.is_renewal]
    return min([*begun, *renewals], default=now)


def remembered(records: Mapping[str, Record], now: float) -> dict[str, Record]:
    """Of subjects that no route needs any more: those whose failures still count, should they come back."""
    kept = {subject: record for subject, record in records.items() if record.rests_until > now}
    return dict(sorted(kept.items(), key=lambda item: item[1].rests_until)[-_MOST_REMEMBERED:])


def subject_of(domain: str | None, host: str) -> str:
    """The certificate a route needs: its gateway domain's, or its own."""
    return host if domain is None else WILDCARD + domain
