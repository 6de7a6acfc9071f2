"""While Traefik runs: whole stores become snapshots, damaged ones are told of, and what is used is accounted for."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import atomic
from appliance.adapters.store_files import StoreRecordFiles, TraefikStore, snapshots_of
from appliance.control import stores
from appliance.control.stores import CertificateStores
from appliance.layout import Root
from appliance.model.certificate_ledger import Keeping
from appliance.model.store_repairs import Restored
from tests import stored
from tests.fakes import until
from tests.plane import NO_PUBLIC, Plane, fqdn, name

SHOP = stored.entry("shop.customer.com", serial=1)
NEWS = stored.entry("news.customer.com", serial=2)
WILD = stored.entry("gw.example.com", "*.gw.example.com", serial=3)
BOTH = stored.text(SHOP, NEWS)
GRACE = 1000.0


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(stores, "_SETTLING_SECONDS", 0.01)
    monkeypatch.setattr(stores, "_PATIENCE_SECONDS", 0.1)


class Bench:
    """The use case over real files, on a clock that is set by hand, with a Traefik that only counts its restarts."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.plane = Plane()
        self.plane.start()
        self.now = 1_800_000_000.0
        self.keeping = Keeping(True, ("gw.example.com",), GRACE, None)
        self.restarts = 0
        self.failures: list[BaseException] = []
        self.records = StoreRecordFiles(root.certificates, root.restored)
        self.begin()

    def begin(self) -> None:
        paths = {"resolver": self.root.http_store, "dnsresolver": self.root.dns_store}
        self.stores = CertificateStores(
            files=[TraefikStore(name, path, snapshots_of(self.root, path)) for name, path in paths.items()],
            records=self.records,
            applier=self.plane.applier,
            additions=self.plane.fragments,
            keeping=lambda: self.keeping,
            restart=self._restart,
            clock=lambda: self.now,
        )
        self.stores.start(self.failures.append)

    def _restart(self) -> bool:
        self.restarts += 1
        return True

    def end(self) -> None:
        self.stores.stop()
        self.plane.stop()
        assert not self.failures

    def write(self, content: bytes, *, dns: bool = False) -> None:
        """As Traefik does: in place."""
        path = self.root.dns_store if dns else self.root.http_store
        path.touch(0o600)
        path.write_bytes(content)
        self.stores.look(frozenset({path.name}))

    def snapshots(self) -> list[bytes]:
        """Oldest first."""
        directory = self.root.snapshots / "acme"
        paths = sorted(directory.iterdir(), key=lambda it: it.name.split("-")[1]) if directory.exists() else []
        return [path.read_bytes() for path in paths]

    def mains(self) -> set[str]:
        return {certificate.main for certificate in self.stores.stored_certificates()}

    def unused(self) -> dict[str, float]:
        return {certificate.main: since for certificate, since in self.stores.unused().items()}

    def turn(self) -> None:
        """Wait until everything was looked at after this moment."""
        count = self.looks
        until(lambda: self.looks > count + 1)

    looks = 0


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    root = Root(tmp_path)
    root.create()
    found = Bench(root)
    keep_account = CertificateStores._keep_account

    def counting(self: CertificateStores) -> None:
        keep_account(self)
        found.looks += 1

    monkeypatch.setattr(CertificateStores, "_keep_account", counting)
    yield found
    found.end()


def test_every_whole_content_becomes_a_snapshot_once(bench: Bench) -> None:
    bench.write(stored.text(SHOP))
    until(lambda: len(bench.snapshots()) == 1)
    bench.write(BOTH)
    until(lambda: len(bench.snapshots()) == 2)
    bench.write(BOTH)
    bench.turn()
    assert bench.snapshots() == [stored.text(SHOP), BOTH]
    assert bench.mains() == {"shop.customer.com", "news.customer.com"}


