"""The grammar of the command line: the original start line, the root, and what is no command."""

from pathlib import Path

import pytest

from appliance.cli import main, starting
from appliance.cli.arguments import parser


@pytest.mark.parametrize(
    "arguments",
    [
        ["--broker", "unix:///var/run/redis.sock", "--root", "/srv/gw"],
        ["--root", "/srv/gw", "--broker", "unix:///var/run/redis.sock"],
        ["run", "--broker", "unix:///var/run/redis.sock", "--root", "/srv/gw"],
        ["--root", "/srv/gw", "run", "--broker", "unix:///var/run/redis.sock"],
        ["--root", "/srv/other", "--broker", "unix:///var/run/redis.sock", "run", "--root", "/srv/gw"],
    ],
)
def test_without_a_verb_the_start_line_means_run(arguments: list[str]) -> None:
    options = parser().parse_args(arguments)
    assert options.verb is starting.run
    assert options.root == Path("/srv/gw")
    assert options.broker == "unix:///var/run/redis.sock"
    assert options.config is None


@pytest.mark.parametrize(
    ("environment", "arguments", "root"),
    [
        ({}, ["status"], "/var/cache/modules/gateway"),
        ({"GATEWAY_ROOT": ""}, ["status"], "/var/cache/modules/gateway"),
        ({"GATEWAY_ROOT": "/srv/env"}, ["status"], "/srv/env"),
        ({"GATEWAY_ROOT": "/srv/env"}, [], "/srv/env"),
        ({"GATEWAY_ROOT": "/srv/env"}, ["serve"], "/srv/env"),
        ({"GATEWAY_ROOT": "/srv/env"}, ["--root", "/srv/a", "status"], "/srv/a"),
        ({"GATEWAY_ROOT": "/srv/env"}, ["status", "--root", "/srv/a"], "/srv/a"),
        ({}, ["--root", "/srv/b", "route", "list", "--root", "/srv/a"], "/srv/a"),
        ({}, ["--root", "/srv/a", "route", "name", "a", "a", "http://10.1.2.3"], "/srv/a"),
        ({}, ["--root", "/srv/a", "dns-records"], "/srv/a"),
    ],
)
def test_the_root_may_stand_before_or_after_the_verb_or_in_the_environment(
    environment: dict[str, str], arguments: list[str], root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_ROOT", raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert parser().parse_args(arguments).root == Path(root)


@pytest.mark.parametrize(
    "arguments",
    [
        ["perhaps"],
        ["route"],
        ["route", "name", "blog"],
        ["route", "name", "blog", "blog"],
        ["route", "list", "extra"],
        ["route", "name", "a", "a", "http://10.1.2.3", "--timeout", "soon"],
        ["--workers", "many"],
        ["status", "--config", "x"],
        ["run", "--log-level", "loud"],
    ],
)
def test_what_is_no_command_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: gateway" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("gateway ")
