"""A host without public settings is no gateway yet: it says so, and becomes one as soon as they are there."""

import functools
from typing import Any

from tests.peers import appliance as appliances
from tests.peers import https
from tests.peers.appliance import MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble

NAME = ("route", "name", "1-6-blog", "blog")
FQDN = ("route", "fqdn", "1-6-shop", "shop.customer.test")


def without_public(ca: Pebble) -> dict[str, Any]:
    values = appliances.settings(ca)
    del values["public"]
    return values


def without_domain(ca: Pebble) -> dict[str, Any]:
    values = appliances.settings(ca)
    values["public"]["domains"] = []
    return values


def test_the_gateway_enables_itself_as_its_public_settings_appear(
    new_appliance: MakeAppliance, parent: Nsd, pebble: Pebble, backend: MakeBackend
) -> None:
    parent.add_host("shop.customer.test")
    url = backend("blue").url
    one = new_appliance(without_public(pebble)).start()
    for command in (NAME, FQDN):
        refused = one.cli(*command, url)
        assert refused.code != 0
        assert "public" in refused.complaint

    one.write_settings(without_domain(pebble))
    one.program.until(lambda: one.status()["public"], "the public section is read")
    refused = one.cli(*NAME, url)
    assert refused.code != 0
    assert "domain" in refused.complaint
    assert one.must(*FQDN, url)["state"] == "applied"
    pebble.until_issued("shop.customer.test")

    one.write_settings(appliances.settings(pebble))
    one.program.until(lambda: one.status()["public"]["domains"], "the domain is read")
    assert one.must(*NAME, url)["state"] == "applied"
    pebble.until_issued("*.gw.test", "gw.test")
    for host in ("blog.gw.test", "shop.customer.test"):
        answer = one.program.until(functools.partial(https.fetch, host, ca=pebble.root_pem()), "a trusted answer")
        assert answer.status == 200


def test_a_waiting_workload_is_applied_when_the_settings_file_appears(
    new_appliance: MakeAppliance, pebble: Pebble, backend: MakeBackend
) -> None:
    """Ports at which a gateway without settings listens are its defaults, so only Traefik's inner ones are given."""
    one = new_appliance(without_public(pebble))
    one.write_workload("1-6-blog", f'type: gateway-name-proxy\nname: blog\nbackends: ["{backend("blue").url}"]\n')
    one.start()
    assert "public" in one.until_state("1-6-blog", "quarantined")["reason"]
    one.write_settings(appliances.settings(pebble))
    one.until_state("1-6-blog", "applied")
    pebble.until_issued("*.gw.test", "gw.test")


def test_a_gateway_starts_without_a_settings_file_and_reads_it_when_it_appears(
    new_appliance: MakeAppliance, pebble: Pebble, backend: MakeBackend
) -> None:
    environment = {
        "GATEWAY__DNS__LISTEN": '["10.99.0.1:53"]',
        "GATEWAY__ENTRYPOINTS__WEB": "10.99.0.1:80",
        "GATEWAY__ENTRYPOINTS__WEB_SECURE": "10.99.0.1:443",
    }
    one = new_appliance(None, environment=environment, settings_file=False).start()
    assert one.cli(*NAME, backend("blue").url).code != 0
    one.write_settings(appliances.settings(pebble))
    one.program.until(lambda: one.status()["public"], "the settings are read")
    url = backend("green").url

    def applied() -> bool:  # some of these settings make the control plane start anew
        outcome = one.cli(*NAME, url)
        return outcome.code == 0 and outcome.output["state"] == "applied"

    one.program.until(applied, "the workload is applied", seconds=30)


def test_broken_settings_are_reported_and_the_last_good_ones_stay(
    new_appliance: MakeAppliance, pebble: Pebble, backend: MakeBackend
) -> None:
    one = new_appliance(appliances.settings(pebble)).start()
    one.must(*NAME, backend("blue").url)
    one.write_settings(appliances.settings(pebble) | {"pubic": {}})
    problem = one.program.until(lambda: one.status()["settings_problem"], "the problem is reported")
    assert "pubic" in problem
    assert "public" in problem
    assert https.fetch("blog.gw.test").status == 200
    one.write_settings(appliances.settings(pebble))
    one.program.until(lambda: not one.status()["settings_problem"], "the problem is gone")
