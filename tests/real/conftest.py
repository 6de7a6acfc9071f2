"""The real peers as fixtures. The parent zone and the resolver serve a whole run, the CA and the appliance one test."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import showcase
from tests.dashboards import ARTEFACTS, MARKUP
from tests.peers import appliance as appliances
from tests.peers import namespace
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import Backend, MakeBackend
from tests.peers.browser import Browser
from tests.peers.lego import Lego
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble
from tests.peers.unbound import Unbound
from tests.served import TcpServed


def pytest_configure() -> None:
    """These tests take ports and change name resolution: nowhere but in their namespace."""
    if not namespace.inside():
        pytest.exit("tests/real needs its private namespace and peers: run `make test`", returncode=4)


@pytest.fixture(scope="session")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nsd]:
    """The parent zone `test`, which delegates the challenge names of `gw.test`."""
    nsd = Nsd(tmp_path_factory.mktemp("nsd"))
    nsd.add_gateway()
    yield nsd
    nsd.stop()


@pytest.fixture(scope="session")
def resolver(parent: Nsd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unbound]:
    """The only resolver."""
    unbound = Unbound(tmp_path_factory.mktemp("unbound"))
    parent.tell(unbound.forget)
    yield unbound
    unbound.stop()


@pytest.fixture
def pebble(resolver: Unbound, tmp_path: Path) -> Iterator[Pebble]:
    """A fresh CA."""
    directory = tmp_path / "pebble"
    directory.mkdir()
    ca = Pebble(directory)
    yield ca
    ca.stop()


@pytest.fixture
def backend() -> Iterator[MakeBackend]:
    """Makes backends that are closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Backend(*args, **options))


@pytest.fixture
def lego(pebble: Pebble, tmp_path: Path) -> Lego:
    """lego's command line with an account of its own at the fresh CA."""
    directory = tmp_path / "lego"
    directory.mkdir()
    return Lego(directory, pebble)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory with a short name: the path of a unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="gw") as directory:
        yield Path(directory)


@pytest.fixture
def new_appliance(resolver: Unbound, short_path: Path) -> Iterator[MakeAppliance]:
    """Makes appliances (not started) that are killed after the test, and that must not have logged a traceback."""
    made: list[Appliance] = []

    def make(
        values: Mapping[str, Any] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        settings_file: bool = True,
    ) -> Appliance:
        directory = short_path / str(len(made))
        directory.mkdir()
        chosen = (values or appliances.settings()) if settings_file else None
        made.append(Appliance(directory, chosen, environment))
        return made[-1]

    yield make
    unexpected = [text[at : at + 3000] for text in map(end, made) if (at := text.find("Traceback (most recent")) >= 0]
    assert not unexpected, "\n".join(unexpected)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A headless Chromium."""
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"\npictures of the dashboard are in {ARTEFACTS}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcpServed]:
    """A gateway with something of everything, over TCP."""
    plane = showcase.plane()
    plane.store.damage("41-9-markup", f"there is no key `{MARKUP}`")
    plane.look()
    with TcpServed(plane, tmp_path_factory.mktemp("tokens")).running() as served:
        yield served
    plane.stop()


@pytest.fixture
def appliance(new_appliance: MakeAppliance, pebble: Pebble) -> Appliance:
    """A started appliance with the domain `gw.test` and the fresh CA."""
    return new_appliance(appliances.settings(pebble)).start()


def end(one: Appliance) -> str:
    """Kill an appliance and show its log, which pytest prints for a failed test only."""
    if not one.launched:
        return ""
    one.kill()
    text = one.program.log_text()
    print(text)  # noqa: T201
    return text
