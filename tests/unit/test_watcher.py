"""Whoever watches a directory is told the names of what changed in it, however they changed."""

import contextlib
import errno
import logging
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify_c import InotifyFD

from appliance.adapters.watcher import Watcher
from appliance.adapters.watcher import watching as watcher_module
from tests.fakes import PATIENCE_SECONDS, until

Names = queue.Queue[frozenset[str]]
ANYTHING = frozenset[str]()


def told(names: Names, wanted: str) -> None:
    """Wait until a change of this entry was told."""
    while wanted not in names.get(timeout=PATIENCE_SECONDS):
        pass


def told_anything(names: Names) -> None:
    """Wait until it was told that anything may have changed."""
    while names.get(timeout=PATIENCE_SECONDS) != ANYTHING:
        pass


@contextlib.contextmanager
def watching(directory: Path, on_replaced: Callable[[], object] | None = None) -> Iterator[tuple[Watcher, Names]]:
    """A watcher on a directory that was told of the beginning already."""
    watcher, names = Watcher(), Names()
    watcher.add(directory, names.put, on_replaced)
    watcher.start(lambda error: pytest.fail(str(error)))
    try:
        assert names.get(timeout=PATIENCE_SECONDS) == ANYTHING
        yield watcher, names
    finally:
        watcher.stop()
        watcher.stop()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[[], Names]]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(watching(tmp_path))[1]


def change_in_place(path: Path) -> None:
    path.write_text("fresh", encoding="utf-8")


