"""The hook serves any ACME client that can run a program, not only Traefik: lego's own command line issues with it."""

import threading
from pathlib import Path

from cryptography import x509

from tests.peers.appliance import Appliance
from tests.peers.lego import Lego
from tests.peers.pebble import Pebble

NAMES = ("gw.test", "*.gw.test")


def names_of(certificate: x509.Certificate) -> set[str]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))


def test_lego_issues_apex_and_wildcard_with_the_hook(appliance: Appliance, pebble: Pebble, lego: Lego) -> None:
    certificate = lego.dns01(*NAMES, environment=appliance.environment)
    assert names_of(certificate) == set(NAMES)
    assert certificate.issuer.rfc4514_string() == pebble.issuer()


def test_lego_issues_apex_and_wildcard_with_the_hook_in_raw_mode(appliance: Appliance, lego: Lego) -> None:
    assert names_of(lego.dns01(*NAMES, environment=appliance.environment, raw=True)) == set(NAMES)


def test_two_orders_for_one_name_at_the_same_time_both_succeed(
    appliance: Appliance, pebble: Pebble, tmp_path: Path
) -> None:
    issued: list[x509.Certificate] = []

    def order(client: Lego) -> None:
        issued.append(client.dns01(*NAMES, environment=appliance.environment))

    threads = []
    for number in range(2):
        directory = tmp_path / f"client {number}"
        directory.mkdir()
        threads.append(threading.Thread(target=order, args=(Lego(directory, pebble),)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [names_of(certificate) for certificate in issued] == [set(NAMES)] * 2
    assert len({certificate.serial_number for certificate in issued}) == 2


def test_nothing_is_left_of_a_challenge_afterwards(appliance: Appliance, lego: Lego) -> None:
    lego.dns01(*NAMES, environment=appliance.environment)
    assert [entry["ended"] is not None for entry in appliance.must("challenges")] == [True, True]
