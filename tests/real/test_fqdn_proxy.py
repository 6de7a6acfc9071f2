"""FQDN proxies: a certificate of their own by HTTP-01, once the name leads to the gateway."""

from tests.peers import addresses, https
from tests.peers.appliance import Appliance
from tests.peers.backends import MakeBackend
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble


def test_an_fqdn_proxy_is_served_with_a_certificate_of_its_own(
    appliance: Appliance, parent: Nsd, pebble: Pebble, backend: MakeBackend
) -> None:
    parent.add_host("shop.customer.test")
    shown = appliance.must("route", "fqdn", "1-2-shop", "shop.customer.test", backend("shop").url)
    assert (shown["type"], shown["host"], shown["state"]) == ("gateway-fqdn-proxy", "shop.customer.test", "applied")
    pebble.until_issued("shop.customer.test")
    answer = appliance.program.until(
        lambda: https.fetch("shop.customer.test", ca=pebble.root_pem()), "a trusted answer"
    )
    assert '"backend": "shop"' in answer.body
    assert answer.certificate is not None
    assert answer.certificate.names == ("shop.customer.test",)
    assert pebble.orders() == 1


def test_plain_http_is_redirected_to_https(appliance: Appliance, parent: Nsd, backend: MakeBackend) -> None:
    parent.add_host("shop.customer.test")
    server = backend("shop")
    appliance.must("route", "fqdn", "1-2-shop", "shop.customer.test", server.url)
    answer = https.fetch_plain("shop.customer.test", "/basket?item=1")
    assert answer.status in {301, 308}
    assert answer.headers["location"] == "https://shop.customer.test/basket?item=1"
    assert server.requests == 0


def test_a_name_that_leads_elsewhere_is_routed_without_an_order_until_it_leads_here(
    appliance: Appliance, parent: Nsd, pebble: Pebble, backend: MakeBackend
) -> None:
    parent.add_host("late.customer.test", addresses.OTHER_BACKEND)
    shown = appliance.must("route", "fqdn", "1-2-late", "late.customer.test", backend("late").url)
    assert shown["state"] == "applied"

    def is_told() -> bool:
        return addresses.OTHER_BACKEND in appliance.must("route", "show", "1-2-late")["certificate"]["reason"]

    appliance.program.until(is_told, "where the name leads is told")
    assert '"backend": "late"' in https.fetch("late.customer.test").body
    assert pebble.orders() == 0


def test_a_name_under_the_gateway_domain_is_refused(appliance: Appliance, backend: MakeBackend) -> None:
    outcome = appliance.cli("route", "fqdn", "1-2-own", "own.gw.test", backend("own").url)
    assert outcome.code != 0
    assert "gw.test" in outcome.complaint
    assert https.fetch("own.gw.test").status == 404