@pytest.mark.parametrize("content", [b"", BOTH[:-3], b"{}", stored.text(SHOP, resolver="other"), b"\x00" * 99])
def test_what_is_not_whole_never_becomes_a_snapshot_and_is_told_when_it_lasts(bench: Bench, content: bytes) -> None:
    bench.write(BOTH)
    until(lambda: len(bench.snapshots()) == 1)
    bench.write(content)
    until(lambda: any("traefik/acme.json is damaged" in notice for notice in bench.stores.notices()))
    assert bench.snapshots() == [BOTH]
    assert bench.mains() == {"shop.customer.com", "news.customer.com"}
    bench.write(stored.text(SHOP))
    until(lambda: not bench.stores.notices())
    assert bench.snapshots() == [BOTH, stored.text(SHOP)]


def test_a_store_that_is_being_written_is_no_news(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_PATIENCE_SECONDS", 10.0)
    bench.write(BOTH)
    until(lambda: len(bench.snapshots()) == 1)
    bench.write(b"")
    assert bench.stores.notices() == []
    bench.write(stored.text(SHOP))
    until(lambda: len(bench.snapshots()) == 2)
    assert bench.stores.notices() == []


def test_a_missing_store_is_told_if_it_was_there_once(bench: Bench) -> None:
    bench.turn()
    assert bench.stores.notices() == []
    bench.write(BOTH)
    until(lambda: len(bench.snapshots()) == 1)
    bench.root.http_store.unlink()
    until(lambda: any("missing" in notice for notice in bench.stores.notices()))
    bench.write(BOTH)
    until(lambda: not bench.stores.notices())


def test_a_wrong_mode_is_set_right_and_told_for_a_day(bench: Bench) -> None:
    bench.write(BOTH)
    bench.root.http_store.chmod(0o644)
    bench.stores.look()
    until(lambda: bench.root.http_store.stat().st_mode & 0o777 == 0o600)
    until(lambda: any("0644" in notice for notice in bench.stores.notices()))
    bench.now += 86401
    assert bench.stores.notices() == []


def test_a_snapshot_that_cannot_be_written_is_told_and_taken_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write", full)
        bench.write(BOTH)
        until(lambda: any("No space left" in notice for notice in bench.stores.notices()))
    until(lambda: len(bench.snapshots()) == 1)
    until(lambda: not bench.stores.notices())


def test_repairs_are_told_for_a_day(bench: Bench) -> None:
    repair = Restored("acme.json", bench.now, "it was missing or empty", 5.0, ())
    bench.records.report([repair])
    until(lambda: bench.stores.restored() == (repair,))
    assert bench.stores.notices() == [repair.sentence()]
    bench.plane.gateway._stores = bench.stores
    assert repair.sentence() in bench.plane.gateway.status()["notices"]
    bench.now += 86401
    assert bench.stores.notices() == []
    assert bench.stores.restored() == (repair,)


def test_what_no_workload_uses_is_unused_from_when_that_began(bench: Bench) -> None:
    bench.plane.put(fqdn("1-shop", "shop.customer.com"), fqdn("1-news", "news.customer.com"))
    bench.write(BOTH)
    until(lambda: len(bench.mains()) == 2)
    bench.turn()
    assert bench.unused() == {}
    bench.now += 50
    bench.plane.store.remove("1-news")
    bench.plane.look()
    until(lambda: bench.unused() == {"news.customer.com": bench.now})
    bench.now += 50
    bench.turn()
    assert bench.unused() == {"news.customer.com": bench.now - 50}
    assert bench.records.load().due(bench.now + GRACE)
    bench.plane.put(fqdn("1-news", "news.customer.com"))
    until(lambda: bench.unused() == {})
    until(lambda: not bench.records.load().due(bench.now + 10 * GRACE))


def test_since_when_survives_a_restart(bench: Bench) -> None:
    bench.write(BOTH)
    until(lambda: len(bench.unused()) == 2)
    since = bench.unused()
    bench.stores.stop()
    bench.now += 500
    bench.begin()
    until(lambda: bench.unused() == since)


def test_a_gateway_domains_certificate_is_used_as_long_as_the_domain_is_set(bench: Bench) -> None:
    bench.write(stored.text(WILD, resolver="dnsresolver"), dns=True)
    until(lambda: bench.mains() == {"gw.example.com"})
    bench.turn()
    assert bench.unused() == {}
    bench.keeping = dataclasses.replace(bench.keeping, domains=())
    until(lambda: set(bench.unused()) == {"gw.example.com"})


def test_without_public_settings_nothing_begins_to_be_unused(bench: Bench) -> None:
    bench.plane.put(fqdn("1-shop", "shop.customer.com"))
    bench.write(BOTH)
    until(lambda: set(bench.unused()) == {"news.customer.com"})
    bench.keeping = dataclasses.replace(bench.keeping, is_gateway=False, domains=())
    bench.plane.applier.reconfigure(NO_PUBLIC)
    bench.plane.look()
    bench.turn()
    assert set(bench.unused()) == {"news.customer.com"}


def test_a_workload_with_passthrough_uses_no_certificate(bench: Bench) -> None:
    item = dataclasses.replace(fqdn("1-shop", "shop.customer.com", "https://10.1.2.3"), tls_passthrough=True)
    bench.plane.put(item)
    bench.write(BOTH)
    until(lambda: len(bench.unused()) == 2)


def test_a_workload_in_quarantine_uses_its_certificate(bench: Bench) -> None:
    bench.plane.put(fqdn("1-shop", "shop.customer.com", "http://127.0.0.1"))
    bench.write(BOTH)
    until(lambda: set(bench.unused()) == {"news.customer.com"})


def test_what_an_operators_fragment_speaks_of_is_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.plane.fragments, "files", lambda: {"x.yaml": '{"main": "News.customer.com"}'})
    bench.write(BOTH)
    until(lambda: set(bench.unused()) == {"shop.customer.com"})


