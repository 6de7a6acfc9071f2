"""First orders are rehearsed where that is wanted: once, before any in earnest, and it costs none."""

from collections.abc import Iterator

import pytest

from appliance.control import docket
from appliance.model.acme_log import Obtained
from appliance.model.issuance import Failure, Weight
from tests.fakes import until
from tests.governor import EPOCH, SHOP, WILDCARD, Governor

STAGING = "https://staging.example/dir"
UNAUTHORIZED = Failure(EPOCH, Weight.LASTING, "the CA found no answer", "check that `acme.ca_server` is right")


@pytest.fixture
def rehearsing() -> Iterator[Governor]:
    """A governor that wants first orders to be rehearsed."""
    found = Governor()
    found.staging = STAGING
    yield found.start()
    found.stop()


def test_a_first_order_is_rehearsed_and_then_made_in_earnest_at_once(rehearsing: Governor) -> None:
    rehearsing.issuance.follow([SHOP])
    until(lambda: rehearsing.rehearsals.asked == [SHOP])
    assert STAGING in rehearsing.reason(SHOP)
    assert rehearsing.store.spent == ()
    checks = len(rehearsing.preflights.checked)
    rehearsing.issuance.look()
    rehearsing.issuance.follow([SHOP, WILDCARD])
    until(lambda: rehearsing.rehearsals.asked == [SHOP, WILDCARD])
    assert rehearsing.preflights.checked.count(SHOP) == checks  # while it lasts, there is nothing to look at
    rehearsing.issuance.rehearsed(SHOP, STAGING, None)
    until(lambda: rehearsing.is_allowed(SHOP))
    assert not rehearsing.is_allowed(WILDCARD)
    until(lambda: rehearsing.stored().rehearsed == STAGING)


def test_what_was_proven_is_not_rehearsed_again(rehearsing: Governor) -> None:
    rehearsing.issuance.follow([SHOP])
    until(lambda: rehearsing.rehearsals.asked == [SHOP])
    rehearsing.issuance.rehearsed(SHOP, STAGING, None)
    until(lambda: rehearsing.is_allowed(SHOP))
    rehearsing.fail()
    until(lambda: rehearsing.stored().failures == 1)
    rehearsing.restart()
    rehearsing.issuance.follow([SHOP])
    until(lambda: "could not connect to the host" in rehearsing.reason(SHOP))
    rehearsing.later(600)
    until(lambda: rehearsing.is_allowed(SHOP))
    assert rehearsing.rehearsals.asked == [SHOP]


def test_a_failed_rehearsal_rests_like_a_failed_order_and_costs_none(rehearsing: Governor) -> None:
    rehearsing.issuance.follow([SHOP])
    until(lambda: rehearsing.rehearsals.asked == [SHOP])
    rehearsing.issuance.rehearsed(SHOP, STAGING, UNAUTHORIZED)
    reason = rehearsing.reason(SHOP)
    assert f"in the rehearsal at {STAGING}, the CA found no answer" in reason
    assert f"check that {STAGING} is right" in reason
    view = rehearsing.view(SHOP)
    assert view.next_try is not None
    assert view.next_try >= EPOCH + 120
    rehearsing.later(60)
    checks = len(rehearsing.preflights.checked)
    until(lambda: len(rehearsing.preflights.checked) > checks)
    assert rehearsing.rehearsals.asked == [SHOP]
    rehearsing.later(120)
    until(lambda: rehearsing.rehearsals.asked == [SHOP, SHOP])
    assert rehearsing.store.spent == ()
    counted = {sample.labels["outcome"]: sample.value for sample in next(iter(rehearsing.issuance.families())).samples}
    assert (counted["rehearsal failed"], counted["failed"], counted["allowed"]) == (1, 0, 0)


def test_a_rehearsal_that_is_not_wanted_any_more_counts_for_nothing(rehearsing: Governor) -> None:
    rehearsing.issuance.follow([SHOP, "late.org"])
    until(lambda: sorted(rehearsing.rehearsals.asked) == ["late.org", SHOP])
    rehearsing.issuance.rehearsed("late.org", STAGING, UNAUTHORIZED)
    rehearsing.staging = ""
    rehearsing.issuance.look()
    until(lambda: rehearsing.is_allowed(SHOP))
    until(lambda: rehearsing.is_allowed("late.org"))
    rehearsing.issuance.rehearsed(SHOP, STAGING, UNAUTHORIZED)
    assert rehearsing.is_allowed(SHOP)


def test_another_staging_directory_proves_anew(rehearsing: Governor) -> None:
    rehearsing.issuance.follow([SHOP])
    until(lambda: rehearsing.rehearsals.asked == [SHOP])
    rehearsing.staging = "https://other.example/dir"
    rehearsing.issuance.look()
    until(lambda: rehearsing.rehearsals.asked == [SHOP, SHOP])
    rehearsing.issuance.rehearsed(SHOP, STAGING, None)
    assert not rehearsing.is_allowed(SHOP)
    rehearsing.issuance.rehearsed(SHOP, "https://other.example/dir", None)
    until(lambda: rehearsing.is_allowed(SHOP))


def test_a_certificate_that_was_there_once_is_ordered_without_a_rehearsal(
    rehearsing: Governor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docket, "_LOST_AFTER_SECONDS", 0.0)
    rehearsing.traefik.certified = frozenset({SHOP})
    rehearsing.issuance.follow([SHOP])
    until(lambda: rehearsing.view(SHOP).is_issued)
    rehearsing.traefik.certified = frozenset()

    def is_lost() -> bool:
        rehearsing.issuance.heed(Obtained(rehearsing.now, ("other.org",)))  # makes Traefik be asked at once
        return not rehearsing.view(SHOP).is_issued

    until(is_lost)
    until(lambda: rehearsing.is_allowed(SHOP))
    assert rehearsing.rehearsals.asked == []
