"""The tree is what the architecture says: imports point down its floors, and every module says why it exists."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
MODULES = sorted((ROOT / "appliance").rglob("*.py"))


@functools.cache
def floors() -> dict[str, int]:
    """Package or module -> its floor, from the table in the document."""
    table = ARCHITECTURE.read_text(encoding="utf-8").split("## Floors")[1].split("\n## ")[0]
    found: dict[str, int] = {}
    for number, names in re.findall(r"^\| (\d+) \| (.*?) \|", table, re.MULTILINE):
        found.update({name: int(number) for name in re.findall(r"`(\w+)`", names)})
    return found


def imports(module: Path) -> Iterator[tuple[str, ...]]:
    """The parts of the appliance that a module imports, wherever in it, for running or for type checking."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.module != "appliance" else [f"appliance.{name}" for name in names]
        for name in names:
            if name.startswith("appliance."):
                yield tuple(name.split(".")[1:])


def name_of(module: Path) -> str:
    return str(module.relative_to(ROOT / "appliance"))


def test_the_table_has_every_part_of_the_tree() -> None:
    entries = (ROOT / "appliance").iterdir()
    parts = {path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert floors().keys() == parts - {"__init__"}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_point_down(module: Path) -> None:
    own = module.relative_to(ROOT / "appliance").with_suffix("").parts
    floor = {**floors(), "__init__": 0}
    for imported in imports(module):
        is_below = floor[imported[0]] < floor[own[0]]
        assert is_below or imported[0] == own[0], f"{name_of(module)} imports {'.'.join(imported)}"


@pytest.mark.parametrize(
    "module", [path for path in MODULES if path.parts[-2] == "adapters" or "adapters" in path.parts], ids=name_of
)
def test_adapters_do_not_know_one_another(module: Path) -> None:
    own = module.relative_to(ROOT / "appliance" / "adapters").with_suffix("").parts[0]
    others = [imported for imported in imports(module) if imported[0] == "adapters" and imported[1:2] != (own,)]
    assert not others


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_every_module_opens_with_why_it_exists(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
