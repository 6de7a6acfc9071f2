"""When a certificate may be ordered: rests after failures, the account's budget, what is mended."""

import dataclasses

import pytest

from appliance.model import issuance
from appliance.model.acme_log import Cause, OrderFailed, Problem
from appliance.model.issuance import Budget, Failure, Record, Weight

NOW = 1_800_000_000.0
PAUSE = 3600.0
FREE = Budget(90)


def failure(weight: Weight = Weight.LASTING, at: float = NOW, retry_at: float | None = None) -> Failure:
    return Failure(at, weight, "the CA could not connect", "open port 80", retry_at, "as it was")


def failed(count: int, weight: Weight = Weight.LASTING) -> Record:
    record = Record()
    for _ in range(count):
        record = record.allowed(NOW).failed(failure(weight), PAUSE, 0.0)
    return record


@pytest.mark.parametrize(
    ("weight", "rests"),
    [
        (Weight.LASTING, [120, 480, 1920, 7680, 21600, 21600]),
        (Weight.PASSING, [5, 10, 20, 40, 80, 160, 320, 600, 600]),
        (Weight.LIMIT, [3600, 3600, 3600]),
    ],
)
def test_each_failure_in_a_row_makes_the_next_order_wait_longer(weight: Weight, rests: list[float]) -> None:
    assert [failed(count, weight).rests_until - NOW for count in range(1, len(rests) + 1)] == rests


def test_no_host_fails_more_than_five_times_in_its_first_hour() -> None:
    moment, record, moments = NOW, Record(), list[float]()
    while moment < NOW + issuance.HOUR_SECONDS:
        moments.append(moment)
        record = record.allowed(moment).failed(failure(at=moment), PAUSE, 0.0)
        moment = record.rests_until
    assert len(moments) <= 5


@pytest.mark.parametrize(("retry_at", "until"), [(None, NOW + PAUSE), (NOW + 50, NOW + 50), (NOW - 50, NOW - 50)])
def test_a_rate_limit_rests_until_the_time_it_names_or_else_for_the_pause(retry_at: float | None, until: float) -> None:
    assert Record().failed(failure(Weight.LIMIT, retry_at=retry_at), PAUSE, 0.0).rests_until == until


def test_jitter_only_ever_lengthens_a_rest_and_by_a_tenth_at_most() -> None:
    rests = [Record().failed(failure(), PAUSE, jitter / 10).rests_until - NOW for jitter in range(10)]
    assert rests == sorted(rests)
    assert (rests[0], rests[-1] <= 120 * 1.1) == (120, True)


def test_a_failed_renewal_leaves_the_certificate_where_it_is() -> None:
    record = Record().allowed(NOW).issued(NOW).failed(failure(), PAUSE, 0.0)
    assert (record.issued_at, record.allowed_at) == (NOW, NOW)
    assert record.failure == failure()


def test_a_certificate_ends_the_row_of_failures() -> None:
    record = failed(3).allowed(NOW).issued(NOW)
    assert (record.failures, record.failure, record.rests_until) == (0, None, 0.0)


@pytest.mark.parametrize(
    ("record", "after_seconds", "seen", "is_held"),
    [
        (Record(), 0, "whatever", False),
        (failed(1), 119, "as it was", True),
        (failed(1), 121, "as it was", False),
        (failed(1), 19, "mended", True),
        (failed(1), 21, "mended", False),
        (failed(2), 79, "mended", True),
        (failed(2), 81, "mended", False),
        (failed(1, Weight.LIMIT), 3599, "mended", True),
        (failed(1, Weight.PASSING), 4, "mended", True),
        (failed(1, Weight.PASSING), 6, "as it was", False),
    ],
)
def test_a_rest_ends_early_only_where_something_was_to_be_mended_and_looks_different(
    record: Record, after_seconds: float, seen: str, is_held: bool
) -> None:
    held = issuance.hold(record, NOW + after_seconds, seen, FREE, 0)
    assert (held is not None) == is_held
    if held is not None:
        assert "the CA could not connect" in held.reason
        assert "open port 80" in held.reason


def test_the_accounts_budget_is_a_number_of_orders_within_any_hour() -> None:
    budget = Budget(2).spend(NOW).spend(NOW + 100)
    held = issuance.hold(Record(), NOW + 200, "", budget, 0)
    assert held is not None
    assert held.until == NOW + issuance.HOUR_SECONDS
    assert "acme.orders_per_hour" in held.reason
    assert issuance.hold(Record(), NOW + issuance.HOUR_SECONDS, "", budget, 0) is None
    assert Budget(3, budget.spent).free_at(NOW + 200) == NOW + 200


def test_a_clock_that_was_set_back_does_not_hold_orders_for_longer_than_an_hour() -> None:
    budget = Budget(1).spend(NOW + 86_400)
    assert budget.free_at(NOW) == NOW


def test_so_many_orders_are_under_way_at_once_and_no_more() -> None:
    assert issuance.hold(Record(), NOW, "", FREE, issuance.MOST_UNDER_WAY - 1) is None
    assert issuance.hold(Record(), NOW, "", FREE, issuance.MOST_UNDER_WAY) is not None


