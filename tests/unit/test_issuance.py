"""The governor: what is ordered when, over fakes of everything around it."""

import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from appliance.control import docket
from appliance.model.acme_log import Cause, Obtained, OrderBegun, OrderFailed, ResolverSkipped
from appliance.model.errors import Unavailable
from appliance.model.issuance import Record
from tests.fakes import PATIENCE_SECONDS, until
from tests.governor import SHOP, WILDCARD, Governor


@pytest.fixture
def governor() -> Iterator[Governor]:
    found = Governor().start()
    yield found
    found.stop()


def test_an_order_is_allowed_once_nothing_stands_against_it(governor: Governor) -> None:
    governor.preflights.obstacles[SHOP] = "it points to 192.0.2.1"
    governor.issuance.follow([SHOP])
    until(lambda: governor.reason(SHOP) == "it points to 192.0.2.1")
    assert governor.store.spent == ()
    del governor.preflights.obstacles[SHOP]
    governor.issuance.look([SHOP])
    until(lambda: governor.is_allowed(SHOP))
    until(lambda: governor.changes[-1:] == [frozenset({SHOP})])
    until(lambda: len(governor.store.spent) == 1)


def test_what_is_mended_is_found_without_being_told(governor: Governor) -> None:
    governor.preflights.obstacles[SHOP] = "the authority does not answer"
    governor.issuance.follow([SHOP])
    until(lambda: SHOP in governor.preflights.checked)
    checks = len(governor.preflights.checked)
    until(lambda: len(governor.preflights.checked) > checks)


def test_the_verdict_about_a_gateway_domain_is_there_when_it_is_followed(governor: Governor) -> None:
    governor.issuance.patience_seconds = PATIENCE_SECONDS
    governor.issuance.follow([WILDCARD])
    assert governor.is_allowed(WILDCARD)


def test_a_failed_order_is_withdrawn_and_rests_before_the_next(governor: Governor) -> None:
    governor.issuance.follow([SHOP])
    until(lambda: governor.is_allowed(SHOP))
    governor.fail()
    assert not governor.is_allowed(SHOP)
    assert "could not connect to the host" in governor.reason(SHOP)
    governor.later(60)
    checks = len(governor.preflights.checked)
    until(lambda: len(governor.preflights.checked) > checks)
    assert not governor.is_allowed(SHOP)
    governor.later(120)
    until(lambda: governor.is_allowed(SHOP))
    until(lambda: len(governor.changes) >= 2)


def test_a_rest_outlives_a_restart_and_the_workload(governor: Governor) -> None:
    governor.issuance.follow([SHOP])
    until(lambda: governor.is_allowed(SHOP))
    governor.fail()
    until(lambda: governor.stored().failures == 1)
    governor.issuance.follow([])
    governor.restart()
    governor.issuance.follow([SHOP])
    until(lambda: "could not connect to the host" in governor.reason(SHOP))
    assert governor.view(SHOP).next_try == governor.stored().rests_until


def test_a_failure_that_is_told_twice_counts_once(governor: Governor) -> None:
    governor.issuance.follow([SHOP])
    until(lambda: governor.is_allowed(SHOP))
    event = OrderFailed(governor.now, "resolver", (SHOP,), Cause.UNKNOWN, (), "words", is_renewal=False)
    governor.issuance.heed(event)
    governor.issuance.heed(event)
    assert governor.view(SHOP).failures == 1


def test_an_authority_that_cannot_be_reached_is_asked_for_itself_before_the_next_order(governor: Governor) -> None:
    governor.issuance.follow([SHOP])
    until(lambda: governor.is_allowed(SHOP))
    governor.fail(cause=Cause.UNREACHABLE)
    assert governor.preflights.doubts == 1
    governor.preflights.obstacles[SHOP] = "the authority does not answer"
    governor.later(6)
    until(lambda: governor.reason(SHOP) == "the authority does not answer")
    del governor.preflights.obstacles[SHOP]
    governor.later(1)
    until(lambda: governor.is_allowed(SHOP))


def test_a_certificate_that_is_there_is_never_held_back(governor: Governor) -> None:
    governor.preflights.obstacles |= {SHOP: "it points elsewhere", WILDCARD: "the delegation is gone"}
    governor.traefik.certified = frozenset({SHOP, WILDCARD})
    governor.issuance.follow([SHOP, WILDCARD])
    until(lambda: governor.is_allowed(SHOP) and governor.is_allowed(WILDCARD))
    assert governor.view(SHOP).is_issued
    assert governor.store.spent == ()


