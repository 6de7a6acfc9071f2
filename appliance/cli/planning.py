"""The verb `route plan`: what workload files would change, before they are set."""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.cli.client import AdminClient
from appliance.model.errors import InvalidInput

EXIT_REFUSED = 1
_SIGNS = {"create": "+", "update": "~", "delete": "-"}


def route_plan(options: Namespace) -> int:
    """Say what would become of workload files. Exit code 1: something would be refused."""
    wanted = {path.stem: _document(path) for path in _files(options.path)}
    asked = {"set": wanted, "delete": options.delete}
    found = AdminClient(options.root).call("POST", "/v1/workloads:plan", asked)
    print(json.dumps(found, indent=2) if options.json else _text(found))
    return EXIT_REFUSED if found["refused"] else 0


def _files(path: Path | None) -> list[Path]:
    if path is None:
        return []
    if path.is_dir():
        return sorted(item for item in path.glob("*.yaml") if not item.name.startswith("."))
    if not path.exists():
        raise InvalidInput(f"there is no {path}: name a workload file, or a directory of them")
    return [path]


def _document(path: Path) -> Any:
    from appliance.model import documents

    with path.open("rb") as file:
        try:
            return documents.parse(file.read(documents.LARGEST_DOCUMENT_BYTES + 1))
        except InvalidInput as error:
            raise InvalidInput(f"{path}: {error}") from error


def _text(found: Mapping[str, Any]) -> str:
    lines = [f"{_SIGNS[item['change']]} {item['change']} {item['id']}{_host(item)}" for item in found["changes"]]
    lines += [f"! refused {item['id']}: {item['reason']}" for item in found["refused"]]
    return "\n".join(lines) or "nothing would change"


def _host(item: Mapping[str, Any]) -> str:
    return f" ({item['host']})" if item["host"] else ""
