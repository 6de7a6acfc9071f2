"""Whoever watches a directory is told the names of what changed in it, however they changed."""

import os
import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from appliance.adapters.watcher import Watcher
from tests.fakes import PATIENCE_SECONDS

Names = queue.Queue[frozenset[str]]


def told(names: Names, wanted: str) -> None:
    """Wait until a change of this entry was told."""
    while wanted not in names.get(timeout=PATIENCE_SECONDS):
        pass


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[[], Names]]:
    watcher = Watcher()

    def begin() -> Names:
        names: Names = queue.Queue()
        watcher.add(tmp_path, names.put)
        watcher.start()
        return names

    yield begin
    watcher.stop()
    watcher.stop()


def change_in_place(path: Path) -> None:
    path.write_text("fresh", encoding="utf-8")


def replace(path: Path) -> None:
    scratch = path.with_name(".scratch")
    scratch.write_text("fresh", encoding="utf-8")
    scratch.rename(path)


def move_in(path: Path) -> None:
    outside = path.parent.parent / "outside.yaml"
    outside.write_text("fresh", encoding="utf-8")
    outside.rename(path)


def move_out(path: Path) -> None:
    path.rename(path.parent.parent / "outside.yaml")


CHANGES = [change_in_place, replace, move_in, move_out, Path.unlink]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_way_of_changing_a_file_is_told(
    change: Callable[[Path], None], watch: Callable[[], Names], tmp_path: Path
) -> None:
    (tmp_path / "blog.yaml").write_text("old", encoding="utf-8")
    names = watch()
    change(tmp_path / "blog.yaml")
    told(names, "blog.yaml")


def test_a_new_file_is_told_and_so_is_a_name_that_is_no_text(watch: Callable[[], Names], tmp_path: Path) -> None:
    names = watch()
    odd = os.fsdecode(b"\xff.yaml")
    (tmp_path / odd).touch()
    told(names, odd)


def test_reading_is_no_change(watch: Callable[[], Names], tmp_path: Path) -> None:
    (tmp_path / "blog.yaml").write_text("old", encoding="utf-8")
    names = watch()
    (tmp_path / "blog.yaml").read_text(encoding="utf-8")
    list(tmp_path.iterdir())
    (tmp_path / "other.yaml").touch()
    assert names.get(timeout=PATIENCE_SECONDS) == {"other.yaml"}


def test_a_directory_that_appears_later_is_watched_from_the_next_look_on(tmp_path: Path) -> None:
    directory, names = tmp_path / "later", Names()
    watcher = Watcher()
    watcher.add(directory, names.put)
    watcher.start()
    try:
        watcher.look()
        assert names.empty()
        directory.mkdir()
        watcher.look()
        assert names.get(timeout=PATIENCE_SECONDS) == frozenset()
        (directory / "blog.yaml").touch()
        told(names, "blog.yaml")
    finally:
        watcher.stop()


def test_a_directory_in_the_place_of_another_is_watched_from_the_next_look_on(tmp_path: Path) -> None:
    directory, names = tmp_path / "workloads", Names()
    directory.mkdir()
    watcher = Watcher()
    watcher.add(directory, names.put)
    watcher.start()
    try:
        directory.rename(tmp_path / "old")
        directory.mkdir()
        watcher.look()
        (directory / "blog.yaml").touch()
        told(names, "blog.yaml")
    finally:
        watcher.stop()


def test_a_host_that_cannot_watch_looks_again_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(BaseObserver, "schedule", refuse)
    names = Names()
    watcher = Watcher()
    watcher.add(tmp_path, names.put)
    watcher.start()
    try:
        for _ in range(2):
            watcher.look()
            assert names.get(timeout=PATIENCE_SECONDS) == frozenset()
    finally:
        watcher.stop()
