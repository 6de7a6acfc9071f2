"""The promises of `RouteFiles` and `StaticConfiguration`, kept by the fake and by the files."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from appliance.adapters.files import ProxyFiles, StaticConfigurationFile, sweep
from appliance.control.ports import RouteFiles, StaticConfiguration
from appliance.model.errors import Unavailable
from appliance.model.plans import Create, Delete, Update
from appliance.render import dynamic
from tests.fakes import FakeRouteFiles, FakeStaticConfiguration

ONE, OTHER = dynamic.text({"http": {"services": {}}}), dynamic.text({"tcp": {"services": {}}})


class Directory(Protocol):
    """Somebody else's way to the same directory."""

    def plant(self, name: str, text: str) -> None:
        """Write an entry past the appliance."""

    def take(self, name: str) -> None:
        """Remove an entry past the appliance."""

    def set_aside(self) -> list[str]:
        """The names of what was set aside."""


class InMemory:
    """The fake's directory."""

    def __init__(self, files: FakeRouteFiles) -> None:
        self._files = files

    def plant(self, name: str, text: str) -> None:
        self._files.files[name] = text

    def take(self, name: str) -> None:
        del self._files.files[name]

    def set_aside(self) -> list[str]:
        return sorted(self._files.aside)


class OnDisk:
    """The adapter's directory."""

    def __init__(self, directory: Path, quarantine: Path) -> None:
        self._directory = directory
        self._quarantine = quarantine

    def plant(self, name: str, text: str) -> None:
        (self._directory / name).write_text(text, encoding="utf-8")

    def take(self, name: str) -> None:
        (self._directory / name).unlink()

    def set_aside(self) -> list[str]:
        return sorted(path.name.rsplit(".", 2)[0] for path in self._quarantine.iterdir())


Pair = tuple[RouteFiles, Directory]


@pytest.fixture(params=["fake", "files"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    if request.param == "fake":
        fake = FakeRouteFiles()
        return fake, InMemory(fake)
    places = [tmp_path / name for name in ("proxy", "staging", "quarantine")]
    for place in places:
        place.mkdir()
    return ProxyFiles(*places), OnDisk(places[0], places[2])


def written(files: RouteFiles) -> Mapping[str, str]:
    return dict(files.current())


def test_an_empty_directory_has_no_files(pair: Pair) -> None:
    files, _ = pair
    assert written(files) == {}
    files.write(())
    assert written(files) == {}


def test_a_plan_is_carried_out(pair: Pair) -> None:
    files, _ = pair
    files.write((Create("a.yaml", ONE), Create("b.yaml", ONE)))
    assert written(files) == {"a.yaml": ONE, "b.yaml": ONE}
    files.write((Update("a.yaml", OTHER), Delete("b.yaml")))
    assert written(files) == {"a.yaml": OTHER}


def test_a_directory_that_is_gone_has_no_files_and_is_made_again(tmp_path: Path) -> None:
    files = ProxyFiles(*(tmp_path / name for name in ("proxy", "staging", "quarantine")))
    (tmp_path / "staging").mkdir()
    assert written(files) == {}
    files.write((Create("a.yaml", ONE),))
    assert written(files) == {"a.yaml": ONE}
    assert (tmp_path / "proxy").stat().st_mode & 0o777 == 0o700


def test_a_file_in_place_of_the_directory_is_told_and_no_failure(tmp_path: Path) -> None:
    files = ProxyFiles(*(tmp_path / name for name in ("proxy", "staging", "quarantine")))
    (tmp_path / "proxy").touch()
    assert written(files) == {}
    with pytest.raises(Unavailable, match=r"cannot write into .*proxy: File exists; it is tried again"):
        files.write((Create("a.yaml", ONE),))


def test_a_directory_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> Iterator[os.DirEntry[str]]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    files = ProxyFiles(*(tmp_path / name for name in ("proxy", "staging", "quarantine")))
    with pytest.raises(Unavailable, match=r"cannot read .*proxy: Permission denied; it is tried again"):
        files.current()


def test_at_traefiks_start_the_directory_is_there(tmp_path: Path) -> None:
    """Without it Traefik would never read a route, also later."""
    sweep(*(tmp_path / name for name in ("proxy", "staging", "quarantine")))
    assert (tmp_path / "proxy").is_dir()


def test_deleting_what_is_gone_is_fine(pair: Pair) -> None:
    files, _ = pair
    files.write((Delete("a.yaml"),))
    assert written(files) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("foreign.yaml", "http: {}\n"),
        ("changed.yaml", ONE.replace("services", "servants")),
        ("cut.yaml", ONE[:-1]),
        ("notes.txt", "remember the milk"),
        ("sealed.toml", ONE),
        ("empty.yaml", ""),
    ],
)
def test_what_is_not_ours_or_not_whole_is_set_aside(pair: Pair, name: str, text: str) -> None:
    files, directory = pair
    files.write((Create("a.yaml", ONE),))
    directory.plant(name, text)
    assert written(files) == {"a.yaml": ONE}
    assert directory.set_aside() == [name]
    assert written(files) == {"a.yaml": ONE}


