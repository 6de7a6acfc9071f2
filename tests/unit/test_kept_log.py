"""The kept log: bounded, 0600, followed across rotations without loss."""

import os
from pathlib import Path

import pytest

from appliance.kept_log import NAME, OLDER, KeptLog, Tail


def everything(tail: Tail) -> list[str]:
    return [line.decode() for line in tail.lines()]


def test_what_is_appended_is_followed_in_order(tmp_path: Path) -> None:
    log, tail = KeptLog(tmp_path), Tail(tmp_path)
    assert everything(tail) == []
    log.append(b"one\ntwo\n")
    assert everything(tail) == ["one", "two"]
    log.append(b"three\n")
    assert everything(tail) == ["three"]
    assert everything(tail) == []
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_the_files_stay_within_their_bounds_and_hold_the_newest(tmp_path: Path) -> None:
    log = KeptLog(tmp_path, largest_bytes=100)
    for number in range(100):
        log.append(b"line %03d\n" % number)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 200
    assert {path.name for path in tmp_path.iterdir()} == {NAME, OLDER}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    kept = everything(Tail(tmp_path))
    assert kept == [f"line {number:03d}" for number in range(100 - len(kept), 100)]
    assert len(kept) >= 11


@pytest.mark.parametrize("between_looks", [1, 5, 11, 13, 20])
def test_nothing_is_lost_across_rotations(tmp_path: Path, between_looks: int) -> None:
    """As long as no more than the two files hold comes between two looks."""
    log, tail = KeptLog(tmp_path, largest_bytes=100), Tail(tmp_path)
    found = []
    for number in range(200):
        log.append(b"line %03d\n" % number)
        if number % between_looks == 0:
            found += everything(tail)
    found += everything(tail)
    assert found == [f"line {number:03d}" for number in range(200)]


def test_a_crash_in_the_middle_of_a_line_costs_that_line(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"whole\nhal")
    KeptLog(tmp_path).append(b"next\n")
    assert everything(Tail(tmp_path)) == ["whole", "hal", "next"]


def test_a_full_disk_costs_lines_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line that was written before the disk was full is closed when there is room again."""
    log, write = KeptLog(tmp_path), os.write
    log.append(b"one\n")
    room = [3]

    def limited(descriptor: int, content: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(descriptor, bytes(content)[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", limited)
    with pytest.raises(OSError, match="No space"):
        log.append(b"two\n")
    room[0] = 1000
    log.append(b"three\n")
    assert everything(Tail(tmp_path)) == ["one", "two", "three"]


def test_a_file_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    log, tail = KeptLog(tmp_path), Tail(tmp_path)
    log.append(b"one\n")
    assert everything(tail) == ["one"]
    (tmp_path / NAME).unlink()
    log.append(b"two\n")
    assert everything(tail) == ["two"]


def test_a_file_that_somebody_emptied_is_read_from_its_beginning(tmp_path: Path) -> None:
    log, tail = KeptLog(tmp_path), Tail(tmp_path)
    log.append(b"one and more\n")
    assert everything(tail) == ["one and more"]
    os.truncate(tmp_path / NAME, 0)
    assert everything(tail) == []
    log.append(b"two\n")
    assert everything(tail) == ["two"]


def test_a_line_that_is_being_written_is_not_read_yet(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    with (tmp_path / NAME).open("ab", buffering=0) as file:
        file.write(b"ha")
        assert everything(tail) == []
        file.write(b"lf\n")
        assert everything(tail) == ["half"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("secret\n")
    (tmp_path / NAME).symlink_to("elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        KeptLog(tmp_path).append(b"x\n")
    with pytest.raises(OSError, match="symbolic links"):
        everything(Tail(tmp_path))
