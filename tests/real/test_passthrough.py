"""TLS passthrough: the client speaks TLS with the backend itself, and no certificate is ordered for that."""

from tests.peers import addresses, backends, https
from tests.peers.appliance import Appliance
from tests.peers.backends import MakeBackend
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble


def test_a_name_proxy_with_passthrough_shows_the_backends_own_certificate(
    appliance: Appliance, backend: MakeBackend
) -> None:
    server = backend("secure", tls_names=("raw.gw.test",))
    appliance.must("route", "name", "1-3-raw", "raw", server.host_port, "--tls-passthrough")
    answer = https.fetch("raw.gw.test")
    assert answer.certificate is not None
    assert backends.CA_NAME in answer.certificate.issuer
    assert answer.certificate.names == ("raw.gw.test",)
    assert '"backend": "secure"' in answer.body


def test_an_fqdn_proxy_with_passthrough_shows_the_backends_own_certificate(
    appliance: Appliance, parent: Nsd, pebble: Pebble, backend: MakeBackend
) -> None:
    parent.add_host("raw.customer.test")
    server = backend("secure", tls_names=("raw.customer.test",))
    backend_url = f"https://{server.host_port}"
    appliance.must("route", "fqdn", "1-3-raw", "raw.customer.test", backend_url, "--tls-passthrough")
    answer = https.fetch("raw.customer.test")
    assert answer.certificate is not None
    assert backends.CA_NAME in answer.certificate.issuer
    assert '"backend": "secure"' in answer.body
    assert "raw.customer.test" not in pebble.validations()


def test_passthrough_and_termination_live_side_by_side(appliance: Appliance, backend: MakeBackend) -> None:
    raw = backend("raw", tls_names=("raw.gw.test",))
    plain = backend("plain", address=addresses.OTHER_BACKEND)
    appliance.must("route", "name", "1-3-raw", "raw", raw.host_port, "--tls-passthrough")
    appliance.must("route", "name", "1-3-plain", "plain", plain.url)
    assert backends.CA_NAME in https.certificate_served("raw.gw.test").issuer
    terminated = https.fetch("plain.gw.test")
    assert terminated.certificate is not None
    assert backends.CA_NAME not in terminated.certificate.issuer
    assert '"backend": "plain"' in terminated.body


def test_a_workload_can_change_to_passthrough_and_back(appliance: Appliance, backend: MakeBackend) -> None:
    plain, raw = backend("plain"), backend("raw", tls_names=("x.gw.test",))
    for _ in range(2):
        appliance.must("route", "name", "1-3-x", "x", plain.url)
        assert '"backend": "plain"' in https.fetch("x.gw.test").body
        appliance.must("route", "name", "1-3-x", "x", raw.host_port, "--tls-passthrough")
        assert '"backend": "raw"' in https.fetch("x.gw.test").body
