"""Backups as tar files (tarfile): written plainly, and read as if somebody hostile had made them.

Only regular members are taken, uncompressed and whole, each once; what they are called and hold is judged in
`model.backups`. Everything is read into memory before anything is written, so bounds come first.
"""

import io
import tarfile
from collections.abc import Mapping
from typing import BinaryIO

from appliance.model import backups
from appliance.model.backups import Manifest
from appliance.model.errors import InvalidInput

_LARGEST_MANIFEST_BYTES = 32 * 1024 * 1024


def packed(contents: Mapping[str, bytes], *, version: str, created: str, moment: float) -> bytes:
    """A backup of these members, as the bytes of its file. `moment`: the members' time, in Unix seconds."""
    buffer = io.BytesIO()
    manifest = backups.manifest(contents, version=version, created=created)
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, raw in {backups.MANIFEST: manifest, **contents}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(raw), 0o600, int(moment)
            archive.addfile(member, io.BytesIO(raw))
    return buffer.getvalue()


def unpacked(source: BinaryIO) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the members of a backup, all of them checked.

    Raises InvalidInput when it is no backup, is damaged, or holds anything that a backup does not; OSError when it
    cannot be read.
    """
    raw = source.read(backups.LARGEST_BYTES + 1)
    if len(raw) > backups.LARGEST_BYTES:
        raise InvalidInput(f"the backup is larger than {backups.LARGEST_BYTES} bytes: it was not made by `backup`")
    contents = _members(raw)
    if next(iter(contents), None) != backups.MANIFEST:
        raise InvalidInput(f"the backup does not begin with {backups.MANIFEST}: it was not made by `backup`")
    manifest = backups.parse_manifest(contents.pop(backups.MANIFEST))
    backups.check_whole(manifest, contents)
    for name, content in contents.items():
        backups.check_content(name, content)
    return manifest, contents


def _members(raw: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            for member in archive:
                _check_member(member, found)
                content = archive.extractfile(member)
                found[member.name] = content.read() if content is not None else b""
    except (tarfile.TarError, ValueError, OverflowError, EOFError, IndexError, KeyError) as error:
        raise InvalidInput(f"the backup is no whole tar file: {error}") from error
    return found


def _check_member(member: tarfile.TarInfo, found: Mapping[str, bytes]) -> None:
    """Refuse what is no plain file of a known name, before a byte of it is read."""
    shown = repr(member.name[:120])
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.pax_headers or member.issparse():
        raise InvalidInput(f"the backup holds {shown}, which is no plain file: it was not made by `backup`")
    if member.name in found:
        raise InvalidInput(f"the backup holds {shown} twice: it was not made by `backup`")
    if len(found) > backups.MOST_MEMBERS:
        raise InvalidInput(f"the backup holds more than {backups.MOST_MEMBERS} files: it was not made by `backup`")
    is_manifest = member.name == backups.MANIFEST
    largest = _LARGEST_MANIFEST_BYTES if is_manifest else backups.part_of(member.name).largest_bytes
    if member.size > largest:
        raise InvalidInput(f"the backup holds {shown} with {member.size} bytes: at most {largest} are taken")
