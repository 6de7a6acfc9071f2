"""The checks before an order: what they find, and what of it is compared with what they found before."""

import dataclasses
import ipaddress
from collections.abc import Sequence

import pytest

from appliance.control.lookups import Watch
from appliance.control.preflights import Outside, PreflightChecks
from appliance.model import caa, delegation, names, web
from appliance.model.authorities import Directory
from appliance.model.resolution import Resolution
from tests.fakes import FakeLookups

SHOP = "shop.customer.com"
HERE = frozenset({ipaddress.ip_address("203.0.113.10")})
URL = "https://ca.example/dir"
WELL = Directory(URL, "ca.example", date=1000.0, asked_at=1000.0, caa_identities=("ca.example",))


class Known(Watch):
    """Knows where every host points to."""

    def answer(self, host: str) -> Resolution | None:
        return Resolution(HERE, None)


class FakeDelegations:
    def __init__(self, records: Sequence[caa.Record]) -> None:
        self.records = records

    def look(self, zone: str) -> delegation.Observation:
        raise AssertionError(zone)

    def caa(self, host: str) -> caa.Found:
        return caa.Found("customer.com" if self.records else None, tuple(self.records), "")

    def domain(self, domain: str) -> names.Observation:
        raise AssertionError(domain)


class FakeAuthority:
    url = URL

    def __init__(self, directory: Directory) -> None:
        self.directory = directory

    def look(self) -> Directory:
        return self.directory


class FakeWeb:
    def ask(self, address: str, host: str, port: int = 80) -> web.Reply:
        return web.Reply(web.Outcome.ANSWERED, 404)


def seen(records: Sequence[str] = (), skew_seconds: float = 0.0) -> str:
    """What is compared, of a check that found nothing in the way."""
    found = [caa.Record(0, *record.split(" ", 1)) for record in records]
    directory = dataclasses.replace(WELL, asked_at=1000.0 + skew_seconds)
    outside = Outside(HERE, FakeDelegations(found), FakeAuthority(directory), FakeWeb(), 80, HERE)
    checked = PreflightChecks(Known(FakeLookups(), lambda _: None), lambda: outside).check(SHOP)
    assert checked.obstacle is None
    assert checked.is_certain
    return checked.seen


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (seen(["issue ca.example", "iodef mailto:a@b.c"]), seen(["iodef mailto:a@b.c", "issue ca.example"])),
        (seen(["issue ca.example", "issue other.example"]), seen(["issue other.example", "issue ca.example"])),
        (seen(skew_seconds=0.1), seen(skew_seconds=3.4)),
        (seen(skew_seconds=100.0), seen(skew_seconds=104.0)),
    ],
)
def test_the_same_circumstances_are_told_in_the_same_words(one: str, other: str) -> None:
    """Else a rest after a failure would end early although nothing was mended."""
    assert one == other


@pytest.mark.parametrize("other", [seen(["issue ca.example"]), seen(skew_seconds=100.0)])
def test_other_circumstances_are_told_in_other_words(other: str) -> None:
    assert other != seen()
