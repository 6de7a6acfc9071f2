"""The issuance governor: nothing is ordered in vain, and whatever was in the way is retried by itself."""

import contextlib
import copy
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

from tests.peers import addresses, https
from tests.peers import appliance as appliances
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.fault_proxy import FaultProxy
from tests.peers.launching import PeerError, await_result
from tests.peers.load import Load
from tests.peers.nsd import CHALLENGE_LABELS, Nsd
from tests.peers.pebble import Pebble

BACKEND = f"http://{addresses.BACKEND}:9"
PASSED_ON = f"{addresses.BACKEND}:9"
ZONE = f"{CHALLENGE_LABELS[0]}.{addresses.DOMAIN}"


@pytest.fixture
def ca(pebble: Pebble) -> Iterator[FaultProxy]:
    with FaultProxy(pebble) as proxy:
        yield proxy


def settings(ca: FaultProxy, **acme: Any) -> dict[str, Any]:
    values = copy.deepcopy(appliances.settings(ca))
    values["acme"] |= acme
    return values


def issued(one: Appliance, host: str, seconds: float) -> https.Certificate:
    """The certificate served for a host once it is one of the CA's."""

    def served() -> https.Certificate:
        found = https.certificate_served(host)
        if "Pebble" not in found.issuer:
            raise PeerError(f"{host} is served by {found.issuer}\n{one.must('certs')}")
        return found

    return await_result(served, f"{host} has its certificate", seconds=seconds, log=one.program.end_of_log)


def withheld(one: Appliance, identity: str, words: str, seconds: float = 20) -> str:
    """The reason why a workload's certificate is not ordered, once these words are in it."""

    def reason() -> str:
        found = str(one.must("route", "show", identity)["certificate"]["reason"])
        if words not in found:
            raise PeerError(found)
        return found

    return await_result(reason, f"{identity} says {words!r}", seconds=seconds, log=one.program.end_of_log)


def test_names_that_do_not_resolve_cost_no_order_whatever_else_changes(
    new_appliance: MakeAppliance, ca: FaultProxy, parent: Nsd, backend: MakeBackend
) -> None:
    one = new_appliance(settings(ca)).start()
    hosts = {f"late-{number}": f"late-{number}.customer.test" for number in range(5)}
    for identity, host in hosts.items():
        one.must("route", "fqdn", identity, host, backend("late").url)
    for identity in hosts:
        withheld(one, identity, "does not exist")
    for number in range(20):
        one.must("route", "name", f"other-{number}", f"other-{number}", BACKEND)
    issued(one, f"other-0.{addresses.DOMAIN}", 30)
    assert [asked.names for asked in ca.orders() if not set(asked.names) <= {"gw.test", "*.gw.test"}] == []
    assert len(ca.orders()) == 1
    before = {name: one.pid_of(name) for name in ("traefik", "gateway")}
    parent.replace({host: [f"A {addresses.GATEWAY}"] for host in hosts.values()})
    deadline = time.monotonic() + 45
    for host in hosts.values():
        issued(one, host, deadline - time.monotonic())
    assert {name: one.pid_of(name) for name in before} == before
    assert len(ca.orders()) == 1 + len(hosts)


def test_a_ca_that_is_down_at_the_start_is_asked_again_by_itself(
    new_appliance: MakeAppliance, ca: FaultProxy, backend: MakeBackend
) -> None:
    ca.stop()
    one = new_appliance(settings(ca)).start()
    one.must("route", "name", "blog", "blog", backend("blog").url)
    withheld(one, "blog", ca.url)
    ca.start()
    issued(one, f"blog.{addresses.DOMAIN}", 30)
    assert len(ca.orders()) == 1


def test_a_rate_limit_is_kept_to_the_second_and_then_ordered_again(
    new_appliance: MakeAppliance, ca: FaultProxy, parent: Nsd, backend: MakeBackend
) -> None:
    one = new_appliance(settings(ca, rate_limit_pause="25s")).start()
    parent.add_host("shop.customer.test")
    limit = ca.problem("rateLimited", "too many certificates already issued", status=429, times=1, retry_after="25")
    one.must("route", "fqdn", "shop", "shop.customer.test", backend("shop").url)
    reason = withheld(one, "shop", "too many requests")
    assert limit.struck == 1
    for number in itertools.count():
        if len(ca.orders()) > 1 or number >= 10:
            break
        one.must("route", "name", f"other-{number}", f"other-{number}", PASSED_ON, "--tls-passthrough")
    assert "by itself" in reason
    issued(one, "shop.customer.test", 45)
    first, second = (asked.at for asked in ca.orders("shop.customer.test"))
    assert second - first >= 25