def write_in_halves(path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("fr")
        file.flush()
        file.write("esh")


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


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def like_vim(path: Path) -> None:
    """`:w` with its defaults: the old file becomes the backup, the new one is written in its place."""
    (path.parent / "4913").touch()
    (path.parent / "4913").unlink()
    backup = path.with_name(path.name + "~")
    path.rename(backup)
    path.write_text("fresh", encoding="utf-8")
    backup.unlink()


def like_emacs(path: Path) -> None:
    """A lock that is a link to nowhere, a copy as backup, and the file written in place."""
    lock = path.with_name(f".#{path.name}")
    lock.symlink_to("root@host.4711")
    path.with_name(path.name + "~").write_bytes(path.read_bytes())
    path.write_text("fresh", encoding="utf-8")
    lock.unlink()


def like_sed(path: Path) -> None:
    subprocess.run(["sed", "-i", "s/old/fresh/", path], check=True)


def change_mode(path: Path) -> None:
    path.chmod(0)


CHANGES = [
    change_in_place,
    write_in_halves,
    replace,
    move_in,
    move_out,
    link,
    like_vim,
    like_emacs,
    like_sed,
    change_mode,
    Path.unlink,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_way_of_changing_a_file_is_told(
    change: Callable[[Path], None], watch: Callable[[], Names], tmp_path: Path
) -> None:
    """And when it was told last, it is as it stays: whoever reads it then has it all."""
    (tmp_path / "blog.yaml").write_text("old", encoding="utf-8")
    names = watch()
    change(tmp_path / "blog.yaml")
    told(names, "blog.yaml")


def test_of_a_file_that_is_written_for_long_the_end_is_told(watch: Callable[[], Names], tmp_path: Path) -> None:
    names = watch()
    with (tmp_path / "blog.yaml").open("w", encoding="utf-8") as file:
        file.write("type: ")
        file.flush()
        told(names, "blog.yaml")
        while not names.empty():
            names.get()
        file.write("gateway-name-proxy")
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


def test_changes_that_come_while_somebody_is_told_are_told_together(tmp_path: Path) -> None:
    """Ten thousand files at once are not ten thousand causes."""
    watcher, tellings, release = Watcher(), Names(), threading.Event()

    def be_told(names: frozenset[str]) -> None:
        tellings.put(names)
        release.wait(PATIENCE_SECONDS)

    watcher.add(tmp_path, be_told)
    watcher.start(lambda error: pytest.fail(str(error)))
    try:
        assert tellings.get(timeout=PATIENCE_SECONDS) == ANYTHING
        written = {f"w{number}.yaml" for number in range(2000)}
        for name in written:
            (tmp_path / name).touch()
        until(lambda: written <= watcher._places[0].names)
        release.set()
        assert tellings.get(timeout=PATIENCE_SECONDS) == written
    finally:
        watcher.stop()


def test_a_directory_that_appears_later_is_watched(tmp_path: Path) -> None:
    directory = tmp_path / "later"
    with watching(directory) as (watcher, names):
        watcher.look()
        assert names.empty()
        directory.mkdir()
        told_anything(names)
        (directory / "blog.yaml").touch()
        told(names, "blog.yaml")


def remove_and_make_anew(directory: Path) -> None:
    directory.rmdir()
    directory.mkdir()


def move_away_and_make_anew(directory: Path) -> None:
    directory.rename(directory.with_name("old"))
    directory.mkdir()


def move_another_there(directory: Path) -> None:
    fresh = directory.with_name("fresh")
    fresh.mkdir()
    directory.rmdir()
    fresh.rename(directory)


def replace_by_a_link(directory: Path) -> None:
    elsewhere = directory.with_name("elsewhere")
    elsewhere.mkdir()
    directory.rmdir()
    directory.symlink_to(elsewhere)


@pytest.mark.parametrize(
    "deed",
    [remove_and_make_anew, move_away_and_make_anew, move_another_there, replace_by_a_link],
    ids=lambda deed: deed.__name__,
)
def test_another_directory_in_the_place_is_watched_at_once(deed: Callable[[Path], None], tmp_path: Path) -> None:
    """Without a look: whatever watches the directory above has seen it."""
    directory, replaced = tmp_path / "workloads", queue.Queue[None]()
    directory.mkdir()
    with watching(directory, lambda: replaced.put(None)) as (_, names):
        for number in range(3):
            deed(directory) if number == 0 else move_away(directory, number)
            told_anything(names)
            until(lambda: is_told(directory, names))
            replaced.get(timeout=PATIENCE_SECONDS)
            while not replaced.empty():  # seen between two steps of the deed, and after it
                replaced.get()


def test_a_directory_that_is_replaced_while_it_is_looked_at_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, replaced = tmp_path / "workloads", queue.Queue[None]()
    directory.mkdir()
    identity_now, looks = watcher_module._identity, []

    def identity(path: Path) -> tuple[int, int] | None:
        found = identity_now(path)
        looks.append(path)
        if looks.count(directory) == 1:
            move_away(directory, 0)
        return found

    with watching(directory, lambda: replaced.put(None)) as (_, names):
        monkeypatch.setattr(watcher_module, "_identity", identity)
        directory.chmod(0o700)
        replaced.get(timeout=PATIENCE_SECONDS)
        until(lambda: is_told(directory, names))


def test_a_directory_whose_entries_or_mode_change_is_no_other_one(tmp_path: Path) -> None:
    directory, replaced = tmp_path / "workloads", queue.Queue[None]()
    directory.mkdir()
    with watching(directory, lambda: replaced.put(None)) as (watcher, names):
        directory.chmod(0o700)
        told_anything(names)
        until(lambda: is_told(directory, names))
        (tmp_path / "neighbour").mkdir()
        watcher.look()
        until(lambda: is_told(directory, names))
        assert replaced.empty()


def move_away(directory: Path, number: int) -> None:
    directory.rename(directory.with_name(f"old{number}"))
    directory.mkdir()


def is_told(directory: Path, names: Names) -> bool:
    """Whether a touch there is told; watching begins a moment after the deed."""
    probe = directory / f"{time.monotonic_ns()}.yaml"
    probe.touch()
    try:
        while probe.name not in names.get(timeout=0.3):
            pass
    except queue.Empty:
        return False
    return True


def test_a_link_to_a_directory_is_followed_and_so_is_its_new_target(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
    link = tmp_path / "workloads"
    link.symlink_to(tmp_path / "elsewhere" / "one")
    with watching(link) as (_, names):
        (link / "blog.yaml").touch()
        told(names, "blog.yaml")
        (tmp_path / "elsewhere" / "one" / "shop.yaml").touch()
        told(names, "shop.yaml")
        fresh = tmp_path / "fresh"
        fresh.symlink_to(tmp_path / "elsewhere" / "two")
        fresh.rename(link)
        told_anything(names)
        until(lambda: is_told(tmp_path / "elsewhere" / "two", names))
        (tmp_path / "elsewhere" / "two").rename(tmp_path / "elsewhere" / "gone")
        (tmp_path / "elsewhere" / "two").mkdir()
        told_anything(names)
        until(lambda: is_told(tmp_path / "elsewhere" / "two", names))


def test_a_directory_and_the_one_above_it_are_watched_alike(tmp_path: Path) -> None:
    """The settings may lie in the root itself, whose other directories are watched as well."""
    directory = tmp_path / "workloads"
    directory.mkdir()
    watcher, above, below = Watcher(), Names(), Names()
    watcher.add(directory, below.put)
    watcher.add(tmp_path, above.put)
    watcher.start(lambda error: pytest.fail(str(error)))
    try:
        told_anything(above)
        told_anything(below)
        (tmp_path / "gateway.yaml").write_text("acme: {}", encoding="utf-8")
        told(above, "gateway.yaml")
        while not above.empty():
            above.get()
        with (tmp_path / "gateway.yaml").open("a", encoding="utf-8") as file:
            file.write("\n")
        told(above, "gateway.yaml")
        (directory / "blog.yaml").touch()
        told(below, "blog.yaml")
    finally:
        watcher.stop()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == watcher_module.__name__]


@pytest.mark.parametrize(
    ("number", "sysctl"),
    [
        (errno.ENOSPC, "sysctl fs.inotify.max_user_watches=524288"),
        (errno.EMFILE, "sysctl fs.inotify.max_user_instances=1024"),
        (errno.EPERM, "cannot be watched"),
    ],
)
def test_a_host_that_cannot_watch_says_why_once_and_looks_again_each_time_until_it_can(
    number: int, sysctl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "none left")

    caplog.set_level(logging.INFO)
    with monkeypatch.context() as patch:
        if number == errno.EMFILE:
            patch.setattr(InotifyFD, "_create_inotify_fd", refuse)
        else:
            patch.setattr(BaseObserver, "schedule", refuse)
        with watching(tmp_path) as (watcher, names):
            for _ in range(3):
                watcher.look()
                assert names.get(timeout=PATIENCE_SECONDS) == ANYTHING
            assert sum(sysctl in line for line in logged(caplog)) == 1
            patch.undo()
            watcher.look()
            told_anything(names)
            (tmp_path / "blog.yaml").touch()
            told(names, "blog.yaml")
            assert logged(caplog)[-1] == "directory is watched"


def test_where_others_changes_raise_no_event_it_looks_again_each_time_and_is_told_its_own_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("1 1 254:0 / / rw - ext4 /dev/vda rw\n", encoding="utf-8")
    device = os.stat(tmp_path).st_dev
    with table.open("a", encoding="utf-8") as file:
        file.write(f"2 1 {os.major(device)}:{os.minor(device)} / {tmp_path} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(watcher_module, "_MOUNTINFO", table)
    directory = tmp_path / "workloads"
    directory.mkdir()
    with watching(directory) as (watcher, names):
        for _ in range(2):
            watcher.look()
            assert names.get(timeout=PATIENCE_SECONDS) == ANYTHING
        (directory / "blog.yaml").touch()
        told(names, "blog.yaml")
    assert [line for line in logged(caplog) if "nfs4 tells of none" in line]


def test_when_the_kernel_drops_events_anything_may_have_changed(tmp_path: Path) -> None:
    """The library says so in its log, and nowhere else."""
    with watching(tmp_path) as (_, names):
        logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; events were lost")
        told_anything(names)


def test_a_kernel_that_really_drops_events_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Path("/proc/sys/fs/inotify/max_queued_events")
    reading = InotifyFD.read_events

    def slowly(self: InotifyFD, **options: int) -> list[object]:
        """A reader that has no time, as long as the files are being written."""
        while not (tmp_path / "written").exists():
            time.sleep(0.01)
        return list(reading(self, **options))

    monkeypatch.setattr(InotifyFD, "read_events", slowly)
    directory = tmp_path / "workloads"
    directory.mkdir()
    with watching(directory) as (_, names):
        for number in range(int(limit.read_text()) // 2 + 1000):
            (directory / f"w{number % 5000}.yaml").touch()
            (directory / f"w{number % 5000}.yaml").unlink()
        (tmp_path / "written").touch()
        told_anything(names)


def test_a_failure_of_whoever_is_told_is_told(tmp_path: Path) -> None:
    def fail(names: frozenset[str]) -> None:
        raise ZeroDivisionError

    failures: queue.Queue[BaseException] = queue.Queue()
    watcher = Watcher()
    watcher.add(tmp_path, fail)
    watcher.start(failures.put)
    assert isinstance(failures.get(timeout=PATIENCE_SECONDS), ZeroDivisionError)
    watcher.stop()


def test_stopping_needs_no_start() -> None:
    Watcher().stop()
