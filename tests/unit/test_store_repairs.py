"""What becomes of a damaged certificate store."""

import json
from typing import Any

import pytest

from appliance.model import certificate_stores, store_repairs
from appliance.model.certificate_stores import Store
from appliance.model.store_repairs import Restored, Snapshot
from tests import stored

A = stored.entry("a.customer.com", serial=1)
A_RENEWED = stored.entry("a.customer.com", serial=11, days=stored.DAYS + 60)
B = stored.entry("b.customer.com", serial=2)
C = stored.entry("c.customer.com", serial=3)
BROKEN_A = A | {"key": B["key"]}


def store(*entries: dict[str, Any], owner: Any = None, cut: int = 0) -> Store:
    raw = json.dumps(stored.document(*entries, owner=owner), indent=2).encode()
    return certificate_stores.read(raw[: len(raw) - cut], "resolver")


def serials(repair: store_repairs.Repair) -> list[str]:
    return [certificate.serial for certificate in repair.store.certificates]


NEW = Snapshot(2000.0, store(A, B))
OLD = Snapshot(1000.0, store(A, B, C))
NOTHING = certificate_stores.read(b"", "resolver")

CASES: dict[str, tuple[Store, list[Snapshot], list[str], float | None, tuple[str, ...]]] = {
    "lost altogether": (NOTHING, [NEW, OLD], ["1", "2"], 2000.0, ()),
    "lost altogether, without snapshots": (NOTHING, [], [], None, ()),
    "cut off at the end": (store(A, B, cut=10), [NEW, OLD], ["1", "2"], None, ()),
    "cut off in what no snapshot has yet": (store(A, C, cut=100), [NEW], ["1", "2"], 2000.0, ("c.customer.com",)),
    "cut off behind what no snapshot has yet": (store(C, A, cut=100), [NEW], ["1", "2", "3"], 2000.0, ()),
    "cut off behind a renewed one": (store(A_RENEWED, B, cut=100), [NEW], ["2", "b"], 2000.0, ()),
    "cut off, without snapshots": (store(A, B, cut=100), [], ["1"], None, ("b.customer.com",)),
    "one is damaged": (store(BROKEN_A, C), [NEW, OLD], ["1", "3"], 2000.0, ()),
    "one is damaged and in no snapshot": (store(BROKEN_A, C), [], ["3"], None, ("a.customer.com",)),
    "one is damaged and in an older snapshot": (store(C | {"key": ""}, B), [NEW, OLD], ["2", "3"], 1000.0, ()),
    "an entry is nothing at all": (store({}, B), [OLD], ["2"], None, ()),
    "the account is damaged": (store(B, owner={"PrivateKey": "%"}), [NEW, OLD], ["2"], 2000.0, ()),
}


@pytest.mark.parametrize(("found", "snapshots", "expected", "source", "lost"), CASES.values(), ids=CASES.keys())
def test_no_more_is_lost_than_was_damaged(
    found: Store, snapshots: list[Snapshot], expected: list[str], source: float | None, lost: tuple[str, ...]
) -> None:
    repair = store_repairs.repair(found, snapshots)
    assert sorted(serials(repair)) == sorted(expected)
    assert (repair.restored_from, repair.lost) == (source, lost)
    again = certificate_stores.read(repair.store.text().encode(), "resolver")
    assert again.faults == ()
    if snapshots or not found.fault:
        assert again.account == stored.account()


def test_names_known_otherwise_are_lost_too() -> None:
    repair = store_repairs.repair(NOTHING, [NEW], ["a.customer.com", "d.customer.com"])
    assert repair.lost == ("d.customer.com",)


def test_what_was_dropped_since_does_not_come_back_with_another_certificate() -> None:
    assert serials(store_repairs.repair(store(BROKEN_A), [OLD])) == ["1"]


def test_no_snapshot_is_read_that_is_not_needed() -> None:
    def snapshots() -> Any:
        yield NEW
        raise AssertionError("one too many")

    store_repairs.repair(store(A, cut=10), snapshots())
    store_repairs.repair(store(BROKEN_A), snapshots())


MANY = tuple(f"{number:02}.test" for number in range(12))
TOLD = {
    Restored("acme.json", 86400.0, "it was missing or empty", 3600.0, ()): (
        "acme.json was repaired at 1970-01-02 00:00:00 UTC from the snapshot of 1970-01-01 01:00:00 UTC, "
        "because it was missing or empty; no certificate was lost"
    ),
    Restored("acme2.json", 86400.0, "it is cut off", None, MANY): (
        "acme2.json was repaired at 1970-01-02 00:00:00 UTC, because it is cut off; to be ordered anew: 00.test, "
        "01.test, 02.test, 03.test, 04.test, 05.test, 06.test, 07.test, 08.test, 09.test and 2 more"
    ),
}


@pytest.mark.parametrize(("restored", "words"), TOLD.items())
def test_a_repair_is_told_in_plain_words(restored: Restored, words: str) -> None:
    assert restored.sentence() == words
