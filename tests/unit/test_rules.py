"""Which hosts a rule can match at most."""

import pytest

from appliance.model import rules
from appliance.model.errors import InvalidInput
from appliance.model.rules import HostPattern

BOUND = [
    ("Host(`A.example.org.`)", {"a.example.org"}),
    ('Host("a.b")', {"a.b"}),
    ("Host(`a.b`, `c.d`)", {"a.b", "c.d"}),
    ("Host(`a.b`) && PathPrefix(`/x`)", {"a.b"}),
    ("PathPrefix(`/x`) && Host(`a.b`)", {"a.b"}),
    ("Host(`a.b`) && !Path(`/x`)", {"a.b"}),
    ("Host(`a.b`) || Host(`c.d`)", {"a.b", "c.d"}),
    ("(Host(`a.b`) || HOST(`c.d`)) && (Path(`/x`) || Path(`/y`))", {"a.b", "c.d"}),
    ("HostSNI(`a.b`)", {"a.b"}),
    ("Host(`*.a.b`)", {"*.a.b"}),
    (r"HostRegexp(`^[a-z]+\.example\.org$`)", {"*.example.org"}),
    (r"HostRegexp(`^(a|b)\.example\.org$`)", {"*.example.org"}),
    (r"HostRegexp(`^(?:a|b)\.Example\.org$`)", {"*.example.org"}),
    (r'HostSNIRegexp("^x\\.example\\.org$")', {"*.example.org"}),
    (r"HostRegexp(`[|]\.a\.b$`)", {"*.a.b"}),
]
UNBOUND = [
    "PathPrefix(`/`)",
    "!Host(`a.b`)",
    "!(Host(`a.b`))",
    "Host(`a.b`) || PathPrefix(`/`)",
    "Host(`a.b`) || !Host(`a.b`)",
    "Host(`*`)",
    "HostSNI(`*`)",
    "Header(`Host`, `a.b`)",
    "ClientIP(`10.0.0.0/8`)",
]
UNREADABLE = [
    ("", "the end at character 1"),
    ("Host(`a.b`", "the end at character 11"),
    ("Host(a.b)", "'a' at character 6"),
    ("Host(`a.b`) Host(`c.d`)", "'Host' at character 13"),
    ("Host(`a.b`) &&", "the end at character 15"),
    ("Host(`a.b`) & Path(`/`)", "'&' at character 13"),
    ("Host(`a.b` `c.d`)", "where `)` is expected"),
    ("(" * 40 + "Host(`a.b`)" + ")" * 40, "nests deeper"),
    ("!" * 40 + "Host(`a.b`)", "nests deeper"),
    ("Host(`a.b`)" + " " * 5000, "at most 4096"),
    ("HostRegexp(`.*`)", "does not end in the domain"),
    (r"HostRegexp(`^x\.org$`)", "does not end in the domain"),
    (r"HostRegexp(`\.example\.org`)", "does not end in the domain"),
    (r"HostRegexp(`^a$|\.example\.org$`)", "does not end in the domain"),
    (r"HostRegexp(`(?m)^a$\.example\.org$`)", "does not end in the domain"),
    (r"HostRegexp(`\Qa\E\.example\.org$`)", "does not end in the domain"),
    (r"HostRegexp(`.example.org$`)", "does not end in the domain"),
]


@pytest.mark.parametrize(("rule", "hosts"), BOUND)
def test_a_rule_is_bound_to_the_hosts_it_names(rule: str, hosts: set[str]) -> None:
    found = rules.bound(rule)
    assert found is not None
    assert {str(pattern) for pattern in found} == hosts


@pytest.mark.parametrize("rule", UNBOUND)
def test_a_rule_that_can_match_any_host_is_bound_to_none(rule: str) -> None:
    assert rules.bound(rule) is None


@pytest.mark.parametrize(("rule", "words"), UNREADABLE)
def test_what_cannot_be_read_is_not_guessed_at(rule: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rules.bound(rule)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "is_below", "touches"),
    [
        ("gw.example.com", False, True),
        ("a.gw.example.com", False, True),
        ("notgw.example.com", False, False),
        ("example.com", False, False),
        ("gw.example.com", True, True),
        ("example.com", True, True),
        ("other.com", True, False),
        ("notgw.example.com", True, False),
    ],
)
def test_a_pattern_touches_a_domain_it_can_match_or_reach_below(pattern: str, is_below: bool, touches: bool) -> None:
    assert HostPattern(pattern, is_below).touches("gw.example.com") is touches
