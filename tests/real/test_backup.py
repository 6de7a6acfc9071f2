"""Backup here, restore there: the same certificates are served, nothing is ordered, the totals go on."""

import os
from pathlib import Path

import yaml

from appliance.model import state_formats
from tests.peers import https
from tests.peers.appliance import TRAEFIK, Appliance, MakeAppliance, settings
from tests.peers.backends import MakeBackend
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble

HOST, FQDN = "blog.gw.test", "shop.customer.test"


def served(one: Appliance, ca: Pebble) -> list[int]:
    """The serial numbers of both certificates, once they are the CA's."""

    def trusted() -> list[int]:
        answers = [https.fetch(host, ca=ca.root_pem()) for host in (HOST, FQDN)]
        return [answer.certificate.serial for answer in answers if answer.certificate is not None]

    return one.program.until(trusted, "both hosts have certificates of the CA", seconds=45)


def carried(one: Appliance) -> int:
    """Requests counted for the name proxy."""
    return sum(one.must("metrics")["1-1-blog"]["requests"].values())


def test_a_backup_of_a_running_appliance_serves_the_same_certificates_elsewhere(
    new_appliance: MakeAppliance, parent: Nsd, pebble: Pebble, backend: MakeBackend, tmp_path: Path
) -> None:
    parent.add_host(FQDN)
    first = new_appliance(settings(pebble)).start()
    first.must("route", "name", "1-1-blog", "blog", backend("blog").url)
    first.must("route", "fqdn", "1-2-shop", FQDN, backend("shop").url)
    before = served(first, pebble)
    counted = carried(first)
    archive = tmp_path / "gateway.tar"
    told = first.must("backup", str(archive))
    assert archive.stat().st_mode & 0o777 == 0o600
    assert {f"{serial:x}" for serial in before} == {item["serial"] for item in told["certificates"]}
    orders = pebble.orders()

    refused = first.cli("restore", str(archive))
    assert refused.code == 1
    assert str(first.program.process.pid) in refused.complaint
    assert first.stop() == 0

    second = new_appliance(settings_file=False)
    restored = second.must("restore", str(archive))
    assert restored["not_taken"] == ["traefik.binary"]
    second.write_settings(yaml.safe_load(second.configuration.read_text()) | {"traefik": {"binary": str(TRAEFIK)}})
    second.start()
    second.until_state("1-1-blog", "applied")
    second.until_state("1-2-shop", "applied")
    assert served(second, pebble) == before
    assert carried(second) > counted
    assert pebble.orders() == orders


def test_the_state_of_a_newer_version_is_refused_and_left_as_it_is(
    new_appliance: MakeAppliance, tmp_path: Path
) -> None:
    one = new_appliance().start()
    assert (one.root / "state/format").read_text() == f"{state_formats.CURRENT}\n"
    assert one.stop() == 0
    (one.root / "state/format").write_text(f"{state_formats.CURRENT + 1}\n")
    names = sorted(os.listdir(one.root))
    program = one.launch_another(tmp_path / "again.log")
    assert program.wait() not in {0, 70}
    assert len(program.log_text().strip().splitlines()) == 1
    assert f"format {state_formats.CURRENT + 1}" in program.log_text()
    assert sorted(os.listdir(one.root)) == names