def test_a_host_that_another_certificate_is_for_is_not_waited_for(governor: Governor) -> None:
    """Traefik orders none for it: an order would be taken for a failed one, again and again."""
    governor.traefik.certified = frozenset({"*.customer.com"})
    governor.issuance.follow([SHOP, "deep.shop.customer.com"])
    until(lambda: governor.view(SHOP).is_issued)
    until(lambda: governor.is_allowed("deep.shop.customer.com"))
    assert not governor.view("deep.shop.customer.com").is_issued


def test_a_traefik_that_starts_and_has_no_certificates_yet_is_not_believed(governor: Governor) -> None:
    """Else every start of it would write all routes twice, and spend the account's budget."""
    governor.preflights.obstacles[SHOP] = "it points elsewhere"
    governor.traefik.certified = frozenset({SHOP})
    governor.issuance.follow([SHOP])
    until(lambda: SHOP in governor.store.records)
    governor.traefik.certified = frozenset()
    for subjects in ([SHOP, WILDCARD], [SHOP]):  # whoever is new makes Traefik be asked at once
        governor.issuance.follow(subjects)
        assert governor.is_allowed(SHOP)
    governor.restart()
    governor.issuance.follow([SHOP, WILDCARD])
    until(lambda: governor.is_allowed(WILDCARD))
    assert governor.is_allowed(SHOP)
    assert governor.view(SHOP).is_issued


def test_a_certificate_that_is_lost_is_ordered_again_after_the_same_checks(
    governor: Governor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docket, "_LOST_AFTER_SECONDS", 0.0)
    governor.traefik.certified = frozenset({SHOP})
    governor.issuance.follow([SHOP])
    until(lambda: governor.view(SHOP).is_issued)
    governor.traefik.certified = frozenset()
    governor.preflights.obstacles[SHOP] = "it points elsewhere"
    governor.issuance.follow([SHOP, WILDCARD])  # an order under way makes Traefik be asked often
    until(lambda: governor.reason(SHOP) == "it points elsewhere")


def test_a_failed_renewal_is_remembered_until_one_succeeds(governor: Governor) -> None:
    governor.traefik.certified = frozenset({SHOP})
    governor.issuance.follow([SHOP])
    until(lambda: governor.view(SHOP).is_issued)
    governor.issuance.heed(OrderFailed(governor.now, "", (SHOP,), Cause.UNKNOWN, (), "words", is_renewal=True))
    assert governor.is_allowed(SHOP)
    until(lambda: governor.stored().failure is not None)
    governor.restart()
    governor.issuance.follow([SHOP])
    until(lambda: governor.view(SHOP).is_issued)
    assert governor.view(SHOP).failure is not None
    governor.issuance.heed(Obtained(governor.now + 1, (SHOP,)))
    assert governor.view(SHOP).failure is None


