"""The docket: every certificate that routes need, and what was decided about its order.

Takes in what was found out (a check, a failure, what Traefik has) and keeps the verdicts. Knows no threads and asks
nobody; times that are compared with `due` are monotonic, all others Unix seconds.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from appliance import logs
from appliance.control.cases import Case
from appliance.control.ports_issuance import Circumstances
from appliance.model import issuance
from appliance.model.certificates import is_covered
from appliance.model.issuance import Budget, Failure, Record, Weight

log = logs.logger(__name__)

_CHECK_AGAIN_SECONDS = 5.0
"""How soon a check that found an obstacle is repeated: somebody may be mending it right now."""
_CHECK_AGAIN_AT_MOST_SECONDS = 10.0
_SOONEST_SECONDS = 0.1
_LOST_AFTER_SECONDS = 20.0
"""How long a certificate must be missing before that is believed: a Traefik that starts says for seconds that it has
none. Nothing is lost by waiting, for the route still names the resolver.
"""
_OUTCOMES = ("allowed", "obtained", "failed", "renewal failed", "rehearsed", "rehearsal failed")
_SILENT = Failure(
    0.0,
    Weight.LASTING,
    "Traefik neither obtained the certificate nor said why",
    "look for lines about it with `gateway logs --program traefik`",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings allow."""

    orders_per_hour: int
    rate_limit_pause_seconds: float
    authority: str = ""
    """The certificate authority's directory."""
    staging: str = ""
    """The directory where first orders are rehearsed; empty: they are not."""


@dataclass(frozen=True, slots=True)
class IssuanceView:
    """How the order of one certificate stands. Times are Unix seconds."""

    subject: str
    is_issued: bool
    reason: str | None
    """Why none is ordered now, and what to do; None: it is, or it is there."""
    ordered_at: float | None
    failure: Failure | None
    failures: int
    next_try: float | None
    """Not before then; None: as soon as nothing stands against it."""


