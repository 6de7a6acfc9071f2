"""Files that are there whole or not at all, whoever dies when. On the lowest floor, for everybody who writes files."""

import os
import time
from pathlib import Path

_LONGEST_NAME_KEPT = 200


def write(path: Path, content: str | bytes, *, staging: Path | None = None, sync: bool = True) -> os.stat_result:
    """Make `path` hold `content`, mode 0600, in one step.

    The new file is built in `staging` (a directory on the same filesystem; default: beside `path`) and renamed, so a
    directory that somebody watches sees one event. `sync`: on disk before it is renamed (a host that loses power then
    has the old or the new file, never an empty one). Returns the new file's status as it was before it got its name, so
    that whoever touches it from then on can be told. Raises OSError and leaves nothing behind.
    """
    scratch = (staging or path.parent) / f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp"
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        status = scratch.lstat()
        os.rename(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return status


def sync_directory(directory: Path) -> None:
    """Make renames and removals in `directory` last through a power failure."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path, quarantine: Path) -> Path:
    """Move `path` (a file, link or directory) into `quarantine` under a name of its own, and return where it is now."""
    target = place_aside(path.name, quarantine)
    os.rename(path, target)
    return target


def place_aside(name: str, quarantine: Path) -> Path:
    """Where in `quarantine` something of this name goes: under a name of its own."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    # A name may already be as long as a name can be (255 octets); what is added must fit, too.
    kept = os.fsdecode(os.fsencode(name)[:_LONGEST_NAME_KEPT])
    return quarantine / f"{kept}.{stamp}.{time.monotonic_ns() % 1_000_000:06d}"
