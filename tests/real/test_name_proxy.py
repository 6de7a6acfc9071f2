"""Name proxies: one wildcard certificate by DNS-01, through the delegation, with Traefik's own propagation check."""

from tests.peers import addresses, https
from tests.peers.appliance import Appliance
from tests.peers.backends import MakeBackend
from tests.peers.pebble import Pebble

WILDCARD = ("*.gw.test", "gw.test")


def test_a_name_proxy_is_served_with_the_wildcard_certificate(
    appliance: Appliance, pebble: Pebble, backend: MakeBackend
) -> None:
    blue = backend("blue")
    shown = appliance.must("route", "name", "1-1-blog", "blog", blue.url)
    assert shown["state"] == "applied"
    assert (shown["id"], shown["type"], shown["host"]) == ("1-1-blog", "gateway-name-proxy", "blog.gw.test")
    pebble.until_issued(*WILDCARD)
    answer = appliance.program.until(
        lambda: https.fetch("blog.gw.test", "/hello", ca=pebble.root_pem()), "a trusted answer"
    )
    assert answer.status == 200
    assert '"backend": "blue"' in answer.body
    assert answer.certificate is not None
    assert answer.certificate.names == WILDCARD
    assert answer.certificate.issuer == pebble.issuer()


def test_two_name_proxies_share_one_order(appliance: Appliance, pebble: Pebble, backend: MakeBackend) -> None:
    for name in ("blue", "green"):
        appliance.must("route", "name", f"1-1-{name}", name, backend(name).url)
    pebble.until_issued(*WILDCARD)
    appliance.program.until(lambda: https.fetch("blue.gw.test", ca=pebble.root_pem()), "a trusted answer")
    assert '"backend": "green"' in https.fetch("green.gw.test", ca=pebble.root_pem()).body
    appliance.must("route", "name", "1-1-red", "red", backend("red", address=addresses.OTHER_BACKEND).url)
    assert '"backend": "red"' in https.fetch("red.gw.test", ca=pebble.root_pem()).body
    assert pebble.orders() == 1
    assert pebble.issued() == [WILDCARD]


def test_the_propagation_check_is_traefiks_default(appliance: Appliance) -> None:
    """Nothing in the configuration switches the check of the authoritative servers off."""
    static = (appliance.root / "traefik.yaml").read_text(encoding="utf-8")
    assert "disableANSChecks: false" in static
    assert "disableChecks" not in static
