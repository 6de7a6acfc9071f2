"""What is judged of names, certificate authorities and port 80: literal tables."""

import ipaddress
from typing import Final

import pytest

from appliance.model import authorities, names, web
from appliance.model.authorities import Directory
from appliance.model.backends import Address
from appliance.model.findings import Status
from appliance.model.names import Resolved

HERE: Final = ipaddress.ip_address("203.0.113.10")
HERE_V6: Final = ipaddress.ip_address("2001:db8::10")
THERE: Final = ipaddress.ip_address("198.51.100.7")
THERE_V6: Final = ipaddress.ip_address("2001:db8::bad")
V4: Final = frozenset({HERE})
BOTH: Final = frozenset({HERE, HERE_V6})


def resolved(*addresses: Address, problem: str = "", is_certain: bool = True) -> Resolved:
    return Resolved("gw.example.com", frozenset(addresses), None, problem, is_certain=is_certain)


@pytest.mark.parametrize(
    ("found", "own", "status", "todo"),
    [
        (resolved(HERE), V4, "ok", ""),
        (resolved(HERE, HERE_V6), BOTH, "ok", ""),
        (resolved(HERE), BOTH, "warn", "gw.example.com.\t3600\tIN\tAAAA\t2001:db8::10"),
        (resolved(THERE), V4, "fail", "remove gw.example.com.\t3600\tIN\tA\t198.51.100.7"),
        (resolved(HERE, THERE_V6), V4, "fail", "remove gw.example.com.\t3600\tIN\tAAAA\t2001:db8::bad"),
        (resolved(HERE, HERE_V6), V4, "fail", "remove gw.example.com.\t3600\tIN\tAAAA\t2001:db8::10"),
        (resolved(problem="it does not exist"), V4, "fail", "create gw.example.com.\t3600\tIN\tA\t203.0.113.10"),
        (resolved(problem="SERVFAIL", is_certain=False), V4, "unknown", "dns.resolvers"),
    ],
)
def test_every_address_of_a_domain_must_be_ours(
    found: Resolved, own: frozenset[Address], status: str, todo: str
) -> None:
    seen = names.Observation("gw.example.com", found, resolved(HERE), is_bogus=False)
    first = names.findings(seen, own)[0]
    assert (first.id, first.status) == ("domain.address:gw.example.com", status)
    assert todo in first.todo


@pytest.mark.parametrize(
    ("sample", "status"),
    [(resolved(HERE), "ok"), (resolved(THERE), "fail"), (resolved(problem="it does not exist"), "fail")],
)
def test_the_wildcard_must_lead_here(sample: Resolved, status: str) -> None:
    seen = names.Observation("gw.example.com", resolved(HERE), sample, is_bogus=False)
    found = names.findings(seen, V4)[1]
    assert (found.id, found.status) == ("domain.wildcard:gw.example.com", status)
    assert status == "ok" or "*.gw.example.com.\t3600\tIN\tCNAME\tgw.example.com." in found.todo


@pytest.mark.parametrize(("is_bogus", "status"), [(False, "ok"), (True, "fail"), (None, "unknown")])
def test_signatures_that_do_not_hold_are_told(is_bogus: bool | None, status: str) -> None:
    seen = names.Observation("gw.example.com", resolved(HERE), resolved(HERE), is_bogus)
    assert names.findings(seen, V4)[2].status == status


URL: Final = "https://ca.example.net/dir"


def directory(problem: str | None = None, *, skew: float | None = 0.0, host: str = "ca.example.net") -> Directory:
    date = None if skew is None else 1_000_000.0 - skew
    return Directory(URL, host, problem, date=date, asked_at=1_000_000.0, profiles=("classic", "shortlived"))


@pytest.mark.parametrize(
    ("skew", "status", "words"),
    [
        (0.0, "ok", "agrees"),
        (-29.0, "ok", "agrees"),
        (60.0, "warn", "60 s ahead"),
        (-60.0, "warn", "60 s behind"),
        (3600.0, "fail", "3600 s ahead"),
        (-86400.0, "fail", "86400 s behind"),
        (None, "unknown", "no clock"),
    ],
)
def test_the_authoritys_clock_is_compared_with_ours(skew: float | None, status: str, words: str) -> None:
    found = authorities.clock(directory(skew=skew))
    assert (found.id, found.status) == ("clock", status)
    assert words in found.evidence


def test_an_authority_that_cannot_be_used_is_told_with_the_reason() -> None:
    assert authorities.reachable(directory()).status is Status.OK
    found = authorities.reachable(directory("no answer within 4 s"))
    assert found.status is Status.FAIL
    assert "no answer within 4 s" in found.evidence
    untrusted = Directory(URL, "ca.example.net", "its certificate is not trusted", is_untrusted=True)
    assert "`acme.ca_certificates`" in authorities.reachable(untrusted).todo


@pytest.mark.parametrize(
    ("wanted", "problem", "status"),
    [(None, None, "ok"), ("shortlived", None, "ok"), ("tlsserver", None, "fail"), ("classic", "closed", "unknown")],
)
def test_a_profile_must_be_offered(wanted: str | None, problem: str | None, status: str) -> None:
    assert authorities.profile(directory(problem), wanted).status == status


def test_an_authority_is_known_by_what_it_says_else_by_its_name() -> None:
    said = Directory(URL, "ca.example.net", caa_identities=("CA.Example.Net",))
    assert authorities.identities(said) == {"ca.example.net"}
    assert authorities.identities(directory(host="acme-v02.api.letsencrypt.org")) == {"letsencrypt.org"}
    assert authorities.identities(directory()) == frozenset()


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (web.Outcome.ANSWERED, "ok"),
        (web.Outcome.REFUSED, "fail"),
        (web.Outcome.RUBBISH, "fail"),
        (web.Outcome.SILENT, "unknown"),
        (web.Outcome.UNREACHABLE, "unknown"),
    ],
)
def test_port_80_is_judged_only_as_far_as_can_be_told(outcome: web.Outcome, status: str) -> None:
    found = web.finding("2001:db8::10", web.Reply(outcome))
    assert (found.id, found.status) == ("web.port80:2001:db8::10", status)
