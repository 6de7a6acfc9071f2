"""Which filesystems tell nobody of a change (inotify(7), "Limitations and caveats"): pure, from the kernel's table.

Changes made on this host raise events everywhere. What another host, the hypervisor's host or the program behind a
FUSE filesystem changes raises none, so directories there have to be looked at again and again.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

_NETWORK = {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "glusterfs", "lustre"}
_CLUSTER = {"beegfs", "gpfs", "ocfs2", "gfs2", "orangefs", "pvfs2"}
_HOST = {"9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "fakeowner", "fuse"}
_SILENT = frozenset(_NETWORK | _CLUSTER | _HOST)
_SILENT_FAMILY = "fuse."
"""Whatever is behind it: sshfs, rclone, s3fs, Docker's own. (`fuseblk` is a local disk.)"""
_LAYERS = ("lowerdir", "upperdir")
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)), as far as it matters here."""

    device: str
    """`major:minor`, as `stat` reports it for everything on it."""
    place: PurePosixPath
    kind: str
    options: str


def parse(mountinfo: str) -> list[Mount]:
    """The mounts, in the order they were made. Lines that are no mounts are passed over."""
    return list(_mounts(mountinfo))


def _mounts(mountinfo: str) -> Iterator[Mount]:
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if dash and len(fields) >= 6 and len(rest) >= 3:
            yield Mount(fields[2], PurePosixPath(_unescaped(fields[4])), rest[0], rest[2])


def silent_kind(mounts: Iterable[Mount], path: PurePosixPath, device: str | None = None) -> str | None:
    """The type of the filesystem that `path` (real and absolute) lies on if it tells of no foreign change, else None.

    `device` is the path's own `major:minor`; where the table does not know that, the longest mount point decides.
    """
    known = list(mounts)
    mount = _by_device(known, device) or _by_place(known, path)
    if mount is None:
        return None
    if mount.kind in _SILENT or mount.kind.startswith(_SILENT_FAMILY):
        return mount.kind
    return _silent_layer(known, mount)


def _silent_layer(mounts: list[Mount], mount: Mount) -> str | None:
    """What an overlay lies on, if somebody else may change that."""
    if mount.kind != "overlay":
        return None
    options = dict(option.partition("=")[::2] for option in mount.options.split(","))
    layers = [layer for key in _LAYERS for layer in options.get(key, "").split(":") if layer.startswith("/")]
    for layer in layers:
        below = _by_place([one for one in mounts if one is not mount], PurePosixPath(_unescaped(layer)))
        if below is not None and (below.kind in _SILENT or below.kind.startswith(_SILENT_FAMILY)):
            return f"overlay on {below.kind}"
    return None


def _by_device(mounts: list[Mount], device: str | None) -> Mount | None:
    return next((mount for mount in reversed(mounts) if mount.device == device), None)


def _by_place(mounts: list[Mount], path: PurePosixPath) -> Mount | None:
    """The mount a path lies on: the longest mount point, of several there the last."""
    over = [mount for mount in mounts if path.is_relative_to(mount.place)]
    return max(reversed(over), key=lambda mount: len(mount.place.parts), default=None)


def _unescaped(text: str) -> str:
    """Space, tab, line break and backslash stand as octal numbers in the table."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
