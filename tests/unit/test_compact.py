"""What the image's modules are compiled to does the same, without docstrings; our own package keeps them."""

import compileall
import subprocess
import sys
from pathlib import Path
from typing import Final

COMPACT: Final = Path(__file__).parents[2] / "images/compact"
MODULE: Final = '''"""About it."""

from __future__ import annotations

import sys


class Empty:
    """Nothing but this."""


def answer(value: int) -> int:
    """Adds one."""
    assert value, "asserted"
    return value + 1
'''
SHOW: Final = """
import other.module as other, appliance.module as own
assert (other.__doc__, other.Empty.__doc__, other.answer.__doc__) == (None, None, None)
assert (own.__doc__, own.Empty.__doc__, own.answer.__doc__) == ("About it.", "Nothing but this.", "Adds one.")
assert other.answer(1) == own.answer(1) == 2
try:
    other.answer(0)
except AssertionError as error:
    assert error.__traceback__.tb_next.tb_lineno == 14
else:
    raise SystemExit("the assertion is gone")
"""


def test_docstrings_go_and_everything_else_stays(tmp_path: Path) -> None:
    for package in ("other", "appliance"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "module.py").write_text(MODULE)
    compileall.compile_dir(tmp_path, quiet=1)
    (tmp_path / "never_compiled.py").write_text("this is no Python")
    subprocess.run([sys.executable, "-IS", "-X", "no_debug_ranges", COMPACT, tmp_path], check=True)
    done = subprocess.run([sys.executable, "-S", "-c", SHOW], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "__pycache__").exists()