def test_an_order_nobody_speaks_of_has_failed_in_the_end() -> None:
    record = Record().allowed(NOW)
    assert not record.is_silent(NOW + issuance.SILENCE_SECONDS)
    assert record.is_silent(NOW + issuance.SILENCE_SECONDS + 1)
    assert not record.issued(NOW).is_silent(NOW + 10_000)
    assert not record.withdrawn().is_silent(NOW + 10_000)


def told(cause: Cause, kind: str = "", status: int | None = None) -> OrderFailed:
    problems = (Problem(kind, status, "the CA's words", "", None),) if cause is Cause.PROBLEM else ()
    return OrderFailed(NOW, "resolver", ("shop.customer.com",), cause, problems, "raw words", is_renewal=False)


@pytest.mark.parametrize(
    ("event", "weight"),
    [
        (told(Cause.UNREACHABLE), Weight.PASSING),
        (told(Cause.HOOK), Weight.LASTING),
        (told(Cause.PROPAGATION), Weight.LASTING),
        (told(Cause.UNKNOWN), Weight.LASTING),
        (told(Cause.PROBLEM, "rateLimited", 429), Weight.LIMIT),
        (told(Cause.PROBLEM, "badNonce", 400), Weight.PASSING),
        (told(Cause.PROBLEM, "serverInternal", 500), Weight.PASSING),
        (told(Cause.PROBLEM, "", 503), Weight.PASSING),
        (told(Cause.PROBLEM, "unauthorized", 403), Weight.LASTING),
        (told(Cause.PROBLEM, "dns", 400), Weight.LASTING),
        (told(Cause.PROBLEM, "caa", 403), Weight.LASTING),
    ],
)
def test_what_a_failure_says_about_the_next_attempt(event: OrderFailed, weight: Weight) -> None:
    assert issuance.weight(event) is weight


def test_of_certificates_nobody_needs_only_the_rests_are_remembered() -> None:
    rested = dataclasses.replace(failed(1), rests_until=NOW + 10)
    records = {"over.org": dataclasses.replace(failed(1), rests_until=NOW - 1), "rests.org": rested}
    assert issuance.remembered(records, NOW) == {"rests.org": rested}


@pytest.mark.parametrize(
    ("domain", "host", "subject"),
    [(None, "shop.customer.com", "shop.customer.com"), ("gw.example.com", "blog.gw.example.com", "*.gw.example.com")],
)
def test_a_route_needs_its_domains_certificate_or_its_own(domain: str | None, host: str, subject: str) -> None:
    assert issuance.subject_of(domain, host) == subject


def test_what_another_authority_counted_does_not_count_here() -> None:
    record = Record().failed(dataclasses.replace(failure(Weight.LIMIT), authority="https://one"), PAUSE, 0.0)
    assert record.settled(NOW, "https://one") == record
    assert record.settled(NOW, "https://other") == Record()


def test_a_failure_of_the_future_rests_from_now_on() -> None:
    ahead = Record().failed(failure(at=NOW + 86_400), PAUSE, 0.0)
    settled = ahead.settled(NOW, "")
    assert settled.rests_until == NOW + 120
    assert settled.settled(NOW + 10, "") == settled


def test_what_was_said_while_nobody_listened_begins_with_the_oldest_order_or_failed_renewal() -> None:
    under_way = Record().allowed(NOW - 50)
    failing = Record().allowed(NOW - 900).issued(NOW - 800)
    failing = failing.failed(dataclasses.replace(failure(at=NOW - 100), is_renewal=True), PAUSE, 0.0)
    assert issuance.unheard_since([], NOW) == NOW
    assert issuance.unheard_since([under_way], NOW) == NOW - 50
    assert issuance.unheard_since([under_way, failing, failed(1)], NOW) == NOW - 100


STAGING = "https://staging.example/dir"


@pytest.mark.parametrize(
    ("record", "directory", "is_needed"),
    [
        (Record(), STAGING, True),
        (Record(), "", False),
        (Record(rehearsed=STAGING), STAGING, False),
        (Record(rehearsed="https://other.example/dir"), STAGING, True),
        (Record().allowed(NOW).issued(NOW).lost(), STAGING, False),
        (Record().allowed(NOW).lost(), STAGING, True),
        (failed(1), STAGING, True),
    ],
)
def test_a_rehearsal_is_needed_until_the_way_to_a_certificate_is_proven(
    record: Record, directory: str, is_needed: bool
) -> None:
    assert record.needs_rehearsal(directory) == is_needed


def test_what_failed_in_a_rehearsal_counts_for_that_staging_directory_alone() -> None:
    told = dataclasses.replace(issuance.in_rehearsal(failure(), STAGING), authority="here")
    record = Record().failed(told, PAUSE, 0.0)
    assert record.settled(NOW, "here", STAGING) == record
    assert record.settled(NOW, "here", "").failure is None
    assert record.settled(NOW, "here", "https://other.example/dir").failure is None
    in_earnest = Record().failed(dataclasses.replace(failure(), authority="here"), PAUSE, 0.0)
    assert in_earnest.settled(NOW, "here", STAGING) == in_earnest


def test_a_failed_rehearsal_names_the_staging_directory() -> None:
    told = issuance.in_rehearsal(Failure(NOW, Weight.PASSING, "it is away", "look at `acme.ca_server`"), STAGING)
    assert issuance.resting(told) == (
        f"the last order failed: in the rehearsal at {STAGING}, it is away; "
        f"the next one is tried by itself: look at {STAGING}"
    )
