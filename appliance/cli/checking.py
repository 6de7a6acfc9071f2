"""The verbs about the operator's own fragments: how they stand, and what would become of files."""

import json
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.cli import tables
from appliance.cli.client import AdminClient
from appliance.layout import Root
from appliance.model.errors import InvalidInput

if TYPE_CHECKING:
    from appliance.control.checking import Verdict
    from appliance.settings import Settings

EXIT_REFUSED = 1
_WORKLOAD_KEYS = frozenset({"type", "name", "fqdn", "backends", "tls_passthrough"})
_ENDINGS = (".yaml", ".yml", ".toml")


def extra(options: Namespace) -> int:
    """The fragments in `extra/`."""
    found = AdminClient(options.root).call("GET", "/v1/extra")
    if told := json.dumps(found, indent=2) if options.json else _table(found):
        print(told)
    return 0


def check(options: Namespace) -> int:
    """What would become of a file, or of every file in a directory. Exit code 1: something would be refused."""
    verdicts = _verdicts(options)
    if options.json:
        files = [{**asdict(verdict), "state": "refused" if verdict.reason else "good"} for verdict in verdicts]
        print(json.dumps({"good": not any(item.reason for item in verdicts), "files": files}, indent=2))
    else:
        print("\n".join(map(_line, verdicts)) or "nothing to check")
    return EXIT_REFUSED if any(verdict.reason for verdict in verdicts) else 0


def _verdicts(options: Namespace) -> "list[Verdict]":
    from appliance import settings
    from appliance.adapters import fragment_files, processes
    from appliance.adapters.files import WorkloadFiles
    from appliance.adapters.fragment_files import FragmentFiles
    from appliance.adapters.throwaway import TraefikTrial
    from appliance.control import checking
    from appliance.model import fragments
    from appliance.model.fragments import Surroundings
    from appliance.settings import meaning

    root, path = Root(Path(options.root).absolute()), options.path
    files, is_whole = _files(path)
    loaded = settings.load(settings.find(root.path, os.environ, options.config), os.environ)
    binary = processes.traefik_binary(loaded.traefik.binary)
    kept = FragmentFiles(root.extra, root.fragments, binary).accepted()
    rules = replace(
        meaning.rules(loaded, own=processes.interface_addresses()), reserved=fragments.reservations(kept.values())
    )
    existing = WorkloadFiles(root.workloads).load() if root.workloads.is_dir() else []
    named = {file.stem for file in files if _is_workload(file)}
    others = [item for item in existing if item.id not in named and not (is_whole and named)]
    register = checking.register_of(others, rules)
    around = Surroundings(rules.domains, frozenset(register.routes), dict(register.holders))
    store = WorkloadFiles(path if path.is_dir() else path.parent)
    wanted = [item for item in store.read(named).values() if item is not None]
    verdicts = checking.workloads(wanted, register, _lookups(loaded))
    tried = {file.stem: read for file in files if file.stem not in named if (read := fragment_files.read(file))}
    if tried:
        trial = TraefikTrial(binary, root.path if root.path.is_dir() else None)
        verdicts += checking.try_fragments(tried, {} if is_whole else kept, around, trial)
    return verdicts


def _lookups(loaded: "Settings") -> Any:
    from appliance.adapters.lookups import ResolverLookups
    from appliance.settings import meaning

    return ResolverLookups(lambda: meaning.resolvers(loaded))


def _files(path: Path) -> tuple[list[Path], bool]:
    """The files that are meant, and whether they are a whole directory. Raises InvalidInput."""
    if path.is_dir():
        return sorted(it for it in path.iterdir() if it.name.endswith(_ENDINGS) and not it.name.startswith(".")), True
    if not path.exists():
        raise InvalidInput(f"there is no {path}: name a file or a directory")
    return [path], False


def _is_workload(path: Path) -> bool:
    """Whether a file is meant as a workload; where its content does not tell, where it lies does."""
    from appliance.model import documents

    try:
        with path.open("rb") as file:
            content = documents.parse(file.read(documents.LARGEST_DOCUMENT_BYTES + 1))
    except (OSError, InvalidInput):
        content = None
    if isinstance(content, Mapping):
        return bool(_WORKLOAD_KEYS & content.keys())
    return path.absolute().parent.name == "workloads"


def _line(verdict: "Verdict") -> str:
    state = f"refused: {verdict.reason}" if verdict.reason else "good"
    return f"{verdict.kind} {verdict.name}: {state}"


def _table(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [(item["file"], item["state"], "yes" if item["live"] else "no", item["reason"]) for item in found]
    return tables.text(("FILE", "STATE", "LIVE", "REASON"), rows, "no fragments", is_table=tables.is_wanted())
