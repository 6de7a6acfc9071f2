"""Listing and reading of directories that others write into. `atomic` is its counterpart, for writing.

Entries are told apart by signature (size, times, inode), so thousands of unchanged files cost a stat each.
What is found comes from people, editors, other programs and accidents; nothing of it is trusted to be a file.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.model.errors import InvalidInput

SUFFIX = ".yaml"

Signature = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One directory entry as it was when it was listed; `signature` is None for what is not a plain file."""

    name: str
    path: Path
    signature: Signature | None
    modified: float
    """When the content was last changed, in seconds since the epoch."""


def entries(directory: Path) -> Iterator[Entry]:
    """What is in a directory, by name; nothing when there is none. Raises OSError."""
    try:
        listing = sorted(os.scandir(directory), key=lambda item: item.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for item in listing:
        try:
            status = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield Entry(item.name, directory / item.name, signature(status), status.st_mtime)


def entry(directory: Path, name: str) -> Entry | None:
    """One entry of a directory; None: there is none. Raises OSError."""
    path = directory / name
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Entry(name, path, signature(status), status.st_mtime)


def signature(status: os.stat_result) -> Signature | None:
    """What changes whenever a plain file does; None for anything else."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def read_limited(path: Path, largest: int) -> bytes:
    """The file's bytes; a pipe or device in its place is refused, not waited for. Raises OSError, InvalidInput."""
    with open(path, "rb", opener=_open_without_waiting) as file:
        raw = file.read(largest + 1)
    if len(raw) > largest:
        raise InvalidInput(f"{printable(path.name)} is larger than {largest} bytes: at most so many are read")
    return raw


def _open_without_waiting(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInput(f"{printable(Path(path).name)} is no plain file: put a YAML file in its place")
    return descriptor


def printable(name: str) -> str:
    """A file name, which need not be UTF-8, as text that can be sent on."""
    return os.fsencode(name).decode("utf-8", "replace")


def removed(path: Path) -> bool:
    """Remove a file; whether it was there. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
