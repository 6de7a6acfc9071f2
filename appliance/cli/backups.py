"""The verbs `backup` and `restore`. They work on the root itself, whether the appliance runs or not."""

import json
import os
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from appliance import atomic, settings
from appliance.adapters import backup_archive, backup_files, root_lock
from appliance.layout import Root
from appliance.model import backups, documents
from appliance.model.errors import GatewayError, InvalidInput

_STANDARD = Path("-")


def backup(options: Namespace) -> int:
    """Write everything that cannot be made anew into one file; the appliance may run meanwhile."""
    root = Root(Path(options.root).absolute())
    if not root.path.is_dir():
        raise InvalidInput(f"there is no root {root.path}: name the appliance's directory by --root")
    contents, left_out = backup_files.collect(root)
    contents |= _present_settings(settings.find(root.path, os.environ, options.config))
    now = time.time()
    created = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    version = metadata.version("gateway-appliance")
    _write(options.file, backup_archive.packed(contents, version=version, created=created, moment=now))
    for name, reason in left_out.items():
        print(f"gateway: left out: {name}: {reason}", file=sys.stderr)
    document = {"file": str(options.file), **_inventory(contents), "left_out": sorted(left_out)}
    # Where the backup itself goes to standard output, what is said about it cannot.
    said = sys.stderr if options.file == _STANDARD else sys.stdout
    print(json.dumps(document) if options.json else f"{options.file}: {_sentence(document)}", file=said)
    return 0


def restore(options: Namespace) -> int:
    """Put a backup in place of what is under the root, on which nothing may run."""
    root = Root(Path(options.root).absolute())
    manifest, contents = _read(options.file)
    target = settings.find(root.path, os.environ, options.config)
    raw, untaken = _acceptable_settings(contents.pop(backups.SETTINGS, None), target)
    is_replacing = raw is not None and not options.keep_settings
    if is_replacing:
        _check_replaceable(target)
    _make(root)
    lock = root_lock.hold(root.path, root.lock)
    try:
        root_lock.sign(lock)
        backup_files.check_nobody_runs(root)
        previous: list[Path] = []
        kept = backup_files.put(
            root,
            contents,
            manifest.state_format,
            lambda: previous.extend(_replace(target, raw, root.path) if raw is not None and is_replacing else ()),
        )
    finally:
        os.close(lock)
    document = {
        "root": str(root.path),
        "backup": {"version": manifest.version, "created": manifest.created},
        **_inventory(contents),
        "settings": str(target) if is_replacing else None,
        "not_taken": untaken,
        "kept": [str(path) for path in (kept, *previous) if path is not None],
    }
    print(json.dumps(document, indent=2) if options.json else _account(document))
    return 0


def _present_settings(path: Path) -> dict[str, bytes]:
    """The settings file as a member, if there is one. Raises InvalidSettings when it could not be restored."""
    settings.load(path, os.environ)
    return {backups.SETTINGS: path.read_bytes()} if path.exists() else {}


def _acceptable_settings(raw: bytes | None, target: Path) -> tuple[bytes | None, list[str]]:
    """Settings of a backup without what is not taken from one, and the keys of that. Raises InvalidSettings."""
    if raw is None:
        return None, []
    values = documents.mapping(documents.parse(raw, len(raw)) or {}, "the settings file")
    kept, taken = backups.without_programs(values)
    if taken:
        raw = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True).encode()
    settings.parse(raw, target, os.environ)
    return raw, taken


def _check_replaceable(target: Path) -> None:
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise GatewayError(
            f"the settings file {target} cannot be written: give `--keep-settings` to leave the settings as they are, "
            "or name another file by --config"
        )


def _replace(target: Path, raw: bytes, root: Path) -> list[Path]:
    """Write the settings file; where the one before is kept, if it was another one. Raises OSError."""
    owner = root.stat()
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    previous = target if target.exists() else None
    if previous is not None and previous.read_bytes() == raw:
        return []
    kept = None
    if previous is not None:
        owner = previous.stat()
        kept = target.with_name(f"{target.name}.before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        atomic.write(kept, previous.read_bytes())
    atomic.write(target, raw)
    if os.geteuid() == 0:
        os.chown(target, owner.st_uid, owner.st_gid)
    if previous is not None:
        target.chmod(owner.st_mode & 0o777)
    return [kept] if kept else []


def _make(root: Root) -> None:
    try:
        root.path.mkdir(mode=0o711, parents=True, exist_ok=True)
        root.run.mkdir(mode=0o711, exist_ok=True)
    except OSError as error:
        raise GatewayError(f"cannot make the directory {error.filename}: {error.strerror}") from error


def _write(path: Path, raw: bytes) -> None:
    if path == _STANDARD:
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
        return
    try:
        atomic.write(path, raw)
    except OSError as error:
        raise GatewayError(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path) -> tuple[backups.Manifest, dict[str, bytes]]:
    if path == _STANDARD:
        return backup_archive.unpacked(sys.stdin.buffer)
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path} is no plain file: name the file that `gateway backup` wrote")
    try:
        with path.open("rb") as file:
            return backup_archive.unpacked(file)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error


def _inventory(contents: Mapping[str, bytes]) -> dict[str, Any]:
    parts = Counter(backups.part_of(name).kind for name in contents)
    return {
        "parts": {part.kind: parts[part.kind] for part in backups.PARTS},
        "certificates": [{"name": name, "serial": serial} for name, serial in backups.certificates(contents)],
    }


def _sentence(document: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{kind}: {count}" for kind, count in document["parts"].items())
    return f"{parts}; certificates: {len(document['certificates'])}"


def _account(document: Mapping[str, Any]) -> str:
    made = document["backup"]
    lines = [f"restored into {document['root']} from the backup of {made['created']} (version {made['version']})"]
    lines += [f"  {_sentence(document)}"]
    lines += [f"  settings: {document['settings'] or 'left as they are'}"]
    lines += [f"  not taken from the backup: {key}" for key in document["not_taken"]]
    lines += [f"  what was there is kept: {path}" for path in document["kept"]]
    return "\n".join(lines)