@contextlib.contextmanager
def tcp_dropped(port: int) -> Iterator[None]:
    """Nobody answers on a TCP port of the gateway's address, as behind a firewall that knows DNS as UDP only."""
    rule = ["INPUT", "-p", "tcp", "-d", addresses.GATEWAY, "--dport", str(port), "-j", "DROP"]
    subprocess.run(["iptables", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-D", *rule], check=True)


@contextlib.contextmanager
def records(parent: Nsd, changes: dict[str, Iterable[str]]) -> Iterator[None]:
    """Other records in the parent zone for a while."""
    parent.replace(changes)
    try:
        yield
    finally:
        parent.replace(dict.fromkeys(changes, ()))
        parent.add_gateway()


BROKEN_LINKS: Mapping[str, tuple[Callable[[Nsd], contextlib.AbstractContextManager[None]], str]] = {
    "missing NS": (lambda parent: records(parent, {ZONE: []}), "NS"),
    "NS to another host": (
        lambda parent: records(
            parent, {ZONE: ["NS elsewhere.test."], "elsewhere.test": [f"A {addresses.OTHER_BACKEND}"]}
        ),
        "elsewhere.test",
    ),
    "TCP 53 blocked": (lambda _: tcp_dropped(53), "TCP"),
}


@pytest.mark.parametrize("link", BROKEN_LINKS)
def test_a_broken_delegation_is_named_and_costs_no_order_until_it_is_mended(
    new_appliance: MakeAppliance, ca: FaultProxy, parent: Nsd, backend: MakeBackend, link: str
) -> None:
    breaking, words = BROKEN_LINKS[link]
    with breaking(parent):
        one = new_appliance(settings(ca)).start()
        one.must("route", "name", "blog", "blog", backend("blog").url)
        withheld(one, "blog", words)
        one.must("route", "name", "news", "news", BACKEND)
        assert ca.orders() == []
        assert '"backend": "blog"' in https.fetch(f"blog.{addresses.DOMAIN}").body
    issued(one, f"blog.{addresses.DOMAIN}", 30)
    assert len(ca.orders()) == 1


def test_a_clock_that_is_wrong_is_said_and_causes_no_storm_of_orders(
    new_appliance: MakeAppliance, ca: FaultProxy, backend: MakeBackend
) -> None:
    ca.set_clock(86_400)
    one = new_appliance(settings(ca)).start()
    one.must("route", "name", "blog", "blog", backend("blog").url)
    withheld(one, "blog", "clock")
    for number in range(5):
        one.must("route", "name", f"other-{number}", f"other-{number}", BACKEND)
    assert ca.orders() == []
    ca.set_clock(0)
    issued(one, f"blog.{addresses.DOMAIN}", 90)
    assert len(ca.orders()) == 1


@pytest.mark.parametrize("fault", ["server error", "bad nonces", "cut"])
def test_the_authoritys_own_troubles_are_waited_out(
    new_appliance: MakeAppliance, ca: FaultProxy, parent: Nsd, backend: MakeBackend, fault: str
) -> None:
    one = new_appliance(settings(ca)).start()
    parent.add_host("shop.customer.test")
    faults: Mapping[str, Callable[[], object]] = {
        "server error": lambda: ca.server_error(times=1),
        "bad nonces": lambda: ca.bad_nonces(times=1),
        "cut": lambda: ca.cut(times=1),
    }
    faults[fault]()
    one.must("route", "fqdn", "shop", "shop.customer.test", backend("shop").url)
    issued(one, "shop.customer.test", 45)


def test_a_failure_outlives_a_crash_of_the_control_plane(
    new_appliance: MakeAppliance, ca: FaultProxy, parent: Nsd, backend: MakeBackend
) -> None:
    one = new_appliance(settings(ca)).start()
    parent.add_host("shop.customer.test")
    ca.problem("unauthorized", "the account may not order this", status=403)
    one.must("route", "fqdn", "shop", "shop.customer.test", backend("shop").url)
    reason = withheld(one, "shop", "the last order failed")
    orders = len(ca.orders())
    pid = one.kill_program("gateway")
    one.until_replaced("gateway", pid)
    assert withheld(one, "shop", "the last order failed") == reason
    one.must("route", "name", "other", "other", PASSED_ON, "--tls-passthrough")
    assert len(ca.orders()) == orders == 1


@pytest.mark.timeout(240)
def test_a_certificate_is_renewed_under_load_without_a_failed_request(
    new_appliance: MakeAppliance, resolver: object, tmp_path_factory: pytest.TempPathFactory, backend: MakeBackend
) -> None:
    ca = Pebble(tmp_path_factory.mktemp("pebble"), validity_seconds=1200)
    try:
        values = appliances.settings(ca)
        values["acme"]["certificate_hours"] = 1
        one = new_appliance(values).start()
        host = f"blog.{addresses.DOMAIN}"
        one.must("route", "name", "blog", "blog", backend("blog").url)
        before = issued(one, host, 30)
        with Load(host, expect='"backend": "blog"', ca=ca.root_pem(), keep_alive=False) as load:

            def renewed() -> https.Certificate:
                found = https.certificate_served(host)
                if found.serial == before.serial:
                    raise PeerError(f"still {found.serial}")
                return found

            await_result(renewed, "another serial is served", seconds=120, log=one.program.end_of_log)
            assert load.until_more(50).failures == 0
    finally:
        ca.stop()


def test_traefik_that_dies_during_an_order_orders_again_once_and_is_served(
    new_appliance: MakeAppliance, ca: FaultProxy, parent: Nsd, backend: MakeBackend
) -> None:
    one = new_appliance(settings(ca)).start()
    parent.add_host("shop.customer.test")
    stalled = ca.stall(times=1)
    one.must("route", "fqdn", "shop", "shop.customer.test", backend("shop").url)
    await_result(lambda: stalled.struck or None, "the order is under way", seconds=20)
    os.kill(one.pid_of("traefik"), signal.SIGKILL)
    issued(one, "shop.customer.test", 45)
    assert len(ca.orders()) == 2
