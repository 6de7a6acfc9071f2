"""The verbs about tokens of the admin API. They write the token file themselves, so nothing has to run."""

import argparse
import json
import os
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli import tables, teaching
from appliance.model.errors import InvalidInput

if TYPE_CHECKING:
    from appliance.adapters.token_file import TokenFile

_ROLES = ("read", "write")


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The grammar below `token`."""
    new = teaching.verb(
        verbs,
        "new",
        "make a token for the admin API over TCP; it is shown once",
        "gateway token new grafana --role read",
    )
    new.add_argument("name", metavar="NAME", help="who it is for: 1 to 64 letters, digits, ., _ and -")
    new.add_argument("--role", choices=_ROLES, required=True, help="what it may do")
    new.set_defaults(verb=new_token)
    listing = teaching.verb(verbs, "list", "the tokens there are", "gateway token list")
    listing.set_defaults(verb=list_tokens)
    revoke = teaching.verb(
        verbs,
        "revoke",
        "let a token be of no use from now on; nothing is restarted",
        "gateway token revoke grafana",
    )
    revoke.add_argument("name", metavar="NAME")
    revoke.set_defaults(verb=revoke_token)
    for parser in (new, listing, revoke):
        parser.add_argument("--root", type=Path, default=argparse.SUPPRESS, help="the appliance's directory")
        parser.add_argument("--config", type=Path, default=argparse.SUPPRESS, help="settings file")
        parser.add_argument("--file", type=Path, default=None, help="token file (default: admin.token_file)")
        parser.add_argument("--json", action="store_true", help="print JSON")


def new_token(options: Namespace) -> int:
    """Make one, and show it: alone on standard output, so that it can be piped to where it is kept."""
    from appliance.model.tokens import Role

    text = _file(options).create(options.name, Role(options.role))
    print(json.dumps({"name": options.name, "role": options.role, "token": text}) if options.json else text)
    return 0


def list_tokens(options: Namespace) -> int:
    """Their names and roles; nobody can show the tokens themselves."""
    found = [{key: value for key, value in asdict(one).items() if key != "digest"} for one in _file(options).tokens()]
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    rows = [(one["name"], one["role"], one["created"]) for one in found]
    if told := tables.text(("NAME", "ROLE", "CREATED"), rows, "no tokens", is_table=tables.is_wanted()):
        print(told)
    return 0


def revoke_token(options: Namespace) -> int:
    """Forget one."""
    _file(options).revoke(options.name)
    print(json.dumps({"name": options.name, "revoked": True}) if options.json else f"{options.name} revoked")
    return 0


def _file(options: Namespace) -> "TokenFile":
    from appliance.adapters.token_file import TokenFile

    if options.file is not None:
        return TokenFile(options.file)
    from appliance import settings

    path = settings.find(options.root, os.environ, options.config)
    chosen = settings.load(path, os.environ).admin.token_file
    if chosen is None:
        raise InvalidInput(f"there is no `admin.token_file` in {path}: add it, or name a file with --file")
    return TokenFile(chosen)