def test_workloads_that_vanish_at_once_leave_their_certificates_used(bench: Bench) -> None:
    bench.plane.put(*(fqdn(f"1-{number}", f"h{number}.customer.com") for number in range(30)))
    bench.write(stored.text(stored.entry("h7.customer.com")))
    until(lambda: bench.mains() == {"h7.customer.com"})
    for number in range(30):
        bench.plane.store.remove(f"1-{number}")
    bench.plane.look()
    assert bench.plane.applier.trouble()
    bench.turn()
    assert bench.unused() == {}
    bench.plane.gateway.prune()
    until(lambda: set(bench.unused()) == {"h7.customer.com"})


def test_users_are_the_workloads_a_certificate_covers(bench: Bench) -> None:
    bench.plane.put(name("1-a"), name("1-b"), fqdn("1-shop", "shop.customer.com"))
    bench.write(BOTH)
    bench.write(stored.text(WILD, resolver="dnsresolver"), dns=True)
    until(lambda: len(bench.mains()) == 3)
    found = {certificate.main: bench.stores.users(certificate) for certificate in bench.stores.stored_certificates()}
    assert found == {
        "shop.customer.com": ("1-shop",),
        "news.customer.com": (),
        "gw.example.com": ("1-a", "1-b"),
    }


def test_traefik_is_restarted_once_in_the_quiet_hour_and_only_when_something_is_due(bench: Bench) -> None:
    bench.keeping = dataclasses.replace(bench.keeping, quiet_hour=time.localtime(bench.now).tm_hour)
    bench.write(BOTH)
    until(lambda: len(bench.unused()) == 2)
    bench.turn()
    assert bench.restarts == 0
    bench.now += 24 * 3600
    until(lambda: bench.restarts == 1)
    bench.turn()
    assert bench.restarts == 1
    bench.stores.stop()
    bench.begin()
    bench.turn()
    assert bench.restarts == 1


def test_without_a_quiet_hour_traefik_is_never_restarted(bench: Bench) -> None:
    bench.write(BOTH)
    until(lambda: len(bench.unused()) == 2)
    bench.now += 24 * 3600
    bench.turn()
    assert bench.restarts == 0
