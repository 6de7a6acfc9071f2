"""The README's commands, run as they stand there. A command that is neither run nor excused fails the first test."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.peers.appliance import GATEWAY, Appliance
from tests.peers.launching import Launched

README: Final = Path(__file__).parents[2] / "README.md"

RUN: Final = {
    "make demo": "test_the_demo_and_what_it_says_to_look_at",
    "gateway dns-records": "test_the_records_of_the_readmes_settings",
    "gateway run": "test_a_first_workload",
    "gateway route name wiki wiki http://10.1.2.3:9001": "test_a_first_workload",
    "gateway route list": "test_a_first_workload",
    "gateway status": "test_a_first_workload",
}
"""Command -> the test here that runs it."""

NOT_RUN: Final = {
    "make test": "it is what runs these tests",
    "docker compose up --detach": "tests/container runs it, on a Docker engine",
}
"""Command -> why not."""


@pytest.fixture
def new_environment() -> dict[str, str]:
    """The environment of somebody who has set nothing yet."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}


def fenced(language: str) -> list[str]:
    """The texts of the README's fenced blocks of a language."""
    found: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return found


def commands() -> list[str]:
    """Every command line of the README, in order."""
    lines = [line for block in fenced("sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def own_gateway(command: str) -> list[str]:
    """The words of a command line, with `gateway` as the one under test."""
    program, *arguments = shlex.split(command)
    return [str(GATEWAY) if Path(program).name == "gateway" else program, *arguments]


def run(command: str, environment: Mapping[str, str]) -> str:
    """What a command prints; fails when it does not exit 0."""
    done = subprocess.run(
        own_gateway(command),
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_command_is_run_or_excused() -> None:
    """The two tables hold the README's commands, no more and no less."""
    assert sorted(commands()) == sorted([*RUN, *NOT_RUN])
    assert set(RUN.values()) <= set(globals())


def test_the_demo_and_what_it_says_to_look_at(short_path: Path, new_environment: dict[str, str]) -> None:
    """`make demo` ends in `gateway demo`: every line it prints to copy works, and Ctrl-C ends it with 0."""
    demo = Launched([str(GATEWAY), "demo"], short_path / "demo.log", environment=new_environment)
    try:
        demo.until_logged("Ctrl-C ends it.", seconds=60)
        shown = [line.strip() for line in demo.log_text().splitlines() if line.startswith("  ")]
        printed = {Path(shlex.split(line)[0]).name: run(line, new_environment) for line in shown}
        assert printed.keys() == {"curl", "gateway", "dig"}
        assert "Hello from behind the gateway." in printed["curl"]
        demo.process.send_signal(signal.SIGINT)
        assert demo.wait(seconds=40) == 0
    finally:
        demo.stop(seconds=40)


def test_the_demos_check(new_environment: dict[str, str]) -> None:
    """`gateway demo --check` exits 0 by itself."""
    assert "https://hello." in run("gateway demo --check", new_environment)


def test_the_records_of_the_readmes_settings(tmp_path: Path, new_environment: dict[str, str]) -> None:
    """`gateway dns-records` needs nothing but the settings, and prints every value of the README's table."""
    config = tmp_path / "gateway.yaml"
    config.write_text(next(block for block in fenced("yaml") if "public:" in block), encoding="utf-8")
    printed = run("gateway dns-records", new_environment | {"GATEWAY_CONFIG": str(config)})
    table = re.findall(r"^\| `([^`]+)` \| ([A-Z]+) \| `([^`]+)` \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(table) == 4
    lines = [line.split() for line in printed.splitlines() if not line.startswith(";")]
    assert [(name.rstrip("."), kind, value.rstrip(".")) for name, _, _, kind, value in lines] == table


def test_a_first_workload(appliance: Appliance) -> None:
    """With `gateway run` running: the file is served, then the commands after it work in the README's order."""
    appliance.write_workload("blog", next(block for block in fenced("yaml") if "type:" in block))
    appliance.until_state("blog", "applied")
    later = commands()[commands().index("gateway run") + 1 :]
    assert [RUN[command] for command in later] == ["test_a_first_workload"] * 3
    printed = {command: run(command, appliance.environment) for command in later}
    assert {"blog", "wiki"} <= set(re.findall(r"^\S+", printed["gateway route list"], re.MULTILINE))
