"""Takes over the root of the original gateway, once: its route files become workloads.

It happens before anything else touches the root, and before `workloads/` exists, which is how it is known to be due.
All workloads appear in one step; an interrupted adoption begins anew at the next start. The original's files end up in
`quarantine/`, those that could not be adopted with the reason beside them.
"""

import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from appliance import atomic, directories, logs
from appliance.layout import Root
from appliance.model import adoption, documents
from appliance.model.errors import GatewayError, InvalidInput
from appliance.model.workloads import Workload
from appliance.render import dynamic

log = logs.logger(__name__)

_SUFFIX = directories.SUFFIX
_REASON_SUFFIX = ".reason.txt"


def adopt(root: Root, domains: Callable[[], Collection[str]]) -> None:
    """Import the original's route files if this root was the original's. `domains` gives the gateway's domains.

    Raises GatewayError when the root cannot be written to, or whatever `domains` does.
    """
    if root.workloads.exists() or not root.proxy.is_dir():
        return
    originals = _originals(root.proxy)
    if not originals:
        return
    known = {*domains(), *adoption.gateway_domains(originals.values())}
    try:
        _import(root, originals, known)
    except OSError as error:
        raise GatewayError(
            f"the route files in {root.proxy} cannot be adopted ({error}): give this user the root, or move them away"
        ) from error


def _import(root: Root, originals: Mapping[str, Any], domains: Collection[str]) -> None:
    root.quarantine.mkdir(mode=0o700, exist_ok=True)
    draft = root.path / ".workloads.adopting"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    adopted: list[str] = []
    for name, document in originals.items():
        try:
            found = _workload(name, document, domains)
        except InvalidInput as error:
            _refuse(root, name, str(error))
            continue
        _write(draft, found, root.proxy / name)
        adopted.append(name)
        log.info("workload adopted", workload=found.id, host=found.fqdn or f"{found.name}.{found.domain}")
    draft.rename(root.workloads)
    atomic.sync_directory(root.path)
    for name in adopted:
        atomic.set_aside(root.proxy / name, root.quarantine)
    log.warning(
        "the original gateway's routes were adopted as workloads; its files are kept in quarantine/",
        adopted=len(adopted),
        refused=len(originals) - len(adopted),
    )


def _workload(name: str, document: Any, domains: Collection[str]) -> Workload:
    if isinstance(document, InvalidInput):
        raise document
    return adoption.workload(name.removesuffix(_SUFFIX), document, domains)


def _write(directory: Path, found: Workload, original: Path) -> None:
    """The workload's file, as old as the original's: of two claims to one host the older is served."""
    path = directory / f"{found.id}{_SUFFIX}"
    atomic.write(path, yaml.safe_dump(found.document(), sort_keys=False, allow_unicode=True))
    status = original.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _refuse(root: Root, name: str, reason: str) -> None:
    target = atomic.set_aside(root.proxy / name, root.quarantine)
    atomic.write(target.with_name(target.name + _REASON_SUFFIX), reason + "\n")
    log.warning("route file not adopted", file=name, reason=reason, moved_to=str(target))


def _originals(proxy: Path) -> dict[str, Any]:
    """By file name: the documents (or what is wrong with them) of plain files that this appliance did not write."""
    found: dict[str, Any] = {}
    for entry in directories.entries(proxy):
        if not entry.name.endswith(_SUFFIX) or entry.signature is None:
            continue
        try:
            raw = directories.read_limited(entry.path, dynamic.LARGEST_FILE_BYTES)
            if not dynamic.is_sealed(raw.decode("utf-8", "replace")):
                found[entry.name] = documents.parse(raw)
        except InvalidInput as error:
            found[entry.name] = error
    return found
