"""The Protocol `TrafficStore`, on a fake and on files; and what becomes of a file that is broken."""

import json
import stat
from pathlib import Path

import pytest

from appliance.adapters.traffic_files import TrafficFiles
from appliance.control.ports import TrafficStore
from appliance.model.errors import Unavailable
from appliance.model.traffic import Account, Carried, Former, Ledger
from tests.fakes import FakeTrafficStore

LEDGER = Ledger(
    accounts={
        "37-2039_Blog": Account(
            "blog.gw.example.com",
            request_bytes=2**62,
            response_bytes=7,
            requests={"2xx": 3},
            seen={"request_bytes:200:GET:http": 12},
        ),
        "raw": Account("raw.gw.example.com", tls_passthrough=True, unmeasured="shared ä", incomplete="x", deleted=12.5),
    },
    process=1795378799.11,
    kernel="boot net:[4026531840]",
    flows={2**63: Carried("raw", 1, 2), 5: Carried("", 3, 4, gone=8.5)},
    former={("fd00::1", 443): Former("raw", 99.5)},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traffic.json"


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    directory = tmp_path / "quarantine"
    directory.mkdir()
    return directory


@pytest.fixture(params=["fake", "files"])
def store(request: pytest.FixtureRequest, path: Path, aside: Path) -> TrafficStore:
    return FakeTrafficStore() if request.param == "fake" else TrafficFiles(path, aside)


def test_nothing_stored_is_nothing(store: TrafficStore) -> None:
    assert store.load() == (Ledger(), None)


def test_what_was_saved_last_comes_back(store: TrafficStore) -> None:
    store.save(Ledger(), 1.0)
    store.save(LEDGER, 2.5)
    assert store.load() == (LEDGER, 2.5)


def test_the_file_is_private_and_alone(path: Path, aside: Path) -> None:
    TrafficFiles(path, aside).save(LEDGER, 1.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["quarantine", "traffic.json"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "null",
        lambda text: "[" * 100_000,
        lambda text: "\x00" * 4096,
        lambda text: text.replace('"format":1', '"format":2'),
        lambda text: text.replace('"response_bytes":7', '"response_bytes":-7'),
        lambda text: text.replace('"response_bytes":7', '"response_bytes":7.5'),
        lambda text: text.replace('"2xx":3', '"2xx":true'),
        lambda text: text.replace('"saved":1.0', '"saved":NaN'),
        lambda text: text.replace("37-2039_Blog", "../blog"),
        lambda text: text.replace('"host"', '"guest"'),
    ],
)
def test_a_file_that_cannot_be_read_is_set_aside_whole(path: Path, aside: Path, damage: object) -> None:
    assert callable(damage)
    store = TrafficFiles(path, aside)
    store.save(LEDGER, 1.0)
    damaged = damage(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    assert store.load() == (Ledger(), None)
    assert [entry.read_text() for entry in aside.iterdir()] == [damaged]
    store.save(LEDGER, 2.0)
    assert store.load() == (LEDGER, 2.0)


def test_a_disk_that_refuses_is_unavailable_and_leaves_the_old_file(path: Path, aside: Path) -> None:
    store = TrafficFiles(path / "nowhere" / "traffic.json", aside)
    with pytest.raises(Unavailable, match="cannot write"):
        store.save(LEDGER, 1.0)
    path.mkdir()
    with pytest.raises(Unavailable, match="cannot read"):
        TrafficFiles(path, aside).load()


def test_the_format_is_json_of_this_version(path: Path, aside: Path) -> None:
    TrafficFiles(path, aside).save(LEDGER, 1.0)
    assert json.loads(path.read_text())["format"] == 1
