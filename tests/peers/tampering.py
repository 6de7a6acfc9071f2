"""What somebody may do in `proxy/`, which is the appliance's alone. Each deed takes that directory."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

FREEZING = "http: {}\n"
"""Traefik reads nothing any more with this in its directory."""


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
