"""The inventory of certificates: what is kept, what is really served, and what is told of them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from appliance.cli import certificates as verbs
from appliance.control.docket import Limits
from appliance.control.inventory import Inventory
from appliance.control.issuance import Issuance
from appliance.model import inventory
from appliance.model.certificates import StoredCertificate
from appliance.model.inventory import Entry, Kind, Presented
from appliance.model.issuance import Failure, Weight
from tests.fakes import FakeRouteFiles, FakeTraefik, until
from tests.fakes_issuance import FakeIssuanceStore, FakePreflights

NOW = 1_800_000_000.0
DAY = 86_400.0
SHOP = "shop.customer.com"
WILDCARD = "*.gw.example.com"


def stored(*names: str, serial: str = "a1", days: float = 60) -> StoredCertificate:
    ends = NOW + days * DAY
    return StoredCertificate("resolver", names[0], names[1:], names, serial, "Test CA", NOW - DAY, ends, "", "")


def presented(*names: str, serial: str = "a1", days: float = 60) -> Presented:
    return Presented(serial, "Test CA", names, NOW - DAY, NOW + days * DAY)


ENTRY = Entry(SHOP, Kind.FQDN, stored(SHOP), ("shop",), presented(SHOP), None, NOW - DAY, None, None)
FAILURE = Failure(NOW, Weight.LASTING, "the CA could not connect", "open port 80", detail="Timeout during connect")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, {"days_left": 60.0, "serial": "a1", "issuer": "Test CA", "workloads": ["shop"], "last_error": None}),
        ({"served": None}, {"served": None, "days_left": 60.0}),
        ({"served": "refused"}, {"served": {"problem": "refused"}, "days_left": 60.0}),
        ({"served": presented(SHOP, days=2)}, {"days_left": 2.0}),
        ({"stored": None, "served": "refused"}, {"serial": None, "not_after": None, "days_left": None}),
        (
            {"failure": FAILURE, "next_try": NOW + 60},
            {
                "next_try": NOW + 60,
                "last_error": {
                    "at": NOW,
                    "words": "the CA could not connect",
                    "todo": "open port 80",
                    "detail": "Timeout during connect",
                },
            },
        ),
    ],
)
def test_an_entry_tells_what_is_kept_served_and_ordered(changes: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    document = dataclasses.replace(ENTRY, **changes).document(NOW)
    assert {key: document[key] for key in told} == told


@pytest.mark.parametrize(
    ("served", "problem"),
    [
        (presented(SHOP), None),
        (presented("*.customer.com"), None),
        (presented(SHOP, serial="b2"), "not the certificate that is kept"),
        (presented("TRAEFIK DEFAULT CERT"), "not for this name"),
        (presented(), "not for this name"),
    ],
)
def test_what_is_served_is_compared_with_the_name_and_with_what_is_kept(served: Presented, problem: str | None) -> None:
    told = dataclasses.replace(ENTRY, served=served).document(NOW)["served"]["problem"]
    assert told is None if problem is None else problem in told


def test_a_key_is_never_told() -> None:
    secret = dataclasses.replace(stored(SHOP), key="KEY-SECRET")
    entry = dataclasses.replace(ENTRY, stored=secret)
    assert "KEY-SECRET" not in f"{entry}{entry.document(NOW)}"


@pytest.mark.parametrize(
    ("wanted", "kept", "names"),
    [
        ([], [], []),
        ([SHOP], [], [SHOP]),
        ([SHOP], [stored(SHOP)], [SHOP]),
        ([WILDCARD], [stored("gw.example.com", WILDCARD)], [WILDCARD]),
        ([], [stored("gw.example.com", WILDCARD)], [WILDCARD]),
        ([SHOP], [stored("old.customer.com")], ["old.customer.com", SHOP]),
    ],
)
def test_every_certificate_that_is_wanted_or_kept_is_told_of_once(
    wanted: list[str], kept: list[StoredCertificate], names: list[str]
) -> None:
    assert inventory.names_of(wanted, kept) == names


def test_of_several_certificates_for_a_name_the_one_that_lasts_longest_counts() -> None:
    old, new = stored(SHOP, serial="a1", days=3), stored(SHOP, serial="b2", days=80)
    assert inventory.kept_by_name([old, new]) == inventory.kept_by_name([new, old]) == {SHOP: new}


@pytest.mark.parametrize(("name", "host"), [(SHOP, SHOP), (WILDCARD, "gateway-probe.gw.example.com")])
def test_a_wildcard_is_looked_at_below_its_domain(name: str, host: str) -> None:
    assert inventory.probe_host(name) == host
    assert presented(name).covers(host)


class FakeProbe:
    """Presents what it is told to, by host."""

    def __init__(self) -> None:
        self.shown: dict[str, Presented | str] = {}
        self.trouble: str | None = None

    def presented(self, host: str) -> Presented | str:
        return self.shown.get(host, "no certificate")

    def refused(self) -> str | None:
        return self.trouble


@pytest.fixture
def make() -> Callable[..., Inventory]:
    def build(probe: FakeProbe, kept: list[StoredCertificate], users: list[tuple[str, str]]) -> Inventory:
        issuance = Issuance(
            preflights=FakePreflights(),
            proxy=FakeTraefik(FakeRouteFiles()),
            store=FakeIssuanceStore(),
            limits=lambda: Limits(90, 3600.0),
            on_change=lambda _: None,
            clock=lambda: NOW,
        )
        issuance.follow(name for name, _ in users if not name.startswith("*."))
        return Inventory(
            issuance=issuance, probe=lambda: probe, stored=lambda: kept, users=lambda: users, clock=lambda: NOW
        )

    return build


def test_the_inventory_asks_what_is_really_served_and_who_uses_it(make: Callable[..., Inventory]) -> None:
    probe = FakeProbe()
    probe.shown = {SHOP: presented(SHOP), "gateway-probe.gw.example.com": presented("TRAEFIK DEFAULT CERT")}
    made = make(probe, [stored(SHOP), stored("gw.example.com", WILDCARD, serial="c3")], [(SHOP, "shop")])
    wildcard, shop = made.documents()
    assert (shop["name"], shop["served"]["problem"], shop["workloads"]) == (SHOP, None, ["shop"])
    assert (wildcard["name"], wildcard["workloads"]) == (WILDCARD, [])
    assert "not for this name" in wildcard["served"]["problem"]
    made.stop()


def test_what_is_served_is_a_metric(make: Callable[..., Inventory]) -> None:
    probe = FakeProbe()
    probe.shown = {SHOP: presented(SHOP)}
    made = make(probe, [stored(SHOP)], [(SHOP, "shop")])
    failures: list[BaseException] = []
    made.start(failures.append)
    until(lambda: any(family.samples for family in made.families()))
    (family,) = made.families()
    assert [(sample.value, sample.labels["name"]) for sample in family.samples] == [(NOW + 60 * DAY, SHOP)]
    made.stop()
    assert failures == []


def test_the_table_shows_what_is_wrong_below_the_name() -> None:
    bad = dataclasses.replace(ENTRY, served="refused", reason="it points elsewhere", failure=FAILURE, next_try=NOW)
    good = dataclasses.replace(ENTRY, name="a.org", stored=stored("a.org"), served=presented("a.org"))
    text = verbs.table([good.document(NOW), bad.document(NOW)])
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["NAME", "a.org", SHOP]
    assert lines[3:] == [
        "  served: refused",
        "  not ordered: it points elsewhere",
        "  last error, 2027-01-15 08:00:00 UTC: the CA could not connect",
        "  next try: by itself, not before 2027-01-15 08:00:00 UTC",
    ]


@pytest.mark.parametrize(
    ("days", "user", "names"), [(13, "shop", [SHOP]), (15, "shop", []), (13, None, []), (-1, "shop", [SHOP])]
)
def test_what_is_used_and_about_to_end_is_found(
    make: Callable[..., Inventory], days: float, user: str | None, names: list[str]
) -> None:
    probe = FakeProbe()
    probe.shown = {SHOP: presented(SHOP, days=days)}
    made = make(probe, [stored(SHOP, days=days)], [(SHOP, user)] if user else [])
    made.entries()
    assert [entry.name for entry in made.about_to_end(14)] == names
