"""Before Traefik starts, its certificate stores are repaired, reported, and rid of what nobody uses."""

import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.adapters.store_files import StoreRecordFiles, snapshots_of
from appliance.launch import stores
from appliance.layout import Root
from appliance.model.certificate_ledger import CertificateLedger, Holding
from appliance.model.store_repairs import Restored
from tests import stored

SHOP = stored.entry("shop.customer.com", serial=1)
NEWS = stored.entry("news.customer.com", serial=2)
WILD = stored.entry("gw.example.com", "*.gw.example.com", serial=3)
NOW = 1_800_000_000.0
GRACE = 100.0


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_ACCOUNT_KEY_BITS", 1024)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path)
    root.create()
    resolvers = {
        resolver: {"acme": {"email": "ops@example.com", "storage": str(path)}}
        for resolver, path in (("resolver", root.http_store), ("dnsresolver", root.dns_store))
    }
    root.static_configuration.write_text(yaml.safe_dump({"certificatesResolvers": resolvers}), encoding="utf-8")
    put(root.dns_store, stored.text(WILD, resolver="dnsresolver"))
    return root


def put(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def remember(root: Root, *contents: bytes) -> None:
    """As the control plane does: a snapshot of each, a minute apart."""
    snapshots = snapshots_of(root, root.http_store)
    for number, content in enumerate(contents):
        snapshots.take(content, NOW - 3600 + 60 * number)


def know(root: Root, *holdings: Holding, workloads: int = 0) -> None:
    records(root).save(CertificateLedger(holdings, GRACE, workloads))


def records(root: Root) -> StoreRecordFiles:
    return StoreRecordFiles(root.certificates, root.restored)


def check(root: Root) -> list[Restored]:
    """What was reported."""
    before = len(records(root).restored())
    stores.check(root, lambda: NOW)
    return list(records(root).restored()[before:])


def mains(path: Path) -> list[str]:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (section,) = json.loads(path.read_bytes()).values()
    assert section["Account"]["PrivateKey"]
    return [entry["domain"]["main"] for entry in section["Certificates"] or ()]


def quarantined(root: Root) -> list[bytes]:
    return [path.read_bytes() for path in root.quarantine.iterdir()]


WHOLE = stored.text(SHOP, NEWS)
DAMAGE: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "missing or empty"),
    "empty": (b"", "missing or empty"),
    "blank": (b"\n\n", "empty"),
    "cut off": (WHOLE[: len(WHOLE) // 2], "cut off"),
    "zeros": (b"\x00" * len(WHOLE), "cut off"),
    "another's": (stored.text(WILD, resolver="dnsresolver"), "not the store of"),
    "another program's": (b'{"version": 1}', "not the store of"),
    "its section only": (b'{"resolver": null}', "wrong form"),
}


@pytest.mark.parametrize(("content", "words"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_store_is_restored_from_the_newest_snapshot(root: Root, content: bytes | None, words: str) -> None:
    remember(root, stored.text(SHOP), WHOLE)
    if content is not None:
        put(root.http_store, content)
    (report,) = check(root)
    assert sorted(mains(root.http_store)) == ["news.customer.com", "shop.customer.com"]
    assert json.loads(root.http_store.read_bytes())["resolver"]["Account"] == stored.account()
    assert quarantined(root) == ([content] if content else [])
    assert words in report.wrong
    assert (report.store, report.when, report.ordered_anew) == ("acme.json", NOW, ())
    assert report.restored_from == NOW - 3540
    assert mains(root.dns_store) == ["gw.example.com"]


def test_a_store_cut_off_at_any_byte_is_whole_afterwards(root: Root) -> None:
    remember(root, WHOLE)
    for length in range(0, len(WHOLE), 97):
        put(root.http_store, WHOLE[:length])
        stores.check(root)
        assert sorted(mains(root.http_store)) == ["news.customer.com", "shop.customer.com"], length


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o400])
def test_a_wrong_mode_is_set_right_and_reported(root: Root, mode: int) -> None:
    put(root.http_store, WHOLE, mode)
    (report,) = check(root)
    assert root.http_store.read_bytes() == WHOLE
    assert f"{mode:04o}" in report.wrong
    assert (report.restored_from, report.ordered_anew) == (None, ())


def test_a_wrong_mode_and_damage_are_one_report(root: Root) -> None:
    remember(root, WHOLE)
    put(root.http_store, WHOLE[:50], 0o644)
    (report,) = check(root)
    assert "0644" in report.wrong
    assert "cut off" in report.wrong


def test_one_damaged_certificate_is_replaced_and_the_rest_is_as_it_was(root: Root) -> None:
    remember(root, WHOLE)
    put(root.http_store, stored.text(SHOP, NEWS | {"key": SHOP["key"]}))
    (report,) = check(root)
    assert json.loads(root.http_store.read_bytes()) == json.loads(WHOLE)
    assert "news.customer.com" in report.wrong
    assert report.ordered_anew == ()


def test_one_damaged_certificate_without_a_snapshot_is_dropped_and_told(root: Root) -> None:
    put(root.http_store, stored.text(SHOP, NEWS | {"key": SHOP["key"]}))
    (report,) = check(root)
    assert mains(root.http_store) == ["shop.customer.com"]
    assert report.ordered_anew == ("news.customer.com",)


def test_what_is_lost_is_told_and_what_nobody_used_is_not(root: Root) -> None:
    know(
        root,
        Holding("resolver", ("shop.customer.com",)),
        Holding("resolver", ("new.customer.com",)),
        Holding("resolver", ("old.customer.com",), NOW - 50),
        Holding("dnsresolver", ("gw.example.com", "*.gw.example.com")),
    )
    remember(root, stored.text(SHOP))
    (report,) = check(root)
    assert report.ordered_anew == ("new.customer.com",)


def test_a_damaged_snapshot_is_passed_over(root: Root) -> None:
    remember(root, stored.text(SHOP), WHOLE)
    newest = max((root.snapshots / "acme").iterdir(), key=lambda path: path.name.split("-")[1])
    newest.write_bytes(WHOLE[:-20])
    (report,) = check(root)
    assert mains(root.http_store) == ["shop.customer.com"]
    assert report.restored_from == NOW - 3600


def test_a_store_that_was_never_there_is_no_news(root: Root) -> None:
    assert check(root) == []
    assert mains(root.http_store) == []


def test_a_whole_store_is_left_alone(root: Root) -> None:
    put(root.http_store, WHOLE)
    before = root.http_store.stat()
    for _ in range(2):
        assert check(root) == []
        assert root.http_store.stat().st_mtime_ns == before.st_mtime_ns
        remember(root, WHOLE)


def test_a_store_that_is_a_link_stays_one(root: Root, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    put(elsewhere / "store.json", WHOLE[:100])
    root.http_store.symlink_to(elsewhere / "store.json")
    remember(root, WHOLE)
    assert check(root)
    assert root.http_store.is_symlink()
    assert len(mains(root.http_store)) == 2


@pytest.mark.parametrize("kind", ["directory", "pipe", "link to nowhere"])
def test_something_else_in_its_place_is_replaced(root: Root, kind: str, tmp_path: Path) -> None:
    remember(root, WHOLE)
    match kind:
        case "directory":
            root.http_store.mkdir()
        case "pipe":
            os.mkfifo(root.http_store)
        case _:
            root.http_store.symlink_to(tmp_path / "missing" / "store.json")
    assert len(check(root)) == 1
    assert len(mains(root.http_store)) == 2


def test_a_full_quarantine_does_not_keep_a_store_from_being_restored(root: Root) -> None:
    remember(root, WHOLE)
    put(root.http_store, b"damaged")
    root.quarantine.rmdir()
    assert check(root)
    assert len(mains(root.http_store)) == 2


def test_what_cannot_be_repaired_does_not_keep_traefik_down(root: Root) -> None:
    remember(root, WHOLE)
    (root.snapshots / "acme").rename(root.snapshots / "elsewhere")
    (root.snapshots / "acme").touch()
    put(root.http_store, b"damaged")
    stores.check(root)
    assert mains(root.dns_store) == ["gw.example.com"]


DUE = Holding("resolver", ("news.customer.com",), NOW - GRACE - 1)
NOT_DUE = Holding("resolver", ("shop.customer.com",), NOW - GRACE + 1)


def test_what_nobody_used_for_the_grace_time_is_dropped(root: Root) -> None:
    put(root.http_store, WHOLE)
    know(root, DUE, NOT_DUE)
    assert check(root) == []
    assert mains(root.http_store) == ["shop.customer.com"]
    assert json.loads(root.http_store.read_bytes()) == json.loads(stored.text(SHOP))


def test_what_comes_back_from_a_snapshot_and_is_due_is_dropped_too(root: Root) -> None:
    remember(root, WHOLE)
    know(root, DUE, NOT_DUE)
    assert check(root)
    assert mains(root.http_store) == ["shop.customer.com"]


def write(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("case", ["no ledger", "damaged ledger", "ledger of another version", "clock behind"])
def test_without_a_ledger_nothing_is_dropped(root: Root, case: str) -> None:
    put(root.http_store, WHOLE)
    know(root, DUE)
    match case:
        case "no ledger":
            root.certificates.unlink()
        case "damaged ledger":
            root.certificates.write_bytes(root.certificates.read_bytes()[:-20])
        case "ledger of another version":
            document: dict[str, Any] = json.loads(root.certificates.read_bytes())
            root.certificates.write_text(json.dumps(document | {"format": 99}), encoding="utf-8")
        case _:
            stores.check(root, lambda: NOW - 2 * GRACE)
            assert len(mains(root.http_store)) == 2
            return
    check(root)
    assert len(mains(root.http_store)) == 2


@pytest.mark.parametrize("case", ["gone", "empty", "unreadable entry"])
def test_when_the_workloads_are_gone_nothing_is_dropped(root: Root, case: str) -> None:
    put(root.http_store, WHOLE)
    know(root, DUE, workloads=3)
    match case:
        case "gone":
            root.workloads.rmdir()
        case "unreadable entry":
            (root.workloads / "strange.yaml").mkdir()
        case _:
            pass
    check(root)
    assert len(mains(root.http_store)) == 2


@pytest.mark.parametrize("directory", ["workloads", "proxy"])
def test_what_a_workload_or_route_speaks_of_now_is_not_dropped(root: Root, directory: str) -> None:
    """The ledger may be older than the workload that came back."""
    put(root.http_store, WHOLE)
    know(root, DUE, workloads=1)
    write(root.workloads, "other.yaml", "{}")
    write(root.path / directory, "w.yaml", "fqdn: News.Customer.com\n")
    stores.check(root, lambda: NOW)
    assert len(mains(root.http_store)) == 2
    (root.path / directory / "w.yaml").unlink()
    stores.check(root, lambda: NOW)
    assert mains(root.http_store) == ["shop.customer.com"]


def test_nothing_is_dropped_from_a_store_of_the_other_resolver(root: Root) -> None:
    put(root.http_store, WHOLE)
    know(root, Holding("dnsresolver", ("news.customer.com",), 0.0))
    check(root)
    assert len(mains(root.http_store)) == 2


def test_at_most_ten_snapshots_are_kept_and_none_twice(root: Root) -> None:
    snapshots = snapshots_of(root, root.http_store)
    texts = [stored.text(SHOP | {"Store": str(number)}) for number in range(15)]
    for text in texts:
        assert snapshots.take(text, time.time())
        assert not snapshots.take(text, time.time())
    assert [snapshots.has(text) for text in texts] == [False] * 5 + [True] * 10
    paths = list((root.snapshots / "acme").iterdir())
    assert len(paths) == 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert stat.S_IMODE((root.snapshots / "acme").stat().st_mode) == 0o700


def test_the_report_keeps_the_last_twenty(root: Root) -> None:
    kept = records(root)
    for number in range(25):
        kept.report([Restored("acme.json", float(number), "x", None, ("a.test",))])
    assert [one.when for one in kept.restored()] == [float(number) for number in range(5, 25)]
    root.restored.write_bytes(b"[{")
    assert kept.restored() == ()
    kept.report([Restored("acme.json", 1.0, "x", 2.0, ())])
    assert list(kept.restored()) == [Restored("acme.json", 1.0, "x", 2.0, ())]


def test_the_ledger_is_read_as_it_was_saved(root: Root) -> None:
    ledger = CertificateLedger((DUE, NOT_DUE, Holding("dnsresolver", ("a", "*.a"))), 5.0, 3, 17.5)
    records(root).save(ledger)
    assert records(root).load() == ledger
