"""The README's commands, run as they stand there. A command that is neither run nor excused fails the first test.

The way without Docker is gone here, on a host whose package index and systemd are played; tests/container goes the
other one.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests import newcomer
from tests.newcomer import README, Shell
from tests.peers import addresses
from tests.peers.appliance import GATEWAY
from tests.peers.backends import MakeBackend
from tests.peers.https import certificate_served
from tests.peers.launching import Launched
from tests.peers.nsd import CHALLENGE_LABELS, Nsd
from tests.peers.pebble import Pebble

RUN: Final = {"make demo": "test_the_demo_and_what_it_says_to_look_at"}
"""Command outside of the way to the first certificate -> the test here that runs it."""

NOT_RUN: Final = {"make test": "it is what runs these tests"}
"""Command -> why not."""

WAYS: Final = ("With Docker", "Without Docker")


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
    """The ways and the two tables hold the README's commands, no more and no less."""
    on_a_way = {command for way in WAYS for command in newcomer.commands(way)}
    assert set(newcomer.commands()) == {*on_a_way, *RUN, *NOT_RUN}
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


HOST_OF_ITS_OWN: Final = (
    "cp -a /etc/. {directory}/etc 2>/dev/null; mount --bind {directory}/etc /etc && mountpoint -q /etc",
    "mount -t tmpfs tmpfs /var/cache && mount -t tmpfs tmpfs /usr/local/bin && mountpoint -q /usr/local/bin",
)
"""What a command writes outside of its directory is seen in this shell alone."""

SYSTEMD: Final = """\
#!/bin/sh
# systemd, as far as the README asks for it: a service that starts has nobody's environment.
[ "$*" = "enable --now gateway" ] || exec [ "$*" = daemon-reload ]
start=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/gateway.service)
env -i PATH=/usr/local/bin:/usr/bin:/bin $start >{directory}/service.log 2>&1 &
"""


@pytest.fixture
def installing(short_path: Path, new_environment: dict[str, str]) -> dict[str, str]:
    """An environment in which the package index and systemd are played: what pip would install is there already."""
    prefix, played = short_path / "opt", short_path / "played"
    (prefix / "bin").mkdir(parents=True)
    for directory in (played, short_path / "etc"):
        directory.mkdir()
    for name in ("python", "gateway"):
        (prefix / "bin" / name).symlink_to(GATEWAY.with_name(name))
    for path, text in ((prefix / "bin/pip", "#!/bin/sh\n"), (played / "systemctl", SYSTEMD)):
        path.write_text(text.replace("{directory}", str(short_path)), encoding="ascii")
        path.chmod(0o755)
    own = {"PREFIX": str(prefix), "PYTHON": str(GATEWAY.with_name("python"))}
    return new_environment | own | {"PATH": f"{played}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def test_a_newcomer_comes_to_a_first_certificate(
    installing: dict[str, str], parent: Nsd, pebble: Pebble, backend: MakeBackend, short_path: Path
) -> None:
    """From installation to a trusted page with nothing but the README's commands, without Docker.

    The records at the provider are those that were printed, and none but them.
    """
    parent.replace({"gw.test": [], "*.gw.test": [], **{f"{label}.gw.test": [] for label in CHALLENGE_LABELS}})
    page, bundle = backend("a newcomer's page"), short_path / "authorities.pem"
    bundle.write_text(pebble.root_pem(), encoding="ascii")
    own = {"203.0.113.10": addresses.GATEWAY, "gw.example.com": "gw.test", "http://10.1.2.3:9000": page.url}
    authority = f"acme:\n  ca_server: {pebble.url}\n  ca_certificates: [{pebble.tls_ca}]\n"
    # the peers of this test hold port 53 of their own addresses
    settings = {
        "\nacme:\n": f'\ndns: {{listen: ["{addresses.GATEWAY}:53"]}}\n{authority}',
        "ops@example.com": "ops@gw.test",
    }
    edited = {name: own[name] for name in ("203.0.113.10", "gw.example.com")} | settings
    environment = installing | {
        "EDITOR": str(newcomer.editor(short_path, edited)),
        "CURL_CA_BUNDLE": str(bundle),
    }
    inside = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    with Shell(environment, README.parent, inside) as shell:
        for command in HOST_OF_ITS_OWN:
            shell.run(command.format(directory=short_path))
        try:
            printed = newcomer.follow(shell, "Without Docker", own, lambda found: create(parent, found))
        except AssertionError:
            print((short_path / "service.log").read_text(encoding="utf-8")[-20000:])  # noqa: T201
            raise
        served = certificate_served("blog.gw.test")
    assert "a newcomer's page" in printed["curl https://blog.gw.example.com"]
    assert served.issuer == pebble.issuer()
    assert served.names == ("*.gw.test", "gw.test")


def create(parent: Nsd, found: newcomer.Records) -> None:
    """At the provider, owner by owner."""
    wanted: dict[str, list[str]] = {}
    for owner, record in found:
        wanted.setdefault(owner, []).append(record)
    parent.replace(dict(wanted))
