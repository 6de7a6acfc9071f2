"""The Protocol `ChallengeStore`, on a fake and on files; and what becomes of a file that is broken."""

import json
import os
import stat
from pathlib import Path

import pytest

from appliance.adapters.challenge_files import FORMAT, HISTORY, ChallengeFiles
from appliance.control.ports import ChallengeStore
from appliance.model.challenges import Challenge
from appliance.model.errors import Unavailable
from appliance.model.histories import LONGEST, MOST_FETCHES, Entry, Fetch
from tests.fakes import FakeChallengeStore

ONE = Challenge("_acme-challenge.gw.example.com", 'with "quotes" \\', 1000.25, "uid 0 pid 1")
TWO = Challenge("_acme-challenge.gw.example.com", "x" * 255, 2000.0, "ops ä")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "challenges.json"


@pytest.fixture(params=["fake", "files"])
def store(request: pytest.FixtureRequest, path: Path) -> ChallengeStore:
    return FakeChallengeStore() if request.param == "fake" else ChallengeFiles(path)


def test_nothing_stored_is_nothing(store: ChallengeStore) -> None:
    assert store.load() == (0, ())


def test_what_was_saved_last_comes_back(store: ChallengeStore) -> None:
    store.save(1, [ONE])
    store.save(2, iter([ONE, TWO]))
    assert store.load() == (2, (ONE, TWO))
    store.save(3, [])
    assert store.load() == (3, ())


def test_no_challenge_waits_for_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written and renamed, not synced: the certificate authority waits."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    ChallengeFiles(path).save(1, [ONE])
    assert ChallengeFiles(path).load() == (1, (ONE,))
    assert synced == []


def test_a_write_that_fails_midway_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ChallengeFiles(path)
    store.save(1, [ONE])

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for call in ("replace", "rename"):
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(Unavailable):
        store.save(2, [ONE, TWO])
    monkeypatch.undo()
    assert ChallengeFiles(path).load() == (1, (ONE,))
    store.save(3, [TWO])
    assert ChallengeFiles(path).load() == (3, (TWO,))


HISTORY_OF_TWO = (
    Entry(
        ONE, "cleaned up", (Fetch(ONE.name, 1000.5, "192.0.2.1"), Fetch(ONE.name, 1001.0, "2001:db8::1")), 2, 1002.25
    ),
    Entry(TWO),
)


def test_the_history_that_was_saved_last_comes_back(store: ChallengeStore) -> None:
    assert tuple(store.load_history()) == ()
    store.save_history(HISTORY_OF_TWO[:1])
    store.save_history(iter(HISTORY_OF_TWO))
    assert tuple(store.load_history()) == HISTORY_OF_TWO
    assert store.load() == (0, ())
    store.save_history([])
    assert tuple(store.load_history()) == ()


def test_a_stored_history_longer_than_ours_is_cut(path: Path) -> None:
    """Nothing from outside is without a bound."""
    fetches = (Fetch(ONE.name, 1.0, "192.0.2.1"),) * (MOST_FETCHES + 1)
    ChallengeFiles(path).save_history([Entry(ONE), *[Entry(TWO, "fetched", fetches, len(fetches))] * LONGEST])
    entries = ChallengeFiles(path).load_history()
    assert {entry.challenge for entry in entries} == {TWO}
    assert {(len(entry.fetches), entry.fetch_count) for entry in entries} == {(MOST_FETCHES, MOST_FETCHES + 1)}


def test_the_files_are_private_and_alone(path: Path) -> None:
    os.umask(0)
    files = ChallengeFiles(path)
    files.save(1, [ONE])
    files.save_history(HISTORY_OF_TWO)
    history = path.with_name(HISTORY)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {entry: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {
        path: 0o600,
        history: 0o600,
    }
    assert json.loads(path.read_text())["format"] == FORMAT
    assert json.loads(history.read_text().partition("\n")[0]) == {"format": FORMAT}


def test_a_link_in_the_way_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (path.parent / f".{path.name}.fresh").symlink_to(tmp_path / "victim")
    with pytest.raises(Unavailable):
        ChallengeFiles(path).save(1, [ONE])
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe\0",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"format": 2, "serial": 1, "challenges": []}',
        b'{"format": 1, "serial": -1, "challenges": []}',
        b'{"format": 1, "serial": "1", "challenges": []}',
        b'{"format": 1, "serial": 1}',
        b'{"format": 1, "serial": 1, "challenges": [1]}',
        b'{"format": 1, "serial": 1, "challenges": [{"name": "a..b", "value": "v", "presented": 1, "by": "x"}]}',
        b'{"format": 1, "serial": 1, "challenges": [{"name": "a.b", "value": "", "presented": 1, "by": "x"}]}',
        b'{"format": 1, "serial": 1, "challenges": [{"name": "a.b", "value": "v", "presented": "soon", "by": "x"}]}',
        b'{"format": 1, "serial": 1, "challenges": [{"name": "a.b", "value": "v", "presented": NaN, "by": "x"}]}',
        b'{"format": 1, "serial": 1, "challenges": [{"name": 1, "value": "v", "presented": 1, "by": "x"}]}',
    ],
)
def test_a_corrupt_file_is_set_aside_reported_and_not_fatal(
    path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    for number in (1, 2):
        path.write_bytes(text)
        assert ChallengeFiles(path).load() == (0, ())
        assert path.with_name(f"challenges.json.corrupt-{number}").read_bytes() == text
    assert not path.exists()
    assert "challenge file is corrupt, set aside" in caplog.text


def line(**broken: object) -> bytes:
    """A history of one entry, with these keys otherwise than they may be."""
    whole = {
        "name": "a.b",
        "value": "v",
        "presented": 1,
        "by": "x",
        "state": "fetched",
        "fetches": [],
        "fetch_count": 0,
    }
    return b'{"format": 1}\n' + json.dumps(whole | {"ended": None} | broken).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"format": 2}',
        b'{"format": 1}\n{',
        b'{"format": 1}\n{}',
        b'{"format": 1}\n' + b"[" * 100_000,
        line(state="over"),
        line(fetches=[[1]]),
        line(fetches=[["soon", "192.0.2.1"]]),
        line(fetch_count=-1),
        line(ended="soon"),
    ],
)
def test_a_corrupt_history_is_set_aside_reported_and_not_fatal(
    path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.with_name(HISTORY).write_bytes(line())
    assert len(ChallengeFiles(path).load_history()) == 1, "what is broken below is whole otherwise"
    path.with_name(HISTORY).write_bytes(text)
    assert tuple(ChallengeFiles(path).load_history()) == ()
    assert path.with_name(f"{HISTORY}.corrupt-1").read_bytes() == text
    assert "challenge file is corrupt, set aside" in caplog.text


def test_a_directory_in_its_place_is_set_aside(path: Path) -> None:
    path.mkdir(parents=True)
    store = ChallengeFiles(path)
    assert store.load() == (0, ())
    store.save(1, [ONE])
    assert store.load() == (1, (ONE,))


def test_a_corrupt_file_that_cannot_be_set_aside_is_not_fatal(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_text("{")

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "rename", refuse)
    assert ChallengeFiles(path).load() == (0, ())
    assert "stays where it is" in caplog.text


def test_a_disk_that_refuses_is_told(path: Path) -> None:
    path.parent.write_text("a file where the directory should be")
    with pytest.raises(Unavailable, match="cannot write"):
        ChallengeFiles(path).save(1, [])
    with pytest.raises(Unavailable, match="cannot write"):
        ChallengeFiles(path).save_history([])
