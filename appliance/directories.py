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

    directory: Path
    name: str
    signature: Signature | None
    modified: float
    """When the content was last changed, in seconds since the epoch."""

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.directory / self.name


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
        yield Entry(directory, item.name, signature(status), status.st_mtime)


def entry(directory: Path, name: str) -> Entry | None:
    """One entry of a directory; None: there is none. Raises OSError."""
    path = directory / name
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Entry(directory, name, signature(status), status.st_mtime)


def signature(status: os.stat_result) -> Signature | None:
    """What changes whenever a plain file does; None for anything else."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def read_limited(path: Path, largest: int) -> bytes:
    """The file's bytes; a pipe or device in its place is refused, not waited for. Raises OSError, InvalidInput."""
    descriptor = _open_without_waiting(path)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(f"{printable(path.name)} is no plain file: put a YAML file in its place")
        raw = _read(descriptor, status.st_size, largest)
    finally:
        os.close(descriptor)
    if len(raw) > largest:
        raise InvalidInput(f"{printable(path.name)} is larger than {largest} bytes: at most so many are read")
    return raw


def _open_without_waiting(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


def _read(descriptor: int, expected: int, largest: int) -> bytes:
    """Up to one byte more than `largest`. Asks for no more room than is `expected`: there may be ten thousand files."""
    raw = os.read(descriptor, min(expected, largest) + 1)
    while len(raw) <= largest and len(raw) != expected and (block := os.read(descriptor, largest + 1 - len(raw))):
        raw += block
    return raw


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
