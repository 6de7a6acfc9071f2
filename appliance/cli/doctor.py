"""The verb `doctor`: examines this host, and says what to mend first."""

import json
import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from appliance.cli.client import AdminClient
from appliance.cli.progress import Progress, printable
from appliance.model import doctor as checks
from appliance.model.errors import Unavailable
from appliance.model.findings import Finding, Status

EXIT_BAD = 1
_COLOURS = {Status.OK: "32", Status.WARN: "33", Status.FAIL: "1;31", Status.UNKNOWN: "36"}


def doctor(options: Namespace) -> int:
    """Examine. Exit code 1: a check fails (or with --strict is warned of)."""
    from appliance import logs, settings
    from appliance.control import doctor as examining
    from appliance.daemon import diagnosis
    from appliance.layout import Root

    logs.configure("error")
    root = Root(Path(options.root).absolute())
    config = settings.find(root.path, os.environ, options.config)
    around = diagnosis.surroundings(root, config, os.environ, lambda: _status(root.path))
    if options.fix:
        for line in around.host.mend() or ["nothing that is safe to mend by itself"]:
            print(f"gateway doctor --fix: {line}", file=sys.stderr)
    with Progress.of(options) as progress:
        found = examining.examine(around, told=lambda ids: progress.tell(_asking(ids), "examining"))
    print(json.dumps(checks.report(found), indent=2) if options.json else text(found, has_colour=_has_colour()))
    return 0 if checks.is_well(found, is_strict=options.strict) else EXIT_BAD


def text(found: Sequence[Finding], *, has_colour: bool = False) -> str:
    """The findings for people: what to mend first, then everything by group, then how many of each."""
    lines: list[str] = []
    worst = checks.worst(found)
    if worst is not None:
        lines += [f"FIRST TO MEND: {worst.id}", f"  {printable(worst.evidence)}"]
        lines += [f"  -> {printable(worst.todo)}"] if worst.todo else []
        lines.append("")
    width = max((len(one.id) for one in found), default=0)
    for group, members in groupby(found, checks.group):
        lines.append(group.upper())
        for one in members:
            lines.append(f"  {_word(one.status, has_colour=has_colour)}  {one.id:<{width}}  {printable(one.evidence)}")
            if one.todo and one.status is not Status.OK:
                lines.append(f"  {'':7}  {'':{width}}  -> {printable(one.todo)}")
        lines.append("")
    counts = Counter(one.status for one in found)
    lines.append(", ".join(f"{counts[status]} {status.value}" for status in Status))
    return "\n".join(lines)


def _asking(ids: Sequence[str]) -> str:
    return f"{len(ids)} more to come: {', '.join(ids)}"


def _word(status: Status, *, has_colour: bool) -> str:
    word = f"{status.value if status is not Status.FAIL else 'FAIL':<7}"
    return f"\x1b[{_COLOURS[status]}m{word}\x1b[0m" if has_colour else word


def _has_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _status(root: Path) -> Mapping[str, Any] | None:
    """What a running control plane says of itself; None when none answers."""
    try:
        found: Mapping[str, Any] = AdminClient(root).call("GET", "/v1/status")
    except Unavailable:
        return None
    return found
