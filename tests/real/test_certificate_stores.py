"""Whatever becomes of Traefik's stores: the same certificates are served, and nothing is ordered in vain."""

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters.supervisor_rpc import SupervisorRpc
from tests.peers import appliance as appliances
from tests.peers import https
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.launching import await_result
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble
from tests.peers.unbound import Unbound

SHOP, NEWS = "shop.customer.test", "news.customer.test"
BLOG = "blog.gw.test"
CUTS = 50
CUTS_PER_ROUND = 10
TWENTY_MINUTES = 1200


@pytest.fixture
def forgetful_pebble(resolver: Unbound, tmp_path: Path) -> Iterator[Pebble]:
    """A CA whose certificates last so short that Traefik renews them a minute after it has them."""
    ca = Pebble(tmp_path, validity_seconds=TWENTY_MINUTES)
    yield ca
    ca.stop()


class Served:
    """An appliance with a name proxy and an FQDN proxy, and the certificates they are served with."""

    def __init__(self, one: Appliance, ca: Pebble) -> None:
        self.one = one
        self.ca = ca
        self.programs = SupervisorRpc(one.root / "run" / "supervisor.sock")
        self.serials = {host: self.serial(host) for host in (BLOG, SHOP)}
        self.until_kept()
        ca.count_from_here()

    def serial(self, host: str) -> int:
        answer = self.one.program.until(
            lambda: https.fetch(host, ca=self.ca.root_pem()), f"{host} is served as trusted", seconds=40
        )
        assert answer.certificate is not None
        return answer.certificate.serial

    def until_kept(self) -> None:
        """Wait until the newest snapshot of each store is the store."""
        for store in ("acme", "acme2"):
            path = self.one.root / "traefik" / f"{store}.json"

            def same(store: str = store, path: Path = path) -> bool:
                kept = sorted((self.one.root / "state" / "acme" / store).glob("*.json"), key=number_of)
                return bool(kept) and kept[-1].read_bytes() == path.read_bytes()

            await_result(same, f"a snapshot of {store}.json", seconds=20, log=self.one.program.end_of_log)

    def restart_traefik(self, damage: Callable[[], object] = lambda: None) -> None:
        """Stop it, do something to its files, start it, and wait until it answers."""
        self.programs.stop("traefik")
        damage()
        self.programs.start("traefik")
        await_result(lambda: self.one.traefik("version"), "Traefik answers", seconds=20)

    def is_as_before(self) -> None:
        """The very same certificates are served, and there was no order for it."""
        assert {host: self.serial(host) for host in self.serials} == self.serials
        assert self.ca.orders() == 0


def number_of(path: Path) -> int:
    return int(path.name.split("-")[1])


def route(one: Appliance, parent: Nsd, host: str, url: str) -> None:
    parent.add_host(host)
    identity = host.replace(".", "-")
    one.cli("route", "fqdn", identity, host, url)
    one.until_state(identity, "applied")  # the verdict about its certificate may make it pending once more


@pytest.fixture
def served(appliance: Appliance, parent: Nsd, pebble: Pebble, backend: MakeBackend) -> Served:
    url = backend("blue").url
    appliance.must("route", "name", "1-5-blog", "blog", url)
    route(appliance, parent, SHOP, url)
    return Served(appliance, pebble)


def store(one: Appliance, name: str = "acme.json") -> Path:
    return one.root / "traefik" / name


def mains(one: Appliance, name: str = "acme.json") -> set[str]:
    """What is in a store. Traefik writes in place, so it may be empty for a moment."""
    found = await_result(lambda: whole(store(one, name)), f"{name} is whole")
    (section,) = found.values()
    return {entry["domain"]["main"] for entry in section["Certificates"] or ()}


def whole(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_bytes()))
    except ValueError:
        return None


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(CUTS // CUTS_PER_ROUND))
def test_a_store_cut_off_anywhere_is_restored_without_an_order(served: Served, seed: int) -> None:
    chance = random.Random(seed)
    contents = {name: store(served.one, name).read_bytes() for name in ("acme.json", "acme2.json")}
    for _ in range(CUTS_PER_ROUND):
        name = chance.choice(sorted(contents))
        length = chance.randrange(len(contents[name]))
        served.restart_traefik(lambda: store(served.one, name).write_bytes(contents[name][:length]))  # noqa: B023
        served.is_as_before()
    notices = await_result(lambda: told(served.one, "was repaired"), "the repairs are told", seconds=30)
    assert any("no certificate was lost" in notice for notice in notices)


def told(one: Appliance, words: str) -> list[str]:
    return [notice for notice in one.status()["notices"] if words in notice]


def with_key_of(raw: bytes, other: bytes) -> bytes:
    """A store with the key of its one certificate replaced by that of the other store's."""
    document: dict[str, Any] = json.loads(raw)
    (own,), (foreign,) = document.values(), json.loads(other).values()
    own["Certificates"][0]["key"] = foreign["Certificates"][0]["key"]
    return json.dumps(document).encode()


DAMAGE: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "mode 0644": (lambda own, _: own.chmod(0o644), "0644"),
    "empty": (lambda own, _: own.write_bytes(b""), "missing or empty"),
    "missing": (lambda own, _: own.unlink(), "missing or empty"),
    "another's": (lambda own, other: own.write_bytes(other.read_bytes()), "not the store of"),
    "no object": (lambda own, _: own.write_bytes(b"[]"), "wrong form"),
    "another's key": (
        lambda own, other: own.write_bytes(with_key_of(own.read_bytes(), other.read_bytes())),
        "its key is not the certificate's",
    ),
}


