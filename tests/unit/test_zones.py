"""Which zones a gateway has, and which names exist in them."""

import pytest

from appliance.model.errors import InvalidInput
from appliance.model.zones import Contents, Zone, plain_name, plain_text, wire_name, zones_of
from appliance.settings import Settings, meaning

LABELS = ("_acme-challenge", "__acme-challenge")


@pytest.mark.parametrize(
    ("domains", "extra", "nameserver", "expected"),
    [
        ([], [], None, []),
        (
            ["gw.example.com"],
            [],
            None,
            [
                ("_acme-challenge.gw.example.com", "gw.example.com"),
                ("__acme-challenge.gw.example.com", "gw.example.com"),
            ],
        ),
        (
            ["gw.example.com"],
            [],
            "NS1.example.com.",
            [
                ("_acme-challenge.gw.example.com", "ns1.example.com"),
                ("__acme-challenge.gw.example.com", "ns1.example.com"),
            ],
        ),
        ([], ["Challenges.Example.NET."], None, [("challenges.example.net", "example.net")]),
        ([], ["challenges.example.net", "challenges.example.net"], None, [("challenges.example.net", "example.net")]),
        ([], ["lan"], None, [("lan", "lan")]),
    ],
)
def test_each_label_below_each_domain_and_the_extra_zones(
    domains: list[str], extra: list[str], nameserver: str | None, expected: list[tuple[str, str]]
) -> None:
    assert zones_of(domains, LABELS, extra, nameserver) == tuple(Zone(*pair) for pair in expected)


def test_the_mailbox_is_hostmaster_of_the_domain_above() -> None:
    assert Zone("_acme-challenge.gw.example.com", "ns1.example.com").mailbox == "hostmaster.gw.example.com"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("_acme-challenge.gw.example.com", "_acme-challenge.gw.example.com"),
        ("_ACME-Challenge.GW.Example.com.", "_acme-challenge.gw.example.com"),
        ("a" * 63 + ".b", "a" * 63 + ".b"),
        (".".join(["a" * 61] * 4), ".".join(["a" * 61] * 4)),
    ],
)
def test_one_spelling_inside_for_every_spelling_outside(text: str, plain: str) -> None:
    assert plain_name(text) == plain
    assert plain_text(wire_name(plain)) == plain


def test_a_zone_whose_mailbox_would_be_too_long_is_refused() -> None:
    """Else its SOA, and with it every negative answer, could not be written."""
    above = ".".join(["abc"] * 61)  # 243 characters
    with pytest.raises(InvalidInput, match=r"hostmaster.*too long"):
        zones_of([], [], [f"a.{above}"], None)
    assert zones_of([], [], [f"a.{above[4:]}"], None)


def test_zones_know_where_their_name_server_is() -> None:
    public = {"ipv4": "203.0.113.10", "ipv6": "2001:db8::10", "domains": ["gw.example.com"]}
    (zone,) = meaning.zones(
        Settings.model_validate({"public": public, "dns": {"challenge_labels": ["_acme-challenge"]}})
    )
    assert zone.addresses == ("203.0.113.10", "2001:db8::10")


@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", ".a", "a" * 64 + ".b", "a b.c", "ä.example", "a\0.b", "x.y\n", "{{x}}.b", ".".join(["abc"] * 65)],
)
def test_what_is_no_name_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"label|too long"):
        plain_name(text)


APEX = "_acme-challenge.gw.example.com"


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        (APEX, APEX),
        ("nothing." + APEX, APEX),
        ("a.b." + APEX, "a.b." + APEX),
        ("b." + APEX, "b." + APEX),
        ("x.b." + APEX, "b." + APEX),
        ("x.a.b." + APEX, "a.b." + APEX),
        ("gw.example.com", ""),
        ("not" + APEX, ""),
    ],
)
def test_a_name_exists_when_something_is_at_or_below_it(name: str, closest: str) -> None:
    """Empty non-terminals exist (RFC 8020 §2)."""
    there = Contents.of([Zone(APEX, "gw.example.com")], 7, {"a.b." + APEX: ("v",), "else.where": ("v",)})
    assert there.closest(wire_name(name)) == (wire_name(closest) if closest else b"")


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("acme.example.com", "acme.example.com"),
        ("gw.acme.example.com", "gw.acme.example.com"),
        ("b.acme.example.com", "b.acme.example.com"),
        ("a.b.acme.example.com", "a.b.acme.example.com"),
        ("x.gw.acme.example.com", "gw.acme.example.com"),
        ("x.acme.example.com", "acme.example.com"),
        ("example.com", ""),
    ],
)
def test_what_lies_between_a_nested_zone_and_the_one_around_it_exists(name: str, closest: str) -> None:
    """Also without any value: the nested apex is below it (RFC 8020 §2)."""
    apexes = ["acme.example.com", "_acme-challenge.gw.acme.example.com", "z.a.b.acme.example.com"]
    there = Contents.of([Zone(apex, "example.com") for apex in apexes], 7, {})
    assert there.closest(wire_name(name)) == (wire_name(closest) if closest else b"")


def test_a_value_that_comes_and_goes_leaves_the_way_to_a_nested_zone() -> None:
    outer, inner = Zone("acme.example.com", "example.com"), Zone("_acme-challenge.gw.acme.example.com", "example.com")
    empty = Contents.of([outer, inner], 7, {})
    with_both = empty.with_values(8, {"gw.acme.example.com": ("v",), f"x.{inner.apex}": ("w",)})
    assert wire_name("gw.acme.example.com") in with_both.with_values(9, {}).weights
    assert with_both.with_values(9, {}).weights == empty.weights


def test_names_cease_to_exist_when_nothing_is_left_below() -> None:
    empty = Contents.of([Zone(APEX, "gw.example.com")], 7, {})
    both = empty.with_values(8, {"a.b." + APEX: ("v",), "c.b." + APEX: ("w",)})
    one = both.with_values(9, {"c.b." + APEX: ("w",)})
    assert wire_name("b." + APEX) in both.weights
    assert wire_name("a.b." + APEX) not in one.weights
    assert wire_name("b." + APEX) in one.weights
    assert one.with_values(10, {}).weights == empty.weights
    assert one.with_values(10, {}).serial == 10


def test_a_new_set_of_zones_answers_values_that_were_outside_before() -> None:
    before = Contents.of([], 7, {APEX: ("v",)})
    after = Contents.of([Zone(APEX, "gw.example.com")], before.serial, before.texts)
    assert wire_name(APEX) not in before.weights
    assert after.values[wire_name(APEX)] == ("v",)


def test_the_deepest_zone_holds_a_name() -> None:
    there = Contents.of([Zone("b.c", "c"), Zone("a.b.c", "c")], 1, {})
    assert there.zone_of(wire_name("x.a.b.c")) == wire_name("a.b.c")
    assert there.zone_of(wire_name("x.b.c")) == wire_name("b.c")