def test_password_lines_are_kept_as_long_as_they_are_whole(pair: Pair) -> None:
    files, directory = pair
    lines = dynamic.sealed("ann:{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=\n")
    files.write((Create("blog.users", lines), Create("blog.yaml", ONE)))
    assert files.current() == {"blog.users": lines, "blog.yaml": ONE}
    directory.plant("blog.users", lines.replace("ann", "eve"))
    assert files.damaged(["blog.users"]) == {"blog.users"}
    assert directory.set_aside() == ["blog.users"]
    assert files.current() == {"blog.yaml": ONE}


def test_a_file_of_ours_that_somebody_changed_is_damaged_and_set_aside(pair: Pair) -> None:
    files, directory = pair
    files.write((Create("a.yaml", ONE), Create("b.yaml", ONE)))
    directory.plant("a.yaml", "http: {}\n")
    assert files.damaged(["a.yaml", "b.yaml"]) == {"a.yaml"}
    assert directory.set_aside() == ["a.yaml"]
    assert written(files) == {"b.yaml": ONE}


def test_a_file_of_ours_that_somebody_took_is_damaged(pair: Pair) -> None:
    files, directory = pair
    files.write((Create("a.yaml", ONE),))
    directory.take("a.yaml")
    assert files.damaged(["a.yaml"]) == {"a.yaml"}
    assert directory.set_aside() == []


def test_a_foreign_file_is_damage_and_set_aside(pair: Pair) -> None:
    files, directory = pair
    files.current()
    directory.plant("foreign.yaml", "http: {}\n")
    assert files.damaged(["foreign.yaml"]) == {"foreign.yaml"}
    assert directory.set_aside() == ["foreign.yaml"]


def test_what_we_wrote_ourselves_is_no_damage(pair: Pair) -> None:
    files, directory = pair
    files.write((Create("a.yaml", ONE),))
    files.write((Update("a.yaml", OTHER),))
    assert files.damaged(["a.yaml"]) == frozenset()
    directory.plant("a.yaml", OTHER)
    assert files.damaged(["a.yaml"]) == frozenset()
    assert directory.set_aside() == []


@pytest.fixture(params=["fake", "file"])
def static(request: pytest.FixtureRequest, tmp_path: Path) -> StaticConfiguration:
    if request.param == "fake":
        return FakeStaticConfiguration()
    return StaticConfigurationFile(tmp_path / "traefik.yaml", tmp_path / "mark")


def test_a_changed_text_asks_for_a_restart_until_there_was_one(static: StaticConfiguration) -> None:
    assert static.replace("a: 1\n")
    assert static.replace("a: 1\n")
    static.restarted()
    assert not static.replace("a: 1\n")
    assert static.replace("a: 2\n")


def test_a_restart_may_be_told_twice(static: StaticConfiguration) -> None:
    static.restarted()
    static.replace("a: 1\n")
    static.restarted()
    static.restarted()
    assert not static.replace("a: 1\n")
