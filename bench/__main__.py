"""`python -m bench [NAME...] [OPTION...]`: run benches by name, all of them when none is named.

A bench is a module here with a `main()`; its name is the module's with hyphens. Options go to the bench, so they need
exactly one name. Benches use real peers: run them in the harness's namespace (`make bench` does).
"""

import importlib
import itertools
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path


def benches() -> dict[str, Callable[[], int | None]]:
    """Every bench by name."""
    found: dict[str, Callable[[], int | None]] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.ispkg and not module.name.startswith("_"):
            main = getattr(importlib.import_module(f"bench.{module.name}"), "main", None)
            if main is not None:
                found[module.name.replace("_", "-")] = main
    return found


def main() -> int:
    """Run them one after the other; 1 when one of them failed."""
    arguments = sys.argv[1:]
    names = list(itertools.takewhile(lambda argument: not argument.startswith("-"), arguments))
    options = arguments[len(names) :]
    known = benches()
    unknown = [name for name in names if name not in known]
    if unknown or (options and len(names) != 1):
        print(f"usage: python -m bench [NAME...] | NAME OPTION...   names: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or known:
        print(f"== {name}", flush=True)
        sys.argv = [f"bench {name}", *options]
        failed |= bool(known[name]())
    return failed


if __name__ == "__main__":
    sys.exit(main())
