"""The log as it is kept in files: one process appends, any number follow. On the lowest floor, for both sides.

`gateway.log` and one older file beside it, each of bounded size, one JSON object a line, mode 0600. The older one is
the newer one renamed, so whoever follows loses nothing when it is.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NAME: Final = "gateway.log"
OLDER: Final = "gateway.log.1"
LARGEST_BYTES: Final = 4 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_LONGEST_LINE_BYTES = 4 * 1024 * 1024


class KeptLog:
    """The writing side. Whole lines go in; what a full disk or a crash cut off is closed with a line's end later on."""

    def __init__(self, directory: Path, largest_bytes: int = LARGEST_BYTES) -> None:
        self._path = directory / NAME
        self._older = directory / OLDER
        self._largest_bytes = largest_bytes
        self._descriptor = -1
        self._size = 0
        self._is_torn = False

    def append(self, lines: bytes) -> None:
        """Add whole lines. Raises OSError; part of them may be there then."""
        if self._descriptor < 0 or not self._is_in_place():
            self._open()
        if self._size and self._size + len(lines) > self._largest_bytes:
            os.rename(self._path, self._older)
            self._open()
        rest = memoryview(b"\n" + lines if self._is_torn else lines)
        self._is_torn = True
        while rest:
            written = os.write(self._descriptor, rest)
            self._size += written
            rest = rest[written:]
        self._is_torn = False

    def close(self) -> None:
        """Let go of the file. May be repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self.close()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        os.fchmod(self._descriptor, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        self._is_torn = bool(self._size) and os.pread(self._descriptor, 1, self._size - 1) != b"\n"

    def _is_in_place(self) -> bool:
        """Whether the open file is still the one with the name: somebody may have removed or rotated it."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path))
        except FileNotFoundError:
            return False


class Tail:
    """The following side: what has been written since the last look, across rotations. Not to be shared by threads."""

    def __init__(self, directory: Path) -> None:
        """The first look begins with the oldest line there is."""
        self._path = directory / NAME
        self._older = directory / OLDER
        self._descriptor = -1
        self._rest = b""
        self._has_begun = False

    def lines(self) -> Iterator[bytes]:
        """Every whole line since the last look, oldest first, without its end. Raises OSError."""
        if self._descriptor < 0:
            yield from self._begin()
            return
        yield from self._read()
        if self._is_in_place():
            return
        yield from self._read()  # what was written between the look and the rotation
        left = os.fstat(self._descriptor)
        self.close()
        yield from self._skipped(left)
        yield from self._begin()

    def close(self) -> None:
        """Let go of the file. May be repeated; the next look begins with the newer file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._rest = b""

    def _begin(self) -> Iterator[bytes]:
        if not self._has_begun:
            self._has_begun = True
            if self._opened(self._older):
                yield from self._read()
                self.close()
        if self._opened(self._path):
            yield from self._read()

    def _skipped(self, left: os.stat_result) -> Iterator[bytes]:
        """The older file, where it is not the one that was followed: it came and went between two looks."""
        if self._opened(self._older):
            if not os.path.samestat(left, os.fstat(self._descriptor)):
                yield from self._read()
            self.close()

    def _opened(self, path: Path) -> bool:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        return True

    def _read(self) -> Iterator[bytes]:
        if os.fstat(self._descriptor).st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
            os.lseek(self._descriptor, 0, os.SEEK_SET)  # somebody has cut it
            self._rest = b""
        while chunk := os.read(self._descriptor, _CHUNK_BYTES):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            yield from whole
            if len(self._rest) > _LONGEST_LINE_BYTES:
                self._rest = b""

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path))
        except FileNotFoundError:
            return False
