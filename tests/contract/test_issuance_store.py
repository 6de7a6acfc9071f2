"""The history of orders outlives the process: one suite for the fake and for the file."""

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.adapters.issuance_files import IssuanceFiles
from appliance.control.ports_issuance import IssuanceStore
from appliance.model.issuance import Failure, Record, Weight
from tests.fakes_issuance import FakeIssuanceStore

FAILURE = Failure(5.0, Weight.LIMIT, "too many", "wait", retry_at=9.0, circumstances="seen", detail="words")
RECORDS = {
    "shop.customer.com": Record(ordered_at=4.0, failures=2, failure=FAILURE, rests_until=9.0),
    "*.gw.example.com": Record(allowed_at=1.0, ordered_at=1.0, issued_at=2.0),
    "late.customer.com": Record(
        failures=1, failure=replace(FAILURE, rehearsal="https://staging.example/dir"), rehearsed="x", was_issued=True
    ),
}
MAKERS: dict[str, Callable[[Path], IssuanceStore]] = {
    "fake": lambda _: FakeIssuanceStore(),
    "file": lambda directory: IssuanceFiles(directory / "issuance.json", directory / "quarantine"),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_what_was_saved_comes_back(tmp_path: Path, maker: str) -> None:
    store = MAKERS[maker](tmp_path)
    assert store.load() == ({}, ())
    store.save(RECORDS, (1.0, 4.0))
    assert store.load() == (RECORDS, (1.0, 4.0))
    store.save({}, ())
    assert store.load() == ({}, ())


RUBBISH = [
    b"",
    b"{",
    b"[]",
    b"3",
    b"\xff",
    b'{"subjects": {}}',
    b'{"subjects": {"a": 3}, "orders": []}',
    b'{"subjects": {"a": {"failure": null, "allowed_at": "soon"}}, "orders": []}',
    b'{"subjects": {}, "orders": ["soon"]}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_a_file_that_cannot_be_read_is_set_aside_whole(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "quarantine").mkdir()
    path = tmp_path / "issuance.json"
    path.write_bytes(rubbish)
    assert IssuanceFiles(path, tmp_path / "quarantine").load() == ({}, ())
    assert [found.read_bytes() for found in (tmp_path / "quarantine").iterdir()] == [rubbish]
    assert not path.exists()


def test_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "issuance.json"
    IssuanceFiles(path, tmp_path).save(RECORDS, ())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_history_from_before_there_were_rehearsals_is_read(tmp_path: Path) -> None:
    path = tmp_path / "issuance.json"
    path.write_text(
        '{"subjects": {"a.org": {"allowed_at": null, "ordered_at": 4.0, "issued_at": null, "failures": 1, "failure": '
        '{"at": 5.0, "weight": "lasting", "words": "w", "todo": "t", "retry_at": null, "circumstances": "", '
        '"is_renewal": false, "detail": "", "authority": ""}, "rests_until": 9.0}}, "orders": [4.0]}'
    )
    failure = Failure(5.0, Weight.LASTING, "w", "t")
    expected = Record(ordered_at=4.0, failures=1, failure=failure, rests_until=9.0)
    assert IssuanceFiles(path, tmp_path / "quarantine").load() == ({"a.org": expected}, (4.0,))
