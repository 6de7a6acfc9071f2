"""Which certificates may be dropped: those that nobody has used for the grace time, and no other."""

import dataclasses

import pytest

from appliance.model.certificate_ledger import CertificateLedger, Holding, InUse, Keeping, hosts_in
from appliance.model.certificates import StoredCertificate

SHOP = ("shop.customer.com",)
WILD = ("gw.example.com", "*.gw.example.com")
KEEPING = Keeping(True, ("gw.example.com",), 100.0, 4)


def certificate(asked: tuple[str, ...], resolver: str = "resolver") -> StoredCertificate:
    return StoredCertificate(resolver, asked[0], asked[1:], asked, "1", "CA", 0.0, 1.0, "", "")


def reckon(
    ledger: CertificateLedger,
    now: float,
    *hosts: str,
    certain: bool = True,
    stored: tuple[tuple[str, ...], ...] = (SHOP,),
) -> CertificateLedger:
    found = {"resolver": [certificate(asked) for asked in stored]}
    return ledger.reckoned(found, InUse.of(hosts), now, is_certain=certain)


EMPTY = CertificateLedger(grace_seconds=100.0)


@pytest.mark.parametrize(
    ("names", "hosts", "expected"),
    [
        (SHOP, ["shop.customer.com"], True),
        (("SHOP.customer.com",), ["shop.customer.com"], True),
        (SHOP, ["www.shop.customer.com", "customer.com", "myshop.customer.com"], False),
        (WILD, ["blog.gw.example.com"], True),
        (WILD, ["gw.example.com"], True),
        (("*.gw.example.com",), ["*.gw.example.com"], True),
        (("*.gw.example.com",), ["gw.example.com", "a.blog.gw.example.com"], False),
        (WILD, [], False),
    ],
)
def test_a_certificate_is_used_by_the_hosts_it_covers(names: tuple[str, ...], hosts: list[str], expected: bool) -> None:
    assert InUse.of(hosts).needs(names) is expected


def test_every_host_in_a_text_is_found() -> None:
    text = '{"rule":"Host(`Shop.Customer.com`) || HostSNI(`a-b.example`)","url":"https://10.1.2.3:80/x","word":"x"}'
    assert hosts_in(text) >= {"shop.customer.com", "a-b.example"}
    assert "x" not in hosts_in(text)


def test_unused_is_what_nobody_uses_and_since_when() -> None:
    used = reckon(EMPTY, 10.0, "shop.customer.com")
    assert used.holdings == (Holding("resolver", SHOP, None),)
    unused = reckon(used, 20.0)
    assert unused.holdings == (Holding("resolver", SHOP, 20.0),)
    assert reckon(unused, 30.0) == unused
    assert reckon(unused, 40.0, "shop.customer.com") == used


def test_what_is_due_is_unused_for_longer_than_the_grace_time() -> None:
    ledger = reckon(EMPTY, 20.0)
    assert ledger.due(120.0) == ()
    assert ledger.due(121.0) == ledger.holdings
    assert reckon(ledger, 125.0, "shop.customer.com").due(1000.0) == ()


def test_in_doubt_nothing_begins_to_be_unused_and_what_is_used_again_is() -> None:
    assert reckon(EMPTY, 20.0, certain=False).holdings == (Holding("resolver", SHOP, None),)
    ledger = reckon(EMPTY, 20.0)
    assert reckon(ledger, 30.0, certain=False) == ledger
    assert reckon(ledger, 30.0, "shop.customer.com", certain=False).due(1e9) == ()


def test_a_store_that_cannot_be_read_stays_as_it_was_known() -> None:
    ledger = reckon(EMPTY, 20.0)
    assert ledger.reckoned({}, InUse.of([]), 50.0, is_certain=True) == ledger
    other = ledger.reckoned({"dnsresolver": [certificate(WILD, "dnsresolver")]}, InUse.of([]), 50.0, is_certain=True)
    assert set(other.holdings) == {*ledger.holdings, Holding("dnsresolver", WILD, 50.0)}


def test_what_is_gone_from_the_store_is_forgotten_and_begins_anew() -> None:
    ledger = reckon(reckon(EMPTY, 20.0), 30.0, stored=())
    assert ledger.holdings == ()
    assert reckon(ledger, 40.0).holdings == (Holding("resolver", SHOP, 40.0),)


def test_a_clock_that_was_ahead_does_not_keep_a_certificate_for_ever() -> None:
    assert reckon(reckon(EMPTY, 1e9), 20.0).due(121.0)


@pytest.mark.parametrize(
    ("hour", "quiet_hour", "restarted", "now", "expected"),
    [
        (4, 4, None, 200.0, True),
        (5, 4, None, 200.0, False),
        (4, None, None, 200.0, False),
        (4, 4, None, 110.0, False),
        (4, 4, 190.0, 200.0, False),
        (4, 4, 200.0, 200.0 + 3 * 3600, True),
        (4, 4, 1e9, 200.0, True),
    ],
)
def test_traefik_is_restarted_once_in_the_quiet_hour_when_something_is_due(
    hour: int, quiet_hour: int | None, restarted: float | None, now: float, expected: bool
) -> None:
    ledger = dataclasses.replace(reckon(EMPTY, 20.0), restarted=restarted)
    assert ledger.is_restart_due(now, hour, dataclasses.replace(KEEPING, quiet_hour=quiet_hour)) is expected
