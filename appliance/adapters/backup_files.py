"""What a backup is made of under the root, and putting the parts of one back.

Taking it, the appliance may run: whatever is replaced by renaming is whole at any moment, and the certificate stores,
which Traefik writes in place, are read again until they are whole. Putting it back, nothing may run: everything is
staged beside the present directories, and these are then exchanged, one rename each, under a mark that keeps the
appliance from starting on half of it.
"""

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from appliance import atomic
from appliance.layout import Root
from appliance.model import backups
from appliance.model.errors import GatewayError, InvalidInput, Unavailable

_FOLDERS = ("workloads", "state/accepted", "extra")
_SINGLE = ("state/traffic.json", "state/issuance.json", "state/certificates.json")
_STORES = ("traefik/acme.json", "traefik/acme2.json")
_EXCHANGED = ("workloads", "extra", "traefik", "state", "proxy")
"""The directories that change places. Routes go with the state they came from: they are rendered anew."""
_SECONDS_TO_SETTLE = 10.0


def collect(root: Root) -> tuple[dict[str, bytes], dict[str, str]]:
    """The members of a backup (without the settings), and why what is left out is no part of one, both by name.

    Raises Unavailable when something cannot be read.
    """
    contents, left_out = dict[str, bytes](), dict[str, str]()
    try:
        for name in _names(root.path):
            raw = _settled(root.path / name) if name in _STORES else _read(root.path / name)
            if not raw:
                continue  # gone meanwhile, or a store that Traefik has yet to fill
            try:
                backups.check_content(name, raw)
            except InvalidInput as error:
                left_out[name] = str(error)
            else:
                contents[name] = raw
    except OSError as error:
        raise Unavailable(f"cannot read {error.filename}: {error.strerror}; are you the appliance's user?") from error
    if lost := [name for name in left_out if name in _STORES]:
        raise Unavailable(f"no backup was made: {left_out[lost[0]]}")
    return contents, left_out


def check_nobody_runs(root: Root) -> None:
    """Raise GatewayError when a control plane answers on this root although nobody holds its lock."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(root.admin_socket))
        raise GatewayError(f"a control plane runs on the root {root.path}: stop it first")


def put(root: Root, contents: Mapping[str, bytes], state_format: int, finish: Callable[[], None]) -> Path | None:
    """Put the members of a checked backup in place of what is under the root; its lock must be held.

    `finish` is what else belongs to it: if it fails, everything is put back. Returns where what was there is kept;
    None: there was nothing. Raises GatewayError; the root is then as it was.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f".{time.monotonic_ns() % 1_000_000:06d}"
    staging, aside = root.path / f".restore-{stamp}", root.path / f"before-restore-{stamp}"
    try:
        _stage(staging, contents, state_format)
        _give_to_owner(staging, root.path)
        aside.mkdir(mode=0o700)
        atomic.write(root.unfinished_restore, f"{aside.name}\n")
        _exchange(root.path, staging, aside, finish)
        root.unfinished_restore.unlink()
        atomic.sync_directory(root.path)
    except OSError as error:
        raise GatewayError(f"nothing was restored: {error.filename or root.path}: {error.strerror}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return _kept(aside)


def _names(root: Path) -> Iterator[str]:
    for folder in _FOLDERS:
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(root / folder)):
                if name.endswith(".yaml") and not name.startswith("."):
                    yield from _known(f"{folder}/{name}")
    yield from (*_SINGLE, *_STORES)


def _known(name: str) -> Iterator[str]:
    """Nothing for a file whose very name is none of ours: nobody reads it under the root either."""
    with contextlib.suppress(InvalidInput):
        backups.part_of(name)
        yield name


def _read(path: Path) -> bytes | None:
    """What is in a plain file, or None without one; a pipe in its place is not waited for. Raises OSError."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return file.read(backups.LARGEST_BYTES)
    except FileNotFoundError:
        return None


def _settled(path: Path) -> bytes | None:
    """A store of Traefik's, whole: Traefik writes it in place. None without one. Raises OSError, Unavailable."""
    deadline = time.monotonic() + _SECONDS_TO_SETTLE
    while True:
        before = _signature(path)
        raw = _read(path)
        if not raw or (before == _signature(path) and _is_json(raw)):
            return raw
        if time.monotonic() > deadline:
            raise Unavailable(f"no backup was made: {path} is no whole certificate store; see the log of Traefik")
        time.sleep(0.05)


def _signature(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _stage(staging: Path, contents: Mapping[str, bytes], state_format: int) -> None:
    for name in ("", *_EXCHANGED, "state/accepted"):
        (staging / name).mkdir(mode=0o700)
    for name, raw in contents.items():
        atomic.write(staging / name, raw)
    atomic.write(staging / "state/format", f"{state_format}\n")
    for name in (*_EXCHANGED, "state/accepted"):
        atomic.sync_directory(staging / name)


def _give_to_owner(staging: Path, root: Path) -> None:
    """Restored by root, everything belongs to whom the root belongs to: the appliance may run as another user."""
    owner = root.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for directory, _, names in os.walk(staging):
        for path in (directory, *(os.path.join(directory, name) for name in names)):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _exchange(root: Path, staging: Path, aside: Path, finish: Callable[[], None]) -> None:
    """Rename what is there away and what is staged in, all of it or, when something fails, none of it."""
    done: list[tuple[Path, Path]] = []

    def rename(old: Path, new: Path) -> None:
        old.rename(new)
        done.append((old, new))

    try:
        for name in _EXCHANGED:
            if os.path.lexists(root / name):
                rename(root / name, aside / name)
            rename(staging / name, root / name)
        finish()
    except BaseException:
        for old, new in reversed(done):
            new.rename(old)
        (root / ".restore-unfinished").unlink()
        aside.rmdir()
        raise


def _kept(aside: Path) -> Path | None:
    """`aside`, if there are files in it; directories alone are nothing to keep."""
    if any(names for _, _, names in os.walk(aside)):
        return aside
    shutil.rmtree(aside)
    return None
