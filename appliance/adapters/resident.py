"""Hands memory back that is there only because it was once needed: freed blocks, and pages of files that were mapped.

What a program and its libraries need for their start and never again, the system would take back only once it runs
short. It is a copy of a file, so nothing is lost, and what is needed after all is there again within microseconds.
"""

import ctypes
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

_SMAPS: Final = Path("/proc/self/smaps")
_DONTNEED: Final = 4  # MADV_DONTNEED, madvise(2)
_FIRST_SECONDS: Final = 8.0
_SECONDS_BETWEEN: Final = 60.0


def hand_back() -> None:
    """Hand back what this process can do without. What the system refuses stays."""
    system = ctypes.CDLL(None)
    if hasattr(system, "malloc_trim"):  # in glibc
        system.malloc_trim(0)
    system.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    try:
        with _SMAPS.open(encoding="utf-8", errors="replace") as smaps:
            for start, end in unchanged(smaps):
                system.madvise(start, end - start, _DONTNEED)
    except OSError:  # a system that does not show it
        return


class Thrift:
    """Hands memory back once the start is over, and then every minute. `look` is called every few seconds."""

    def __init__(self, act: Callable[[], None] = hand_back, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._act = act
        self._monotonic = monotonic
        self._due = monotonic() + _FIRST_SECONDS

    def look(self) -> None:
        """Hand memory back if it is time to."""
        now = self._monotonic()
        if now >= self._due:
            self._due = now + _SECONDS_BETWEEN
            self._act()


def unchanged(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """The ranges of addresses that hold nothing but pages of files which cannot be written to, and have not been.

    `smaps` are the lines that proc(5) tells of. A library's tables of addresses can only be read, too, but the loader
    has written them, as `Anonymous` tells: to hand those back would be to lose them.
    """
    candidate: tuple[int, int] | None = None
    for line in smaps:
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            candidate = _of_a_file(name, rest.split())
        elif candidate and name == "Anonymous:":
            if rest.split()[0] == "0":
                yield candidate
            candidate = None


def _of_a_file(addresses: str, about: list[str]) -> tuple[int, int] | None:
    """The range of a head line `start-end permissions offset device inode path`, if its pages are a file's."""
    permissions, _, _, inode, *_ = about
    if permissions not in ("r-xp", "r--p") or inode == "0":
        return None
    start, _, end = addresses.partition("-")
    return int(start, 16), int(end, 16)
