"""The Protocol `ChallengeStore`, on a fake and on files; and what becomes of a file that is broken."""

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from appliance.adapters.challenge_files import FORMAT, ChallengeFiles
from appliance.control.ports import ChallengeStore
from appliance.model.challenges import Challenge
from appliance.model.errors import Unavailable

ONE = Challenge("_acme-challenge.gw.example.com", 'with "quotes" \\', 1000.25, "uid 0 pid 1")
TWO = Challenge("_acme-challenge.gw.example.com", "x" * 255, 2000.0, "ops ä")


class FakeStore:
    def __init__(self) -> None:
        self.kept: tuple[int, tuple[Challenge, ...]] = (0, ())

    def load(self) -> tuple[int, tuple[Challenge, ...]]:
        return self.kept

    def save(self, serial: int, challenges: Iterable[Challenge]) -> None:
        self.kept = (serial, tuple(challenges))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "challenges.json"


@pytest.fixture(params=["fake", "files"])
def store(request: pytest.FixtureRequest, path: Path) -> ChallengeStore:
    return FakeStore() if request.param == "fake" else ChallengeFiles(path)


def test_nothing_stored_is_nothing(store: ChallengeStore) -> None:
    assert store.load() == (0, ())


def test_what_was_saved_last_comes_back(store: ChallengeStore) -> None:
    store.save(1, [ONE])
    store.save(2, iter([ONE, TWO]))
    assert store.load() == (2, (ONE, TWO))
    store.save(3, [])
    assert store.load() == (3, ())


def test_the_file_is_private_and_alone(path: Path) -> None:
    os.umask(0)
    ChallengeFiles(path).save(1, [ONE])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert json.loads(path.read_text())["format"] == FORMAT


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


def test_a_disk_that_refuses_is_told(path: Path) -> None:
    path.parent.write_text("a file where the directory should be")
    with pytest.raises(Unavailable, match="cannot write"):
        ChallengeFiles(path).save(1, [])
