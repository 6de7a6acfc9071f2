"""Workloads as files: what is desired, and what was accepted last."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from appliance import atomic, directories
from appliance.model import documents, workloads
from appliance.model.admission import Desired
from appliance.model.errors import InvalidInput, Unavailable
from appliance.model.steps import Steps, at_once
from appliance.model.workloads import Workload


class WorkloadFiles:
    """`workloads/`: the desired state. Keeps `control.ports.WorkloadStore`."""

    def __init__(self, directory: Path, steps: Steps = at_once) -> None:
        self._directory = directory
        self._steps = steps
        self._read: dict[str, tuple[directories.Signature | None, Desired]] = {}

    def load(self) -> list[Desired]:
        """Every `.yaml` file as a workload, or as the reason why it is none. Editors' scratch files are passed over.

        Raises Unavailable when the directory itself is not there or cannot be read: that says nothing about the
        workloads.
        """
        with self._speaking_for_itself():
            return self._load()

    def _load(self) -> list[Desired]:
        fresh: dict[str, tuple[directories.Signature | None, Desired]] = {}
        for entry in self._steps(directories.entries(self._directory)):
            if entry.name.startswith(".") or not entry.name.endswith((directories.SUFFIX, ".yml")):
                continue
            known = self._read.get(entry.name)
            if known is not None and known[0] is not None and known[0] == entry.signature:
                fresh[entry.name] = known
            elif (desired := _desired(entry)) is not None:
                fresh[entry.name] = (entry.signature, desired)
        self._read = fresh
        return [desired for _, desired in fresh.values()]

    def read(self, identities: Iterable[str]) -> dict[str, Desired | None]:
        """These workloads' files as they are now; None: there is none. Raises Unavailable as `load`."""
        with self._speaking_for_itself():
            return {identity: self._read_one(identity) for identity in self._steps(identities)}

    @contextlib.contextmanager
    def _speaking_for_itself(self) -> Iterator[None]:
        """What is wrong with the directory itself is told as that. Raises Unavailable."""
        try:
            if not self._directory.is_dir():
                raise Unavailable(
                    f"the directory {self._directory} is gone: bring it back; the routes are kept meanwhile"
                )
            yield
        except OSError as error:
            raise Unavailable(
                f"the directory {self._directory} cannot be read ({error.strerror}): the routes are kept meanwhile"
            ) from error

    def _read_one(self, identity: str) -> Desired | None:
        if identity.startswith("."):
            return None  # an editor's scratch file, here as in `load`
        name = identity if identity.endswith(".yml") else f"{identity}{directories.SUFFIX}"
        entry = directories.entry(self._directory, name)
        desired = _desired(entry) if entry is not None else None
        if entry is None or desired is None:
            self._read.pop(name, None)
        else:
            self._read[name] = (entry.signature, desired)
        return desired

    def put(self, workload: Workload) -> None:
        """Write `<id>.yaml`. Raises Unavailable when the disk refuses."""
        content = yaml.safe_dump(workload.document(), sort_keys=False, allow_unicode=True)
        path = self._directory / f"{workload.id}{directories.SUFFIX}"
        try:
            atomic.write(path, content)
        except OSError as error:
            raise Unavailable(f"cannot write {path}: {error.strerror}; the workload is as it was") from error

    def remove(self, identity: str) -> bool:
        """Remove `<id>.yaml`, readable or not. Raises Unavailable when the disk refuses."""
        path = self._directory / f"{workloads.workload_id(identity)}{directories.SUFFIX}"
        try:
            return directories.removed(path)
        except OSError as error:
            raise Unavailable(f"cannot remove {path}: {error.strerror}; the workload is as it was") from error


class AcceptedFiles:
    """`state/accepted/`: the versions let in last. Keeps `control.ports.AcceptedStore`; nobody else writes there."""

    def __init__(self, directory: Path, steps: Steps = at_once) -> None:
        self._directory = directory
        self._steps = steps
        self._known: dict[str, Workload] | None = None

    def load(self) -> Mapping[str, Workload]:
        """By id; read from disk once."""
        return dict(self._cache())

    def get(self, identity: str) -> Workload | None:
        """One workload's version; None: none is remembered."""
        return self._cache().get(identity)

    def put(self, workload: Workload) -> None:
        """Remember this version. Not synced: losing it costs only who was first, after a power failure.

        Raises Unavailable when the disk refuses.
        """
        content = json.dumps(workload.document())  # YAML too, and a hundred times as fast to write
        try:
            atomic.write(self._directory / f"{workload.id}{directories.SUFFIX}", content, sync=False)
        except OSError as error:
            raise Unavailable(f"cannot write into {self._directory}: {error.strerror}") from error
        self._cache()[workload.id] = workload

    def remove(self, identity: str) -> bool:
        """Forget a workload. Raises Unavailable when the disk refuses."""
        self._cache().pop(identity, None)
        try:
            return directories.removed(self._directory / f"{identity}{directories.SUFFIX}")
        except OSError as error:
            raise Unavailable(f"cannot remove from {self._directory}: {error.strerror}") from error

    def _cache(self) -> dict[str, Workload]:
        if self._known is None:
            names = os.listdir(self._directory) if self._directory.is_dir() else []
            names = [name for name in names if name.endswith(directories.SUFFIX)]
            found = (_accepted(self._directory, name) for name in self._steps(names))
            self._known = {workload.id: workload for workload in found if workload is not None}
        return self._known


def _accepted(directory: Path, name: str) -> Workload | None:
    """A remembered version; None: there is none to be made of this file.

    They are written as JSON, and read as such where they are: ten thousand of them are read before anything is served.
    """
    identity = name.removesuffix(directories.SUFFIX)
    try:
        raw = directories.read_limited(directory / name, documents.LARGEST_DOCUMENT_BYTES)
        return workloads.parse(identity, json.loads(raw))
    except (OSError, InvalidInput, ValueError, RecursionError):
        entry = directories.entry(directory, name)
        desired = _desired(entry) if entry is not None else None
        return desired.content if desired is not None and isinstance(desired.content, Workload) else None


def _desired(entry: directories.Entry) -> Desired | None:
    """A workload file's content or what is wrong with it; None when it has gone meanwhile."""
    shown = directories.printable(entry.name)
    identity = shown.removesuffix(directories.SUFFIX)
    try:
        raw = directories.read_limited(entry.path, documents.LARGEST_DOCUMENT_BYTES)
        return Desired(identity, _parsed(entry, identity, raw), entry.modified)
    except FileNotFoundError:
        return None
    except InvalidInput as error:
        return Desired(identity, error, entry.modified)
    except OSError as error:
        return Desired(identity, InvalidInput(f"{shown} cannot be read: {error.strerror}"), entry.modified)


def _parsed(entry: directories.Entry, identity: str, raw: bytes) -> Workload:
    if not entry.name.endswith(directories.SUFFIX):
        right = identity.rsplit(".", 1)[0] + directories.SUFFIX
        raise InvalidInput(f"rename {identity} to {right}: workload files end in {directories.SUFFIX}")
    return workloads.parse(identity, documents.parse(raw))
