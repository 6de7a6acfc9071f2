"""The README's way to the first certificate, followed by somebody who knows nothing else.

Its commands are taken from the README, in its order, and run in one shell. Of the gateway's own commands nothing stands
here. What a newcomer does besides is edit the settings and create, at a DNS provider, whatever records are printed.
"""

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

README: Final = Path(__file__).parents[1] / "README.md"
_SHELL_BLOCK: Final = re.compile(r"^(?P<before>[^\n]*)\n\n```sh\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_RECORD: Final = re.compile(r"^(\S+)\.\s+\d+\s+IN\s+([A-Z]+)\s+(.+?)\s*$", re.MULTILINE)
_END: Final = "=== the command ended with "
_EDIT: Final = """\
#!{python}
import sys
from pathlib import Path
path = Path(sys.argv[1])
text = path.read_text(encoding="utf-8")
for placeholder, own in {own!r}:
    assert placeholder in text, placeholder
    text = text.replace(placeholder, own)
path.write_text(text, encoding="utf-8")
"""

Records = list[tuple[str, str]]
"""Owner without the last dot, and `TYPE rdata`."""


def commands(way: str | None = None) -> list[str]:
    """Every command line, in order; with `way` ("With Docker", "Without Docker") those of "Run it" that go that way."""
    text = README.read_text(encoding="utf-8")
    if way is not None:
        text = re.split(r"^## ", text.partition("\n## Run it\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return [line for block in _SHELL_BLOCK.finditer(text) if _goes(block["before"], way) for line in _lines(block)]


def records(output: str) -> Records:
    """The DNS records that were printed, as a provider's form takes them."""
    return [(name, f"{kind} {content}") for name, kind, content in _RECORD.findall(output)]


def editor(directory: Path, own: Mapping[str, str]) -> Path:
    """A program that edits as a person does: placeholders become one's own values."""
    path = directory / "editor"
    path.write_text(_EDIT.format(python=sys.executable, own=list(own.items())), encoding="utf-8")
    path.chmod(0o755)
    return path


class Shell:
    """The newcomer's shell, with aliases as in any that is typed in."""

    def __init__(self, environment: Mapping[str, str], directory: Path, before: tuple[str, ...] = ()) -> None:
        """`before`: what the shell is started by, if by anything."""
        self._bash = subprocess.Popen(
            [*before, "bash", "--norc", "-O", "expand_aliases"],
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bash.kill()
        self._bash.communicate()

    def run(self, command: str, *, seconds: float = 300) -> str:
        """What it prints; fails when it does not end with 0, or not in time."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        watchdog = threading.Timer(seconds, self._bash.kill)
        watchdog.start()
        self._bash.stdin.write(f"eval {_quoted(command)} </dev/null 2>&1; code=$?; echo; echo '{_END}'$code\n")
        self._bash.stdin.flush()
        output, code = "", ""
        while not code and (line := self._bash.stdout.readline()):
            if line.startswith(_END):
                code = line.removeprefix(_END).strip()
            else:
                output += line
        watchdog.cancel()
        assert code == "0", f"{command}: {code}\n{output}"
        return output


def follow(shell: Shell, way: str, own: Mapping[str, str], create: Callable[[Records], None]) -> dict[str, str]:
    """Go that way; `own` are the values of one's own for those that the README shows. What each command printed."""
    printed: dict[str, str] = {}
    for shown in commands(way):
        command = shown
        for placeholder, value in own.items():
            command = command.replace(placeholder, value)
        printed[shown] = shell.run(command)
        if found := records(printed[shown]):
            create(found)
    return printed


def _goes(before: str, way: str | None) -> bool:
    return way is None or not before.startswith(("With Docker,", "Without Docker,")) or before.startswith(f"{way},")


def _lines(block: re.Match[str]) -> list[str]:
    return [line for line in block["text"].splitlines() if line and not line.startswith("#")]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
