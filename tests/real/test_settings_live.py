"""The settings file changes under a running appliance: what is in force when, and that nothing is in the way."""

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.peers import addresses, appliance
from tests.peers.appliance import MakeAppliance
from tests.peers.nsd import Nsd

HOST = "shop.customer.test"


def settings(**sections: dict[str, Any]) -> dict[str, Any]:
    """Settings of the namespace with these keys besides."""
    values = appliance.settings()
    return values | {name: values.get(name, {}) | keys for name, keys in sections.items()}


def is_served(zone: str) -> bool:
    """Whether the authority answers for a zone; not so while there is none."""
    try:
        asked = dns.message.make_query(zone, "SOA")
        return dns.query.udp(asked, addresses.GATEWAY, timeout=0.5).rcode() == dns.rcode.NOERROR
    except dns.exception.Timeout:
        return False


def asks_for_a_token() -> bool:
    """Whether it is the admin API that listens at 127.0.0.1:8082."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", 8082, timeout=2)) as connection:
        connection.request("GET", "/v1/status")
        with connection.getresponse() as answer:
            return answer.status == 401


def test_settings_that_are_read_once_are_in_force_only_after_the_restart(new_appliance: MakeAppliance) -> None:
    """Whoever sees a change in force can rely on it: nothing goes away a moment later."""
    dns_settings = {"rate_limit": None, "extra_zones": ["new.example"]}
    server = new_appliance(settings(dns={"rate_limit": None})).start()
    before = server.pid_of("gateway")
    server.write_settings(settings(dns=dns_settings, challenge={"uids": [10002]}))
    server.program.until(lambda: is_served("new.example"), "the zone is answered", seconds=30)
    server.program.until(lambda: server.status().get("healthy"), "it is healthy", seconds=30)
    after = server.pid_of("gateway")
    assert after != before
    dns_settings["extra_zones"] = ["newer.example"]
    server.write_settings(settings(dns=dns_settings, challenge={"uids": [10002]}))
    server.program.until(lambda: is_served("newer.example"), "the next zone is answered")
    assert server.pid_of("gateway") == after, "no restart for a zone"


def test_dns_does_not_go_where_it_cannot_listen(new_appliance: MakeAppliance) -> None:
    """The appliance has the port, but nobody has the address: it stays where it is, and says why."""
    server = new_appliance(settings()).start()
    before = server.pid_of("gateway")
    server.write_settings(settings(dns={"listen": ["198.51.100.7:53"]}))
    words = "udp port 53 on 198.51.100.7: this host does not have that address; set `dns.listen` to one it has"
    server.program.until(lambda: words in str(server.status()), "it is told", seconds=30)
    assert is_served(f"_acme-challenge.{addresses.DOMAIN}")
    assert {one["name"]: one["pid"] for one in server.status()["programs"]}["gateway"] == before


def test_a_port_that_traefik_had_can_be_given_to_the_control_plane(
    new_appliance: MakeAppliance, tmp_path: Path
) -> None:
    """In one edit: Traefik lets it go before the control plane comes for it."""
    server = new_appliance(settings(traefik={"metrics": "127.0.0.1:8082"})).start()
    before = server.pid_of("gateway")
    admin = {"listen": "127.0.0.1:8082", "token_file": str(tmp_path / "tokens")}
    (tmp_path / "tokens").touch(mode=0o600)
    server.write_settings(settings(traefik={"metrics": "127.0.0.1:8083"}, admin=admin))
    server.until_replaced("gateway", before)

    server.program.until(asks_for_a_token, "the admin API is there", seconds=30)
    server.program.until(lambda: server.status().get("healthy"), "it is healthy", seconds=30)


@pytest.fixture
def other_resolver(tmp_path: Path) -> Iterator[Nsd]:
    """A name server that says other things than the parent's."""
    directory = tmp_path / "nsd"
    directory.mkdir()
    nsd = Nsd(directory, address=addresses.OTHER_BACKEND)
    yield nsd
    nsd.stop()


@pytest.mark.usefixtures("resolver")
def test_other_resolvers_are_asked_at_once(new_appliance: MakeAppliance, parent: Nsd, other_resolver: Nsd) -> None:
    """Also for what was in order, which is asked for every five minutes only; and without a restart."""
    parent.add_host(HOST)
    other_resolver.add_host(HOST, addresses.BACKEND)
    nobody = {"ca_server": f"https://{addresses.CA}:1/dir"}
    server = new_appliance(settings(acme=nobody)).start()
    before = server.pid_of("gateway")
    server.must("route", "fqdn", "3-shop", HOST, f"http://{addresses.BACKEND}:9000")

    def is_withheld_for(words: str) -> bool:
        return words in str(server.must("route", "show", "3-shop")["certificate"]["reason"])

    server.program.until(lambda: is_withheld_for(nobody["ca_server"]), "it leads here", seconds=30)
    server.write_settings(settings(acme=nobody, dns={"resolvers": [addresses.OTHER_BACKEND]}))
    server.program.until(lambda: is_withheld_for(addresses.BACKEND), "it leads elsewhere", seconds=30)
    server.write_settings(settings(acme=nobody))
    server.program.until(lambda: is_withheld_for(nobody["ca_server"]), "it leads here again", seconds=30)
    assert server.pid_of("gateway") == before
