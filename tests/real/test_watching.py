"""Workload files are taken over wherever they lie and however they come, ten thousand at once too."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers import appliance as appliances
from tests.peers import https
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend

EXHAUSTED = """
import pathlib, queue, sys, threading
from appliance.adapters.watcher import Watcher

limit, directory = map(pathlib.Path, sys.argv[1:])
limit.write_text("0")
names = queue.Queue()
watcher = Watcher()
watcher.add(directory, names.put)
watcher.start(lambda error: names.put(error))
assert names.get(timeout=5) == frozenset()
watcher.look()
assert names.get(timeout=5) == frozenset(), "it is polled"
limit.write_text("100")
watcher.look()
assert names.get(timeout=5) == frozenset()
(directory / "blog.yaml").touch()
assert names.get(timeout=5) == {"blog.yaml"}, "it is watched"
watcher.stop()
"""
TEXT = 'type: gateway-name-proxy\nname: {name}\nbackends: ["http://10.99.0.9:1"]\n'


def write(directory: Path, name: str) -> None:
    (directory / f"{name}.yaml").write_text(TEXT.format(name=name), encoding="utf-8")


def link(gateway: Appliance) -> Path:
    """`workloads/` is a link to another place."""
    elsewhere = gateway.root.parent / "elsewhere"
    elsewhere.mkdir()
    gateway.root.mkdir()
    (gateway.root / "workloads").symlink_to(elsewhere)
    return elsewhere


def bind_mount(gateway: Appliance) -> Path:
    """Another directory is mounted at `workloads/`; files are written where it comes from."""
    elsewhere, place = gateway.root.parent / "elsewhere", gateway.root / "workloads"
    elsewhere.mkdir()
    place.mkdir(parents=True)
    subprocess.run(["mount", "--bind", elsewhere, place], check=True)
    return elsewhere


def memory(gateway: Appliance) -> Path:
    """A filesystem of its own is mounted at `workloads/`."""
    place = gateway.root / "workloads"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    return place


@pytest.mark.parametrize("arrange", [link, bind_mount, memory], ids=lambda arrange: arrange.__name__)
def test_a_linked_or_mounted_directory_is_watched(
    arrange: Callable[[Appliance], Path], new_appliance: MakeAppliance
) -> None:
    gateway = new_appliance(appliances.settings())
    directory = arrange(gateway)
    try:
        write(directory, "before")
        gateway.start()
        gateway.until_state("before", "applied")
        begun = time.monotonic()
        write(directory, "after")
        gateway.until_state("after", "applied", seconds=10)
        print(f"{arrange.__name__}: applied after {time.monotonic() - begun:.2f} s")  # noqa: T201
        (directory / "before.yaml").unlink()
        gateway.program.until(lambda: gateway.workload("before") is None, "it is gone")
    finally:
        gateway.kill()
        subprocess.run(["umount", "--lazy", gateway.root / "workloads"], check=False, capture_output=True)


def remove(directory: Path) -> None:
    """With all that is in it, which may take a few tries: what is removed is back that fast."""
    while True:
        with contextlib.suppress(OSError):
            shutil.rmtree(directory)
            return


def move_away(directory: Path) -> None:
    directory.rename(directory.with_name("old"))


def restored(gateway: Appliance, deed: Callable[[Path], None]) -> None:
    proxy, traefik = gateway.root / "proxy", gateway.pid_of("traefik")
    before = sorted(os.listdir(proxy))
    begun = time.monotonic()
    deed(proxy)
    gateway.program.until(lambda: proxy.is_dir() and sorted(os.listdir(proxy)) == before, "it is back")
    print(f"proxy/ restored after {time.monotonic() - begun:.3f} s")  # noqa: T201
    gateway.until_replaced("traefik", traefik)


def test_directories_that_are_removed_and_made_anew_are_watched_and_traefik_sees_it_too(
    new_appliance: MakeAppliance, backend: MakeBackend
) -> None:
    """The files in `proxy/` are back within a second; Traefik, which watches what is gone, is restarted for it."""
    gateway = new_appliance(appliances.settings()).start()
    gateway.must("route", "name", "steady", "steady", backend("steady").url)
    for name, deed in (("new", remove), ("newer", move_away)):
        restored(gateway, deed)
        gateway.must("route", "name", name, name, "http://10.99.0.9:1")
        gateway.program.until(lambda: https.fetch("steady.gw.test").status == 200, "it is served")
    workloads, extra = gateway.root / "workloads", gateway.root / "extra"
    shutil.rmtree(workloads)
    workloads.mkdir()
    write(workloads, "steady")
    write(workloads, "late")
    gateway.until_state("late", "applied", seconds=10)
    shutil.rmtree(extra)
    extra.mkdir()
    (extra / "own.yaml").write_text("http: {middlewares: {own: {compress: {}}}}\n", encoding="utf-8")
    gateway.program.until(
        lambda: any(one["file"] == "extra/own.yaml" and one["state"] == "applied" for one in gateway.must("extra")),
        "the fragment is applied",
    )


@pytest.mark.parametrize(
    ("limit", "advice"),
    [
        ("max_inotify_watches", "sysctl fs.inotify.max_user_watches=524288"),
        ("max_inotify_instances", "sysctl fs.inotify.max_user_instances=1024"),
    ],
)
def test_a_host_without_inotify_left_says_what_to_do_and_polls_until_it_has(
    limit: str, advice: str, tmp_path: Path
) -> None:
    """The kernel's own limits, in a user namespace where they are nobody else's."""
    argv = ["unshare", "--user", "--map-root-user", sys.executable, "-c", EXHAUSTED]
    done = subprocess.run(
        [*argv, f"/proc/sys/user/{limit}", tmp_path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(advice) == 1


def test_ten_thousand_files_at_once_are_all_taken_over(new_appliance: MakeAppliance) -> None:
    """Into a running appliance: neither a full queue of the kernel's nor their number loses one."""
    gateway = new_appliance(appliances.settings()).start()
    begun = time.monotonic()
    for number in range(10_000):
        write(gateway.root / "workloads", f"w{number}")
    written = time.monotonic()
    gateway.program.until(
        lambda: gateway.status()["workloads"] == {"pending": 0, "applied": 10_000, "quarantined": 0},
        "all are applied",
        seconds=100,
    )
    print(f"written in {written - begun:.1f} s, applied {time.monotonic() - written:.1f} s later")  # noqa: T201
    assert gateway.workload("w9999")["state"] == "applied"
