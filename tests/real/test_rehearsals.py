"""A first order is rehearsed at the staging directory: what fails there costs no order in earnest."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.peers import addresses, https
from tests.peers import appliance as appliances
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.fault_proxy import AUTHORIZATION, NEW_ACCOUNT, FaultProxy
from tests.peers.launching import PeerError, await_result
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble

SHOP = "shop.customer.test"
BLOG = f"blog.{addresses.DOMAIN}"


@pytest.fixture
def staging(pebble: Pebble) -> Iterator[FaultProxy]:
    with FaultProxy(pebble) as proxy:
        yield proxy


@pytest.fixture
def earnest(resolver: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """Another CA, which shares nothing with the one for rehearsals."""
    ca = Pebble(tmp_path_factory.mktemp("earnest"), address=addresses.OTHER_BACKEND)
    yield ca
    ca.stop()


def settings(earnest: Pebble, staging: FaultProxy, **acme: Any) -> dict[str, Any]:
    values = copy.deepcopy(appliances.settings(earnest))
    values["acme"]["ca_certificates"].append(str(staging.tls_ca))
    values["acme"] |= {"rehearsal": True, "rehearsal_directory": staging.url} | acme
    return values


def issued(one: Appliance, ca: Pebble, host: str, seconds: float = 45) -> None:
    """Wait until a host is served with a certificate of this very CA."""

    def served() -> bool:
        issuer = https.certificate_served(host).issuer
        if issuer != ca.issuer():
            raise PeerError(f"{host} is served by {issuer}\n{one.must('certs')}")
        return True

    await_result(served, f"{host} has its certificate", seconds=seconds, log=one.program.end_of_log)


def reason(one: Appliance, identity: str, words: str, seconds: float = 30) -> str:
    """The reason why a certificate is not ordered, once these words are in it."""

    def found() -> str:
        said = str(one.must("route", "show", identity)["certificate"]["reason"])
        if words not in said:
            raise PeerError(said)
        return said

    return await_result(found, f"{identity} says {words!r}", seconds=seconds, log=one.program.end_of_log)


def test_both_kinds_are_rehearsed_first_and_then_ordered_once_without_a_restart(
    new_appliance: MakeAppliance, earnest: Pebble, staging: FaultProxy, parent: Nsd, backend: MakeBackend
) -> None:
    one = new_appliance(settings(earnest, staging)).start()
    parent.add_host(SHOP)
    one.must("route", "fqdn", "shop", SHOP, backend("shop").url)
    before = {name: one.pid_of(name) for name in ("traefik", "gateway")}
    one.must("route", "name", "blog", "blog", backend("blog").url)
    issued(one, earnest, SHOP)
    issued(one, earnest, BLOG)
    names = [asked.names for asked in staging.orders()]
    assert sorted(map(sorted, names)) == [["*.gw.test", "gw.test"], [SHOP]]
    assert sorted(earnest.issued()) == [("*.gw.test", "gw.test"), (SHOP,)]
    assert earnest.orders() == 2
    assert '"backend": "shop"' in https.fetch(SHOP).body
    assert {name: one.pid_of(name) for name in before} == before
    # What was proven is not proven again, and the account at the staging directory is kept.
    pid = one.kill_program("gateway")
    one.until_replaced("gateway", pid)
    parent.add_host(f"second.{SHOP}")
    one.must("route", "fqdn", "second", f"second.{SHOP}", backend("second").url)
    issued(one, earnest, f"second.{SHOP}")
    assert len(staging.orders()) == 3
    assert earnest.orders() == 3
    assert staging.counts()[NEW_ACCOUNT] == 2  # one for each kind of challenge


@pytest.mark.parametrize(("identity", "host"), [("shop", SHOP), ("blog", BLOG)])
def test_a_rehearsal_that_fails_costs_no_order_in_earnest_until_it_succeeds(
    new_appliance: MakeAppliance,
    earnest: Pebble,
    staging: FaultProxy,
    parent: Nsd,
    backend: MakeBackend,
    identity: str,
    host: str,
) -> None:
    fault = staging.problem("rateLimited", "told to by a test", status=429, path=AUTHORIZATION)
    one = new_appliance(settings(earnest, staging, rate_limit_pause="5s")).start()
    parent.add_host(SHOP)
    if identity == "shop":
        one.must("route", "fqdn", "shop", SHOP, backend("shop").url)
    else:
        one.must("route", "name", "blog", "blog", backend("blog").url)
    said = reason(one, identity, "in the rehearsal at")
    assert "too many requests" in said
    assert staging.url in said
    assert "in the rehearsal at" in str(one.must("certs"))
    assert fault.struck
    assert earnest.orders() == 0
    staging.clear()
    issued(one, earnest, host)
    assert earnest.orders() == 1


def test_a_way_for_challenges_that_leads_elsewhere_is_found_out_in_the_rehearsal(
    new_appliance: MakeAppliance, earnest: Pebble, staging: FaultProxy, parent: Nsd, backend: MakeBackend
) -> None:
    """Nothing this gateway can see is wrong, and yet the authority finds no answer: somebody else has port 80."""
    staging.problem("unauthorized", "Invalid response: 404", path=AUTHORIZATION)
    one = new_appliance(settings(earnest, staging)).start()
    parent.add_host(SHOP)
    one.must("route", "fqdn", "shop", SHOP, backend("shop").url)
    said = reason(one, "shop", "no right answer to its challenge")
    assert "by itself" in said
    explained = one.cli("explain", SHOP)
    assert explained.code == 1
    assert "in the rehearsal at" in str(explained.output)
    assert earnest.orders() == 0
    staging.clear()
    # What the checks see is something else now, which may mean that it was mended.
    parent.replace({SHOP: [f"A {addresses.GATEWAY}", 'CAA 0 issue "pebble.letsencrypt.org"']})
    issued(one, earnest, SHOP, 60)
    assert earnest.orders() == 1


def test_rehearsals_are_switched_on_and_off_while_it_runs(
    new_appliance: MakeAppliance, earnest: Pebble, staging: FaultProxy, parent: Nsd, backend: MakeBackend
) -> None:
    one = new_appliance(settings(earnest, staging, rehearsal=False)).start()
    parent.add_host(SHOP)
    one.must("route", "fqdn", "shop", SHOP, backend("shop").url)
    issued(one, earnest, SHOP)
    assert staging.orders() == []
    pid = one.pid_of("traefik")
    staging.problem("unauthorized", "told to by a test", path=AUTHORIZATION)
    one.write_settings(settings(earnest, staging))
    one.until_replaced("traefik", pid)
    parent.add_host(f"late.{SHOP}")
    one.must("route", "fqdn", "late", f"late.{SHOP}", backend("late").url)
    reason(one, "late", "in the rehearsal at")
    assert earnest.orders() == 1
    one.write_settings(settings(earnest, staging, rehearsal=False))
    issued(one, earnest, f"late.{SHOP}")
    assert not (one.root / "proxy/~rehearsal.yaml").exists()


def throw_away() -> list[psutil.Process]:
    """The throw-away Traefiks that run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any("run/rehearsal/" in argument for argument in process.cmdline()):
                found.append(process)
    return found


def test_a_crash_during_a_rehearsal_leaves_nothing_behind_and_it_is_done_again(
    new_appliance: MakeAppliance, earnest: Pebble, staging: FaultProxy, parent: Nsd, backend: MakeBackend
) -> None:
    one = new_appliance(settings(earnest, staging)).start()
    parent.add_host(SHOP)
    staging.stall()
    one.must("route", "fqdn", "shop", SHOP, backend("shop").url)
    reason(one, "shop", "is rehearsed at")
    await_result(staging.orders, "the staging directory is asked", seconds=20, log=one.program.end_of_log)
    (running,) = throw_away()
    pid = one.kill_program("gateway")
    assert psutil.wait_procs([running], timeout=5)[1] == []
    staging.clear()
    one.until_replaced("gateway", pid)
    issued(one, earnest, SHOP)
    assert earnest.orders() == 1
    assert throw_away() == []
    assert not (one.root / "run/rehearsal").exists()
    assert not (one.root / "proxy/~rehearsal.yaml").exists()
