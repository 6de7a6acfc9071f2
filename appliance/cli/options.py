"""`--option`, `--options-file` and `--no-options` of `route name` and `route fqdn`.

Nothing is judged here: the control plane knows the options. Without any of the three a workload keeps what it has.
"""

import argparse
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from appliance.model.errors import InvalidInput


def add(parser: argparse.ArgumentParser) -> None:
    """Add them to a verb."""
    group = parser.add_argument_group(
        "options of the workload", "Given together they are all it has from now on; with none of them it keeps its own."
    )
    group.add_argument(
        "--option",
        metavar="KEY=JSON",
        action="append",
        default=[],
        help="one option, like hsts=true or 'rate_limit={\"average\": 50}'; may be repeated; text needs no quotes",
    )
    group.add_argument(
        "--options-file",
        metavar="FILE",
        help="YAML or JSON as below `options:` in a workload file, - for standard input; keeps password lines "
        "out of the list of processes",
    )
    group.add_argument("--no-options", action="store_true", help="take all options away")


def chosen(given: Namespace) -> dict[str, Any]:
    """What goes into the workload's document: `{"options": ...}`, or nothing. Raises InvalidInput."""
    if not (given.option or given.options_file or given.no_options):
        return {}
    if given.no_options and (given.option or given.options_file):
        raise InvalidInput("--no-options goes with neither --option nor --options-file: give one or the other")
    read = _read(given.options_file) if given.options_file else {}
    return {"options": read | dict(_pair(text) for text in given.option)}


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"--option {key[:80]!r} has no value: write KEY=JSON, like hsts=true")
    try:
        return key, json.loads(value)
    except ValueError as error:
        if value[:1] in ("{", "[", '"'):
            raise InvalidInput(f"the value of --option {key} is no JSON: quote it for the shell, '...'") from error
        return key, value


def _read(name: str) -> dict[str, Any]:
    from appliance.model import documents

    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InvalidInput(f"the options file {name} cannot be read: {error.strerror}") from error
    return documents.mapping(documents.parse(raw), "the options file")