def test_what_comes_about_while_the_governor_is_busy_is_not_left_lying(
    governor: Governor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed renewal changes no verdict: nothing but being roused makes the governor store it."""
    is_saving, may_end = threading.Event(), threading.Event()
    save = governor.store.save

    def save_slowly(records: Mapping[str, Record], spent: tuple[float, ...]) -> None:
        save(records, spent)
        if records[SHOP].issued_at is not None:
            is_saving.set()
            may_end.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(governor.store, "save", save_slowly)
    governor.traefik.certified = frozenset({SHOP})
    governor.issuance.follow([SHOP])
    assert is_saving.wait(PATIENCE_SECONDS)
    assert governor.view(SHOP).is_issued
    governor.issuance.heed(OrderFailed(governor.now, "", (SHOP,), Cause.UNKNOWN, (), "words", is_renewal=True))
    may_end.set()
    until(lambda: governor.stored().failure is not None)


def test_what_the_disk_did_not_take_is_stored_later(governor: Governor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a restart would know nothing of an order that counts at the certificate authority."""
    save, tries = governor.store.save, []

    def save_at_the_third_try(records: Mapping[str, Record], spent: tuple[float, ...]) -> None:
        tries.append(spent)
        if len(tries) < 3:
            raise Unavailable("no space left on device")
        save(records, spent)

    monkeypatch.setattr(governor.store, "save", save_at_the_third_try)
    governor.issuance.follow([SHOP])
    until(lambda: governor.stored().allowed_at is not None)
    assert len(governor.store.spent) == 1


def test_an_order_traefik_never_speaks_of_is_given_up(governor: Governor) -> None:
    governor.issuance.follow([SHOP])
    until(lambda: governor.is_allowed(SHOP))
    governor.later(301)
    until(lambda: "said why" in governor.reason(SHOP))


def test_uncertainty_neither_allows_nor_takes_back(governor: Governor) -> None:
    governor.preflights.obstacles[SHOP] = "nobody answered"
    governor.preflights.is_certain = False
    governor.issuance.follow([SHOP])
    until(lambda: governor.issuance.verdict(SHOP) == ("nobody answered", False))
    del governor.preflights.obstacles[SHOP]
    governor.issuance.look()
    until(lambda: governor.is_allowed(SHOP))
    governor.preflights.obstacles[SHOP] = "nobody answered"
    checks = len(governor.preflights.checked)
    governor.issuance.look()
    until(lambda: len(governor.preflights.checked) > checks + 1)
    assert governor.is_allowed(SHOP)


def test_the_account_orders_no_more_than_its_budget_in_an_hour(governor: Governor) -> None:
    governor.per_hour = 2
    governor.restart()
    hosts = ["a.org", "b.org", "c.org"]
    governor.issuance.follow(hosts)
    waiting: Callable[[], list[str]] = lambda: [host for host in hosts if "orders_per_hour" in governor.reason(host)]  # noqa: E731
    until(lambda: len(waiting()) == 1)
    assert sum(governor.is_allowed(host) for host in hosts) == 2
    governor.traefik.certified = frozenset(hosts) - set(waiting())
    governor.later(3601)
    until(lambda: waiting() == [])


def test_who_waits_for_the_accounts_budget_is_not_looked_at_until_it_has_room(
    governor: Governor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docket, "_CHECK_AGAIN_AT_MOST_SECONDS", 0.05)
    governor.per_hour = 1
    governor.restart()
    governor.issuance.follow([SHOP])
    until(lambda: governor.is_allowed(SHOP))
    governor.issuance.follow([SHOP, "late.org"])
    until(lambda: "orders_per_hour" in governor.reason("late.org"))
    governor.preflights.obstacles["early.org"] = "it points elsewhere"
    governor.issuance.follow([SHOP, "late.org", "early.org"])
    until(lambda: governor.preflights.checked.count("early.org") > 2)
    assert governor.preflights.checked.count("late.org") == 1


def test_another_authority_is_asked_at_once_whatever_the_one_before_counted(governor: Governor) -> None:
    governor.issuance.follow([SHOP])
    until(lambda: governor.is_allowed(SHOP))
    governor.fail(kind="rateLimited")
    assert not governor.is_allowed(SHOP)
    governor.authority = "https://two.example/dir"
    governor.issuance.look()
    until(lambda: governor.is_allowed(SHOP))


def test_while_traefik_is_away_no_order_is_given_up(governor: Governor) -> None:
    governor.issuance.follow([SHOP])
    until(lambda: governor.is_allowed(SHOP))
    governor.traefik.silent = True
    asked = governor.traefik.asked
    until(lambda: governor.traefik.asked > asked + 1)
    governor.later(301)
    asked = governor.traefik.asked
    until(lambda: governor.traefik.asked > asked + 1)
    assert governor.is_allowed(SHOP)
    governor.traefik.silent = False
    asked = governor.traefik.asked
    until(lambda: governor.traefik.asked > asked + 1)
    assert governor.is_allowed(SHOP)
    governor.later(301)
    until(lambda: "said why" in governor.reason(SHOP))


def test_a_resolver_that_traefik_left_out_is_told_until_it_orders_again(governor: Governor) -> None:
    governor.issuance.heed(ResolverSkipped(governor.now, "resolver", "permissions 644 are too open"))
    assert governor.issuance.skipped() == {"resolver": "permissions 644 are too open"}
    governor.issuance.heed(OrderBegun(governor.now, (SHOP,)))
    assert governor.issuance.skipped() == {}