@pytest.mark.timeout(200)
def test_a_store_damaged_in_any_other_way_is_restored_without_an_order_and_told(served: Served) -> None:
    own, other = store(served.one), store(served.one, "acme2.json")
    for what, (damage, words) in DAMAGE.items():
        served.restart_traefik(lambda: damage(own, other))  # noqa: B023
        served.is_as_before()
        assert own.stat().st_mode & 0o777 == 0o600, what
        await_result(lambda: told(served.one, words), f"{what} is told", seconds=30)  # noqa: B023


@pytest.mark.timeout(200)
def test_a_running_traefiks_store_is_set_right_and_told_and_its_next_start_restores_it(served: Served) -> None:
    """Nothing but its next start can help a damaged store, and the snapshots stay good until then."""
    own = store(served.one)
    own.chmod(0o666)
    await_result(lambda: own.stat().st_mode & 0o777 == 0o600, "the mode is set right")
    await_result(lambda: told(served.one, "0666"), "the mode is told", seconds=20)
    own.write_bytes(own.read_bytes()[:500])
    await_result(lambda: told(served.one, "traefik/acme.json is damaged"), "the damage is told", seconds=20)
    served.is_as_before()
    served.one.until_replaced("traefik", served.one.kill_program("traefik"))
    served.is_as_before()
    await_result(lambda: not told(served.one, "is damaged"), "the damage is over", seconds=20)


@pytest.mark.timeout(200)
def test_the_whole_appliance_started_on_damaged_stores_serves_the_same_certificates(served: Served) -> None:
    served.one.stop()
    for name in ("acme.json", "acme2.json"):
        path = store(served.one, name)
        path.write_bytes(path.read_bytes()[:-30])
    served.one.start()
    served.is_as_before()


@pytest.mark.timeout(200)
def test_a_workload_that_comes_back_within_the_grace_time_orders_nothing(
    served: Served, parent: Nsd, backend: MakeBackend
) -> None:
    served.one.must("route", "delete", SHOP.replace(".", "-"))
    until_unused(served.one, SHOP)
    served.restart_traefik()
    assert SHOP in mains(served.one)
    route(served.one, parent, SHOP, backend("green").url)
    served.is_as_before()


def until_unused(one: Appliance, host: str) -> float:
    """Since when its certificate is not used."""

    def since() -> float | None:
        found = json.loads((one.root / "state" / "certificates.json").read_bytes())
        return next((entry["unused_since"] for entry in found["holdings"] if entry["asked"] == [host]), None)

    return await_result(since, f"{host} is unused", seconds=30)


def with_grace(ca: Pebble, **own: object) -> dict[str, Any]:
    values = appliances.settings(ca)
    values["certificates"] = {"grace": "1s", **own}
    values["acme"]["certificate_hours"] = 1
    return values


@pytest.mark.timeout(300)
def test_what_is_deleted_is_dropped_after_the_grace_time_and_not_renewed(
    new_appliance: MakeAppliance, forgetful_pebble: Pebble, parent: Nsd, backend: MakeBackend
) -> None:
    ca = forgetful_pebble
    one = new_appliance(with_grace(ca)).start()
    url = backend("blue").url
    one.must("route", "name", "1-5-blog", "blog", url)
    for host in (SHOP, NEWS):
        route(one, parent, host, url)
        ca.until_issued(host)
    served = Served(one, ca)
    one.must("route", "delete", "1-5-blog")
    one.must("route", "delete", SHOP.replace(".", "-"))
    since = until_unused(one, SHOP)
    await_result(lambda: time.time() > since + 1, "the grace time is over")
    assert SHOP in mains(one), "a running Traefik's store is not touched"
    served.restart_traefik()
    assert mains(one) == {NEWS}
    assert mains(one, "acme2.json") == {"gw.test"}, "the domain is still set"
    ca.count_from_here()
    for _ in range(2):
        ca.until_issued(NEWS, seconds=150)
        assert (SHOP,) not in ca.issued()
        assert SHOP not in mains(one)


@pytest.mark.timeout(300)
def test_in_the_quiet_hour_traefik_is_restarted_to_drop_what_is_due(
    new_appliance: MakeAppliance, pebble: Pebble, parent: Nsd, backend: MakeBackend
) -> None:
    one = new_appliance(with_grace(pebble, quiet_hour=time.localtime(time.time() + 90).tm_hour)).start()
    for host in (SHOP, NEWS):
        route(one, parent, host, backend("blue").url)
        pebble.until_issued(host)
    await_result(lambda: mains(one) == {SHOP, NEWS}, "both are stored", seconds=20)
    before = one.pid_of("traefik")
    one.must("route", "delete", SHOP.replace(".", "-"))
    one.until_replaced("traefik", before, seconds=180)
    await_result(lambda: mains(one) == {NEWS}, "it is dropped", seconds=20)
    pebble.count_from_here()
    one.program.until(lambda: https.fetch(NEWS, ca=pebble.root_pem()).status == 200, "it is served again")
    assert pebble.orders() == 0
