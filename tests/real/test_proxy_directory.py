"""`proxy/` is the appliance's: whatever somebody does there is undone within a second, and no route suffers."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers import appliance as appliances
from tests.peers import https
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.load import Load

FREEZING = "http: {}\n"
"""Traefik reads nothing any more with this in its directory."""


@pytest.fixture
def gateway(new_appliance: MakeAppliance, backend: MakeBackend) -> Appliance:
    """An appliance with two workloads that are served."""
    started = new_appliance(appliances.settings()).start()
    started.must("route", "name", "1-4-steady", "steady", backend("steady").url)
    started.must("route", "name", "1-4-other", "other", backend("other").url)
    return started


def edit(path: Path) -> None:
    (path / "1-4-other.yaml").write_text(FREEZING, encoding="utf-8")


def append(path: Path) -> None:
    with (path / "1-4-other.yaml").open("a", encoding="utf-8") as file:
        file.write("# a remark\n")


def delete(path: Path) -> None:
    (path / "1-4-other.yaml").unlink()


def in_its_place(path: Path, make: Callable[[Path], None]) -> None:
    """Delete a file and make something else of its name, which may take a few tries: it is restored that fast."""
    while True:
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            return make(path)


def replace_by_a_link(path: Path) -> None:
    in_its_place(path / "1-4-other.yaml", lambda place: place.symlink_to("/etc/hostname"))


def replace_by_a_directory(path: Path) -> None:
    in_its_place(path / "1-4-other.yaml", Path.mkdir)


def foreign(path: Path) -> None:
    (path / "stranger.yaml").write_text(FREEZING, encoding="utf-8")


def dotfile(path: Path) -> None:
    (path / ".hidden.yaml").write_text(FREEZING, encoding="utf-8")


def other_ending(path: Path) -> None:
    (path / "stranger.toml").write_text("[http]\n", encoding="utf-8")


def foreign_extra(path: Path) -> None:
    (path / "zz-extra-mine.yaml").write_text(FREEZING, encoding="utf-8")


def dangling_link(path: Path) -> None:
    (path / "link.yaml").symlink_to("/nowhere")


def sub_directory(path: Path) -> None:
    draft = path.with_name("draft")  # made in place, it would be gone before there is anything in it
    draft.mkdir()
    (draft / "inner.yaml").write_text(FREEZING, encoding="utf-8")
    draft.rename(path / "sub")


def pipe(path: Path) -> None:
    os.mkfifo(path / "pipe.yaml")


DEEDS = (
    edit,
    append,
    delete,
    replace_by_a_link,
    replace_by_a_directory,
    foreign,
    dotfile,
    other_ending,
    foreign_extra,
    dangling_link,
    sub_directory,
    pipe,
)


def contents(directory: Path) -> dict[str, str]:
    """What lies in the directory; a thing that is no plain file as what it is."""
    with os.scandir(directory) as entries:
        return {
            entry.name: Path(entry.path).read_text() if entry.is_file(follow_symlinks=False) else "no file"
            for entry in entries
        }


def test_whatever_is_done_to_the_directory_is_undone_and_no_route_suffers(gateway: Appliance) -> None:
    """Restored or set aside at once; what was foreign is kept; and a change of another workload goes through after."""
    proxy = gateway.root / "proxy"
    before = contents(proxy)
    with Load("steady.gw.test", expect='"backend": "steady"') as load:
        for deed in DEEDS:
            load.until_more()
            undone(gateway, deed, proxy, before)
        gateway.must("route", "name", "1-4-new", "new", "http://10.99.0.9:1")
        tally = load.until_more()
    assert tally.failures == 0, tally
    assert '"backend": "other"' in https.fetch("other.gw.test").body
    aside = "\n".join(path.name for path in (gateway.root / "quarantine").rglob("*"))
    kept = (
        "1-4-other.yaml",
        "stranger.yaml",
        ".hidden.yaml",
        "stranger.toml",
        "zz-extra-mine.yaml",
        "link.yaml",
        "sub",
    )
    for name in (*kept, "inner.yaml", "pipe.yaml"):
        assert name in aside
    assert "foreign file set aside" in gateway.program.log_text()


def undone(gateway: Appliance, deed: Callable[[Path], None], proxy: Path, before: dict[str, str]) -> None:
    started = time.monotonic()
    deed(proxy)
    gateway.program.until(lambda: contents(proxy) == before, f"what {deed.__name__} did is undone")
    print(f"{deed.__name__}: undone after {time.monotonic() - started:.3f} s")  # noqa: T201


def test_what_freezes_traefik_while_it_works_on_a_change_is_set_aside_at_once(gateway: Appliance) -> None:
    """It may be what the change waits for, so the change is not waited for; and the change goes through."""
    proxy = gateway.root / "proxy"
    gateway.must("route", "name", "1-4-new", "new", "http://10.99.0.9:1", "--no-wait")
    started = time.monotonic()
    foreign(proxy)
    gateway.program.until(lambda: not (proxy / "stranger.yaml").exists(), "it is set aside")
    print(f"set aside after {time.monotonic() - started:.3f} s")  # noqa: T201
    gateway.until_state("1-4-new", "applied", seconds=10)


def test_what_was_put_there_while_it_was_down_is_set_aside_before_traefik_reads_it(gateway: Appliance) -> None:
    gateway.stop()
    proxy = gateway.root / "proxy"
    before = contents(proxy)
    for deed in DEEDS[5:]:
        deed(proxy)
    gateway.start()
    assert '"backend": "steady"' in https.fetch("steady.gw.test").body
    assert contents(proxy) == before
