"""The filesystem of the root, and the files in it: room, modes, owners, and mending what is safe to mend."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.layout import Root
from appliance.model.host import Files, Filesystem, OpenFile

_PRIVATE, _PRIVATE_DIRECTORY, _ENTERED_DIRECTORY = 0o600, 0o700, 0o711
_MOST_FILES = 5000
"""Of directories with more, the first are looked at."""


def filesystem(root: Root) -> Filesystem:
    """Where the root lies, or will lie. One small file is written and taken away again."""
    path = next((one for one in (root.path, *root.path.parents) if _is_directory(one)), Path("/"))
    seen = os.statvfs(path)
    is_read_only = bool(seen.f_flag & os.ST_RDONLY)
    is_tried = not is_read_only and path == root.path and os.geteuid() in (0, path.stat().st_uid)
    return Filesystem(
        str(path),
        free_bytes=seen.f_bavail * seen.f_frsize,
        total_bytes=seen.f_blocks * seen.f_frsize,
        free_inodes=seen.f_favail,
        total_inodes=seen.f_files,
        is_read_only=is_read_only,
        was_tried=is_tried or os.geteuid() == 0,
        trouble=_trouble(path) if is_tried else None,
    )


def files(root: Root) -> Files:
    """Modes and owners under the root."""
    try:
        owner = root.path.stat().st_uid
    except FileNotFoundError:
        return Files(str(root.path), exists=False)
    except OSError as error:
        return Files(str(root.path), exists=True, problem=f"{error.filename}: {error.strerror}")
    try:
        too_open, foreign = [], []
        for path, wanted, is_secret in _expected(root):
            found = path.lstat()
            mode = stat.S_IMODE(found.st_mode)
            if mode & ~wanted & 0o777 and not stat.S_ISLNK(found.st_mode):
                too_open.append(OpenFile(str(path), mode, wanted, is_secret))
            if found.st_uid != owner:
                foreign.append(str(path))
    except OSError as error:
        return Files(str(root.path), exists=True, problem=f"{error.filename}: {error.strerror}")
    missing = [str(one) for one in _directories(root) if not one.is_dir()]
    return Files(str(root.path), True, tuple(too_open), tuple(foreign), tuple(missing))


def mend(root: Root) -> list[str]:
    """Close what is too open, make directories that are missing; each is told as the command it stands for.

    Nothing is opened, moved, deleted or given to another user. What the kernel refuses is told as well.
    """
    seen = files(root)
    done = [_tried(f"chmod {one.wanted:04o} {one.path}", os.chmod, one.path, one.wanted) for one in seen.too_open]
    for path in seen.missing:
        mode = _ENTERED_DIRECTORY if Path(path) == root.run else _PRIVATE_DIRECTORY
        done.append(_tried(f"mkdir -m {mode:04o} {path}", os.mkdir, path, mode))
    return done


def _tried(command: str, act: Callable[[str, int], None], path: str, mode: int) -> str:
    try:
        act(path, mode)
    except OSError as error:
        return f"not done: {command}: {error.strerror}"
    return command


def _trouble(path: Path) -> str | None:
    """Why no file can be written there; None when one can."""
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"a small file")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def _is_directory(path: Path) -> bool:
    """Whether it is one that this user can see."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _directories(root: Root) -> tuple[Path, ...]:
    return (root.workloads, root.extra, root.proxy, root.quarantine, root.state, root.traefik, root.run)


def _expected(root: Root) -> Iterator[tuple[Path, int, bool]]:
    """(path, the most open mode it may have, whether it holds private keys) of what is there."""
    for directory in _directories(root):
        if directory.is_dir():
            yield directory, _ENTERED_DIRECTORY if directory == root.run else _PRIVATE_DIRECTORY, False
    if root.static_configuration.exists():
        yield root.static_configuration, _PRIVATE, False
    for path in _files_in(root.traefik):
        yield path, _PRIVATE, True
    for path in _files_in(root.state):
        yield path, _PRIVATE, False


def _files_in(directory: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return [
            Path(one.path) for one, _ in zip(os.scandir(directory), range(_MOST_FILES), strict=False) if one.is_file()
        ]
    return []
