"""The verb `completion`: a script that completes verbs, options and their values in a shell.

It is made from the grammar itself, so it knows what the grammar knows. What only a running gateway knows, such as
the ids of workloads, is not completed: a key press must not wait for anything.
"""

import argparse
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.cli import teaching

SHELLS = ("bash", "zsh")


@dataclass(frozen=True, slots=True)
class Verb:
    """What may follow a verb. `path` are the words up to it; the grammar itself has none."""

    path: tuple[str, ...]
    verbs: Mapping[str, str]
    """Each with what its help says of it."""
    flags: tuple[str, ...]
    """Options that take no value."""
    values: Mapping[str, tuple[str, ...] | None]
    """Options that take one: those there are; None: the name of a file; empty: anything."""
    words: tuple[str, ...]
    """What its own arguments may be, where only these may."""
    takes_files: bool


def add_verb(commands: "teaching.Commands[ArgumentParser]") -> None:
    """The grammar of the verb."""
    examples = "gateway completion bash >/etc/bash_completion.d/gateway", "source <(gateway completion zsh)"
    parser = teaching.verb(commands, "completion", "print a script that completes this command in a shell", *examples)
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads it")
    parser.set_defaults(verb=completion)


def completion(options: Namespace) -> int:
    """Print the script."""
    from appliance.cli.arguments import parser

    print(script(options.shell, list(verbs(parser()))), end="")
    return 0


def verbs(parser: ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Verb]:
    """Every verb of the grammar that its help shows, the grammar itself first."""
    actions = parser._actions  # noqa: SLF001  argparse has no public way to walk a grammar
    groups = [one for one in actions if isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001
    shown = {one.dest: one.help or "" for group in groups for one in group._choices_actions}  # noqa: SLF001
    given = [one for one in actions if one.option_strings]
    own = [one for one in actions if not one.option_strings and one not in groups]
    yield Verb(
        path,
        shown,
        tuple(name for one in given if one.nargs == 0 for name in one.option_strings),
        {name: _choices(one) for one in given if one.nargs != 0 for name in one.option_strings},
        tuple(str(word) for one in own for word in one.choices or ()),
        any(one.type is Path for one in own),
    )
    for group in groups:
        for name in shown:
            yield from verbs(group.choices[name], (*path, name))


def script(shell: str, found: list[Verb]) -> str:
    """The script for one shell."""
    table = "\n".join(_FORMS[shell](verb) for verb in found)
    paths = "|".join(f'"{" ".join(verb.path)}"' for verb in found if verb.path)
    values = "|".join(sorted({option for verb in found for option in verb.values}))
    filled = {"TABLE": table, "PATHS": paths, "VALUES": values}
    return re.sub("@([A-Z]+)@", lambda match: filled[match[1]], _SCRIPTS[shell])


def _choices(action: argparse.Action) -> tuple[str, ...] | None:
    if action.choices is not None:
        return tuple(map(str, action.choices))
    return None if action.type is Path or action.metavar == "FILE" else ()


def _cases(verb: Verb) -> Iterator[tuple[str, str]]:
    """Each option that takes a value, with the command that completes it."""
    for option, choices in verb.values.items():
        yield option, "_gateway_files" if choices is None else f"_gateway_offer {' '.join(choices)}".rstrip()


def _form(verb: Verb, offered: str) -> str:
    cases = "".join(f"\n        {option}) {command}; return ;;" for option, command in _cases(verb))
    files = "\n      _gateway_files" if verb.takes_files else ""
    return f'    "{" ".join(verb.path)}")\n      case "$before" in{cases}\n      esac{files}\n      {offered} ;;'


def _bash(verb: Verb) -> str:
    return _form(verb, f"_gateway_offer {' '.join([*verb.verbs, *verb.words, *verb.flags, *verb.values])}")


def _zsh(verb: Verb) -> str:
    """As in bash, and verbs with what they are for."""
    told = " ".join(_quoted(f"{name}:{summary}") for name, summary in verb.verbs.items())
    verbs = f"told=({told}); _describe verb told; " if told else ""
    return _form(verb, f"{verbs}_gateway_offer {' '.join([*verb.words, *verb.flags, *verb.values])}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_FORMS: Mapping[str, Callable[[Verb], str]] = {"bash": _bash, "zsh": _zsh}
_BASH = """\
# Completes `gateway` in bash. Load it with: source <(gateway completion bash)
_gateway_offer() {
  COMPREPLY+=($(compgen -W "$*" -- "${COMP_WORDS[COMP_CWORD]}"))
}
_gateway_files() {
  compopt -o filenames 2>/dev/null
  COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
}
_gateway() {
  local before="${COMP_WORDS[COMP_CWORD-1]}" verb="" last="" word
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$last" in
      @VALUES@) last=""; continue ;;
    esac
    case "${verb:+$verb }$word" in
      @PATHS@) verb="${verb:+$verb }$word" ;;
    esac
    last="$word"
  done
  case "$verb" in
@TABLE@
  esac
}
complete -F _gateway gateway
"""
_ZSH = """\
#compdef gateway
# Completes `gateway` in zsh. Load it with: source <(gateway completion zsh)
_gateway_offer() { compadd -- "$@" }
_gateway_files() { _files }
_gateway() {
  local before="${words[CURRENT-1]}" verb="" last="" word
  local -a told
  for word in "${(@)words[2,CURRENT-1]}"; do
    case "$last" in
      @VALUES@) last=""; continue ;;
    esac
    case "${verb:+$verb }$word" in
      @PATHS@) verb="${verb:+$verb }$word" ;;
    esac
    last="$word"
  done
  case "$verb" in
@TABLE@
  esac
}
compdef _gateway gateway
"""
_SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH}
