"""What names resolve to decides about certificates and backends, and a silent resolver takes nothing back."""

import ipaddress
from collections.abc import Iterator

import pytest

from appliance.model import askings
from appliance.model.errors import NotFound, Unavailable
from appliance.model.standings import CertificateState, State
from tests.fakes import until
from tests.plane import HERE, Plane, fqdn, name

APPLIED, QUARANTINED = State.APPLIED, State.QUARANTINED
THERE = frozenset({ipaddress.ip_address("198.51.100.7")})
SHOP = "shop.customer.com"


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plane]:
    monkeypatch.setattr(askings, "_WRONG_SECONDS", 0.01)
    monkeypatch.setattr(askings, "_SETTLED_SECONDS", 0.01)
    plane = Plane()
    plane.start()
    yield plane
    plane.stop()


def restart(plane: Plane) -> None:
    plane.stop()
    plane.start()


def test_no_certificate_is_ordered_until_the_host_points_here(plane: Plane) -> None:
    plane.put(fqdn("shop", SHOP))
    plane.reaches("shop", APPLIED)
    until(lambda: "create an address record" in plane.view("shop").certificate.reason)
    assert plane.certificate("shop") is CertificateState.WITHHELD
    assert not plane.orders("shop")
    plane.lookups.answers[SHOP] = THERE
    until(lambda: "points to 198.51.100.7" in plane.view("shop").certificate.reason)
    plane.lookups.answers[SHOP] = HERE
    until(lambda: plane.orders("shop"))
    plane.reaches("shop", APPLIED)
    assert plane.certificate("shop") is CertificateState.PENDING
    plane.traefik.certified = frozenset({SHOP})
    assert plane.certificate("shop") is CertificateState.ISSUED


def test_a_host_that_moves_away_is_no_longer_ordered_for(plane: Plane) -> None:
    plane.lookups.answers[SHOP] = HERE
    plane.put(fqdn("shop", SHOP))
    until(lambda: plane.orders("shop"))
    plane.lookups.answers[SHOP] = THERE
    until(lambda: not plane.orders("shop"))
    plane.reaches("shop", APPLIED)
    assert plane.certificate("shop") is CertificateState.WITHHELD


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_resolver_that_does_not_answer_takes_no_order_back(plane: Plane, is_restarted: bool) -> None:
    plane.lookups.answers[SHOP] = HERE
    plane.put(fqdn("shop", SHOP))
    until(lambda: plane.orders("shop"))
    plane.reaches("shop", APPLIED)
    plane.lookups.answers[SHOP] = Unavailable("nobody answered")
    plans = len(plane.files.plans)
    if is_restarted:
        restart(plane)
    asked = len(plane.lookups.asked)
    until(lambda: len(plane.lookups.asked) > asked + 3)
    plane.look()
    assert plane.orders("shop")
    assert len(plane.files.plans) == plans
    plane.lookups.answers[SHOP] = NotFound(f"{SHOP} does not exist in the DNS")
    until(lambda: not plane.orders("shop"))


def test_a_resolver_that_never_answered_gives_no_order(plane: Plane) -> None:
    plane.lookups.answers[SHOP] = Unavailable("nobody answered")
    plane.put(fqdn("shop", SHOP))
    until(lambda: "nobody answered" in plane.view("shop").certificate.reason)
    assert not plane.orders("shop")
    plane.reaches("shop", APPLIED)


def test_a_backend_by_name_is_served_once_its_address_is_known(plane: Plane) -> None:
    plane.lookups.answers["app.internal"] = Unavailable("nobody answered")
    plane.put(name("blog", backend="http://app.internal"))
    until(lambda: "nobody answered" in plane.reason("blog"))
    assert plane.state("blog") is QUARANTINED
    plane.lookups.answers["app.internal"] = frozenset({ipaddress.ip_address("10.0.0.1")})
    plane.reaches("blog", APPLIED)
    assert "http://10.0.0.1:80" in plane.files.files["blog.yaml"]
