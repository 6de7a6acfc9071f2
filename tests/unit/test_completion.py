"""Completion in a real bash, and help in which every verb has an example that works."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.cli import completion, main
from appliance.cli.arguments import parser
from appliance.cli.completion import Verb

VERBS = list(completion.verbs(parser()))
_ASK = """\
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_gateway
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "gateway.bash"
    path.write_text(completion.script("bash", VERBS), encoding="utf-8")
    return path


def completed(script: Path, line: str) -> set[str]:
    """What bash offers at the end of a line."""
    words = [*shlex.split(line), ""] if line.endswith(" ") else shlex.split(line)
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK, "bash", str(script), *words],
        capture_output=True,
        text=True,
        cwd=script.parent,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gateway sta", {"status"}),
        ("gateway route ", {"name", "fqdn", "delete", "list", "prune", "plan", "show", "wait", "-h", "--help"}),
        ("gateway route de", {"delete"}),
        ("gateway route wait c", {"certificate"}),
        ("gateway route name blog blog http://10.1.2.3 --wait ", {"applied", "certificate"}),
        ("gateway --root /srv route sh", {"show"}),
        ("gateway --config run sta", {"status"}),
        ("gateway token new grafana --role ", {"read", "write"}),
        ("gateway token new grafana --role w", {"write"}),
        ("gateway logs --level wa", {"warning"}),
        ("gateway completion ", {"bash", "zsh", "-h", "--help"}),
        ("gateway doctor --st", {"--strict"}),
        ("gateway top -n ", set()),
        ("gateway backup gateway.b", {"gateway.bash"}),
        ("gateway status --root gateway.b", {"gateway.bash"}),
        ("gateway call Set", {"SetNamedProxy", "SetFQDNProxy"}),
    ],
)
def test_bash_offers(bash: Path, line: str, offered: set[str]) -> None:
    assert completed(bash, line) == offered


def test_bash_offers_every_verb_and_none_that_is_not_for_people(bash: Path) -> None:
    offered = completed(bash, "gateway ")
    assert {verb.path[0] for verb in VERBS if verb.path} <= offered
    assert not offered & {"start-traefik"}


def test_an_option_takes_a_value_everywhere_or_nowhere() -> None:
    """The script tells a value from a verb by the option before it, whichever verb that belongs to."""
    taking = {option for verb in VERBS for option in verb.values}
    assert not taking & {option for verb in VERBS for option in verb.flags}


def test_zsh_is_served_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef gateway\n")
    assert "'status:how the appliance is'" in script
    if shell := shutil.which("zsh"):
        path = tmp_path / "_gateway"
        path.write_text(script, encoding="utf-8")
        assert subprocess.run([shell, "-n", str(path)], check=False).returncode == 0


@pytest.mark.parametrize("verb", [one for one in VERBS if one.path], ids=lambda one: " ".join(one.path))
def test_every_verb_has_an_example_that_works(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    """Its help shows one, on a line of its own, that the grammar takes for this very verb."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*verb.path, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    _, heading, examples = told.partition("\nexample")
    assert heading
    shown = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    assert shown
    for line in shown:
        words = line.partition(" >")[0].removeprefix("source <(").removesuffix(")")
        arguments = shlex.split(words, comments=True)
        assert Path(arguments[0]).name == "gateway", line
        assert callable(parser().parse_args(arguments[1:]).verb)
        assert " ".join(verb.path) in words
