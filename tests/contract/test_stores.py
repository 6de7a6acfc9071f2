"""The promises of `WorkloadStore` and `AcceptedStore`, kept by the fake and by the files."""

from pathlib import Path

import pytest

from appliance.adapters.files import AcceptedFiles, WorkloadFiles
from appliance.control.ports import AcceptedStore, WorkloadStore
from appliance.model import workloads
from appliance.model.errors import InvalidInput
from appliance.model.workloads import Workload
from tests.fakes import FakeAcceptedStore, FakeWorkloadStore


def workload(identity: str, label: str = "blog") -> Workload:
    document = {"type": "gateway-name-proxy", "name": label, "backends": ["http://10.1.2.3:9000"]}
    return workloads.parse(identity, document)


class DamagingFiles(WorkloadFiles):
    """The files, with somebody who damages them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._place = directory

    def damage(self, identity: str, problem: str) -> None:
        """Write what is no workload."""
        (self._place / f"{identity}.yaml").write_text(f"[{problem}", encoding="utf-8")


@pytest.fixture(params=["fake", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FakeWorkloadStore | DamagingFiles:
    return FakeWorkloadStore() if request.param == "fake" else DamagingFiles(tmp_path)


@pytest.fixture(params=["fake", "files"])
def accepted(request: pytest.FixtureRequest, tmp_path: Path) -> AcceptedStore:
    return FakeAcceptedStore() if request.param == "fake" else AcceptedFiles(tmp_path)


def test_an_empty_store_is_empty(store: WorkloadStore) -> None:
    assert list(store.load()) == []
    assert store.read(["a"]) == {"a": None}
    assert store.remove("a") is False


def test_what_was_put_is_desired(store: WorkloadStore) -> None:
    store.put(workload("b"))
    store.put(workload("A-1", "shop"))
    assert {item.id: item.content for item in store.load()} == {
        "b": workload("b"),
        "A-1": workload("A-1", "shop"),
    }
    found = store.read(["b", "c"])
    assert found["b"] is not None
    assert found["b"].content == workload("b")
    assert found["c"] is None


def test_putting_again_replaces(store: WorkloadStore) -> None:
    store.put(workload("a"))
    store.load()
    store.put(workload("a", "shop"))
    found = store.read(["a"])["a"]
    assert found is not None
    assert found.content == workload("a", "shop")
    assert [item.content for item in store.load()] == [workload("a", "shop")]


def test_the_later_change_is_the_younger(store: WorkloadStore) -> None:
    store.put(workload("b"))
    store.put(workload("a"))
    ages = {item.id: item.seniority for item in store.load()}
    assert ages["b"] <= ages["a"]


def test_what_cannot_be_read_is_there_with_its_reason(store: FakeWorkloadStore | DamagingFiles) -> None:
    store.put(workload("a"))
    store.damage("a", "half a file")
    for found in (next(iter(store.load())), store.read(["a"])["a"]):
        assert found is not None
        assert found.id == "a"
        assert isinstance(found.content, InvalidInput)
    assert store.remove("a") is True


def test_what_was_removed_is_gone(store: WorkloadStore) -> None:
    store.put(workload("a"))
    assert store.remove("a") is True
    assert store.remove("a") is False
    assert list(store.load()) == []


def test_versions_are_remembered_replaced_and_forgotten(accepted: AcceptedStore) -> None:
    assert dict(accepted.load()) == {}
    accepted.put(workload("a"))
    accepted.put(workload("b"))
    accepted.put(workload("a", "shop"))
    assert dict(accepted.load()) == {"a": workload("a", "shop"), "b": workload("b")}
    assert (accepted.get("a"), accepted.get("c")) == (workload("a", "shop"), None)
    assert accepted.remove("a") is True
    assert accepted.remove("a") is False
    assert accepted.get("a") is None
    assert dict(accepted.load()) == {"b": workload("b")}


def test_what_was_loaded_is_the_callers_own(accepted: AcceptedStore) -> None:
    accepted.put(workload("a"))
    loaded = accepted.load()
    accepted.remove("a")
    assert set(loaded) == {"a"}