class Docket:
    """Owned by `Issuance`, and used under its lock."""

    def __init__(self, records: Mapping[str, Record], spent: tuple[float, ...], limits: Limits) -> None:
        self._cases: dict[str, Case] = {}
        self._records = dict(records)
        self._budget = Budget(limits.orders_per_hour, spent)
        self._limits = limits
        self._changed: set[str] = set()
        self._to_rehearse: list[str] = []
        self._is_unsaved = False
        self.outcomes = dict.fromkeys(_OUTCOMES, 0)
        """What became of orders since this process began."""

    def limit(self, limits: Limits, now: float) -> None:
        """Keep these limits from now on. Another authority has counted nothing yet."""
        before, self._limits = self._limits, limits
        if limits.authority != before.authority:
            self._budget = Budget(limits.orders_per_hour)
        if (limits.authority, limits.staging) != (before.authority, before.staging):
            self._begin_anew(now)
        self._budget = replace(self._budget, per_hour=limits.orders_per_hour)

    def _begin_anew(self, now: float) -> None:
        """What failed elsewhere, or is rehearsed there, does not count."""
        for subject, case in self._cases.items():
            settled = case.record.settled(now, self._limits.authority, self._limits.staging)
            if settled != case.record or case.is_rehearsing:
                self._replace(subject, settled, case.reason)
                case.due, case.checks, case.is_rehearsing = 0.0, 0, False

    def wait_anew(self, now: float) -> None:
        """Traefik was away: orders that are allowed can only begin now."""
        for subject, case in self._cases.items():
            if case.record.allowed_at is not None and case.record.issued_at is None:
                self._replace(subject, replace(case.record, allowed_at=now), case.reason)

    def follow(self, wanted: Collection[str]) -> bool:
        """Keep exactly these subjects. Whether that changed anything."""
        if wanted == self._cases.keys():
            return False
        for gone in self._cases.keys() - wanted:
            self._records[gone] = self._cases.pop(gone).record.lost()
        for new in wanted - self._cases.keys():
            self._cases[new] = Case.begun(self._records.pop(new, Record()))
        return True

    def verdict(self, subject: str) -> tuple[str | None, bool]:
        """Why none is ordered (None: it may be), and whether anything is known about it yet."""
        case = self._cases.get(subject)
        return (case.reason, case.is_judged) if case else ("it is about to be checked", False)

    def is_judged(self, subjects: Iterable[str]) -> bool:
        """Whether something is known about all of these."""
        return all(self.verdict(subject)[1] for subject in subjects)

    def views(self, now: float) -> dict[str, IssuanceView]:
        """How every subject stands."""
        return {subject: _view(subject, case, now) for subject, case in self._cases.items()}

    def view(self, subject: str, now: float) -> IssuanceView | None:
        """How one stands; None: it is not kept."""
        case = self._cases.get(subject)
        return _view(subject, case, now) if case else None

    def look(self, subjects: Iterable[str] | None) -> None:
        """Make these (None: all) due."""
        for subject in self._cases if subjects is None else subjects:
            case = self._cases.get(subject)
            if case is not None:
                case.due, case.checks, case.is_stale = 0.0, 0, True

    def under_way(self) -> int:
        """How many orders are allowed and not ended."""
        records = (case.record for case in self._cases.values())
        return sum(record.allowed_at is not None and record.issued_at is None for record in records)

    def next_due(self) -> float:
        """When the next check is due; infinity: never."""
        return min((case.due for case in self._cases.values() if case.is_open), default=math.inf)

    def begin_checks(self, moment: float) -> list[str]:
        """The subjects that are due, longest first. They are under way until they are judged."""
        due = sorted((case.due, subject) for subject, case in self._cases.items() if case.is_open)
        begun = [subject for due_at, subject in due if due_at <= moment]
        for subject in begun:
            self._cases[subject].is_checking, self._cases[subject].is_stale = True, False
        return begun

    def judge(self, subject: str, found: Circumstances, now: float, moment: float) -> None:
        """Take in what a check found. `now` is Unix time, `moment` monotonic."""
        case = self._cases.get(subject)
        if case is None:
            return
        case.is_checking = False
        if case.record.issued_at is None:
            case.due = moment + self._decide(subject, case, found, now)
        if case.is_stale:
            case.due = 0.0

    def compare(self, names: Collection[str], now: float, moment: float) -> None:
        """Take in which names Traefik has certificates for. `now` is Unix time, `moment` monotonic."""
        for subject, case in self._cases.items():
            # Traefik orders nothing for a host that any certificate it has is for, a wildcard's included.
            is_there, was_there = is_covered(subject, names), case.record.issued_at is not None
            if is_there and not was_there:
                log.info("certificate is there", certificate=subject)
                self.outcomes["obtained"] += case.record.allowed_at is not None
                self._replace(subject, case.record.issued(now), None)
            if is_there or not was_there:
                case.missing_since = None
            elif case.missing_since is None:
                case.missing_since = moment
            elif moment - case.missing_since >= _LOST_AFTER_SECONDS:
                log.warning("certificate is there no more", certificate=subject)
                self._replace(subject, case.record.lost(), "the certificate is gone; it is checked whether to order it")
                case.due = 0.0

    def renewed(self, domains: Iterable[str]) -> None:
        """A certificate for these was obtained: where there was one before, its failures are over."""
        for subject in self._cases.keys() & set(domains):
            record = self._cases[subject].record
            if record.issued_at is not None:
                self._replace(subject, record.renewed(), None)

    def fail(self, domains: Iterable[str], failure: Failure, jitter: float) -> None:
        """An order for these failed. The same told again, as after a restart, counts once."""
        for subject in self._cases.keys() & set(domains):
            case = self._cases[subject]
            known = case.record.failure
            if known is None or failure.at > known.at:
                found = replace(failure, circumstances=case.seen, authority=self._limits.authority)
                self._fail(subject, case, found, jitter)

    def rehearsed(self, subject: str, directory: str, failure: Failure | None, jitter: float) -> None:
        """A rehearsal at this staging directory ended: well (None), or it failed. One that nobody waits for any more
        counts for nothing.
        """
        case = self._cases.get(subject)
        if case is None or not case.is_rehearsing or directory != self._limits.staging:
            return
        case.is_rehearsing, case.due, case.checks = False, 0.0, 0
        if case.record.issued_at is not None:
            return
        if failure is None:
            log.info("rehearsal succeeded", certificate=subject, directory=directory)
            self.outcomes["rehearsed"] += 1
            self._replace(subject, replace(case.record.renewed(), rehearsed=directory), case.reason)
            return
        told = issuance.in_rehearsal(failure, directory)
        self._fail(subject, case, replace(told, circumstances=case.seen, authority=self._limits.authority), jitter)

    def to_rehearse(self) -> list[str]:
        """The subjects whose order is to be rehearsed now; each is told once."""
        found, self._to_rehearse = self._to_rehearse, []
        return found

    def give_up_silent(self, now: float, jitter: float) -> None:
        """Orders of which nothing was heard for too long have failed."""
        for subject, case in self._cases.items():
            if case.record.is_silent(now):
                silent = replace(_SILENT, at=now, circumstances=case.seen, authority=self._limits.authority)
                self._fail(subject, case, silent, jitter)

    def counts(self) -> dict[str, int]:
        """How many certificates are issued, ordered, and neither."""
        states = Counter(
            "issued" if record.issued_at is not None else "ordered" if record.allowed_at is not None else "withheld"
            for record in (case.record for case in self._cases.values())
        )
        return {state: states[state] for state in ("issued", "ordered", "withheld")}

    def news(self) -> frozenset[str]:
        """The subjects whose verdict changed since the last call."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def unsaved(self, now: float) -> tuple[dict[str, Record], tuple[float, ...]] | None:
        """What is to be stored; None: nothing changed since the last call, which `keep_unsaved` undoes."""
        if not self._is_unsaved:
            return None
        self._is_unsaved = False
        self._records = issuance.remembered(self._records, now)
        own = {subject: case.record for subject, case in self._cases.items()}
        return self._records | own, self._budget.spent

    def keep_unsaved(self) -> None:
        """What was to be stored last could not be."""
        self._is_unsaved = True

    def _decide(self, subject: str, case: Case, found: Circumstances, now: float) -> float:
        """Seconds until the next check."""
        is_allowed = case.record.allowed_at is not None
        if not found.is_certain and (is_allowed or not case.is_judged):
            self._say(subject, case, case.reason and found.obstacle)
            return _CHECK_AGAIN_SECONDS
        case.seen = found.seen
        if found.obstacle is not None:
            return self._hold(subject, case, found.obstacle, None)
        if is_allowed:
            return math.inf
        case.record = case.record.settled(now, self._limits.authority, self._limits.staging)
        held = issuance.hold(case.record, now, found.seen, self._budget, self.under_way())
        if held is not None:
            seconds = None if held.until is None else held.until - now
            pause = self._hold(subject, case, held.reason, seconds)
            return seconds if seconds and held.is_fixed else pause
        if case.record.needs_rehearsal(self._limits.staging):
            return self._rehearse(subject, case)
        log.info("certificate may be ordered", certificate=subject)
        self.outcomes["allowed"] += 1
        self._budget = self._budget.spend(now)
        self._replace(subject, case.record.allowed(now), None)
        return math.inf

    def _rehearse(self, subject: str, case: Case) -> float:
        log.info("order is rehearsed", certificate=subject, directory=self._limits.staging)
        case.is_rehearsing = True
        self._to_rehearse.append(subject)
        self._replace(subject, case.record, issuance.rehearsing(self._limits.staging))
        return math.inf

    def _hold(self, subject: str, case: Case, reason: str, seconds: float | None) -> float:
        self._replace(subject, case.record.withdrawn(), reason)
        case.checks += 1
        pause = min(_CHECK_AGAIN_AT_MOST_SECONDS, _CHECK_AGAIN_SECONDS + case.checks)
        return pause if seconds is None else min(pause, max(_SOONEST_SECONDS, seconds))

    def _fail(self, subject: str, case: Case, failure: Failure, jitter: float) -> None:
        is_renewal = case.record.issued_at is not None
        record = case.record.failed(failure, self._limits.rate_limit_pause_seconds, jitter)
        log.warning("order failed", certificate=subject, reason=failure.words, renewal=is_renewal)
        what = "renewal failed" if is_renewal else "rehearsal failed" if failure.rehearsal else "failed"
        self.outcomes[what] += 1
        self._replace(subject, record, None if is_renewal else issuance.resting(failure))
        case.due, case.checks = 0.0, 0

    def _replace(self, subject: str, record: Record, reason: str | None) -> None:
        case = self._cases[subject]
        self._is_unsaved = self._is_unsaved or case.record != record
        case.record = record
        if not case.is_judged:
            case.is_judged = True
            self._changed.add(subject)
        self._say(subject, case, reason)

    def _say(self, subject: str, case: Case, reason: str | None) -> None:
        if case.reason != reason:
            case.reason = reason
            self._changed.add(subject)


def _view(subject: str, case: Case, now: float) -> IssuanceView:
    record = case.record
    return IssuanceView(
        subject=subject,
        is_issued=record.issued_at is not None,
        reason=case.reason,
        ordered_at=record.ordered_at,
        failure=record.failure,
        failures=record.failures,
        next_try=record.rests_until if record.issued_at is None and record.rests_until > now else None,
    )
