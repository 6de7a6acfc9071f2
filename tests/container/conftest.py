"""The engine, the images and a gateway among its peers, for a whole run; started here, never skipped."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.container.stack import ROOT, Docker, Stack

ENGINE = Path(__file__).with_name("engine")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")

MakeStack = Callable[..., Stack]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An engine and an image that are made first are no part of the time that the first test has."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(func_only=True))


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A Docker engine that these tests started."""
    directory = ROOT / ".venv" / "engine"
    started = subprocess.run([ENGINE, "start", directory], capture_output=True, text=True, check=False, timeout=600)
    assert started.returncode == 0, started.stderr
    variables = dict(line.split("=", 1) for line in started.stdout.splitlines())
    authorities = {"EXTRA_CA": str(AUTHORITIES)} if AUTHORITIES.exists() else {}
    yield Docker({**variables, **authorities, "DOCKER_BUILDKIT": "1"})
    subprocess.run([ENGINE, "stop", directory], check=True, timeout=60)


@pytest.fixture(scope="session")
def image(docker: Docker) -> str:
    """The image of this checkout, made as an operator makes it; and that of the peers."""
    made = subprocess.run(
        ["make", "--silent", "image"],
        cwd=ROOT,
        env=docker.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    print(made.stdout)  # noqa: T201  time and size, shown with `pytest -s` and when something fails
    docker("build", "--quiet", "--tag", "gateway-test-peers", "tests/container/overlay")
    return "gateway-appliance:dev"


@pytest.fixture
def make_stack(docker: Docker, image: str, tmp_path: Path) -> Iterator[MakeStack]:
    """Makes projects (not started) that are taken away after the test."""
    with contextlib.ExitStack() as stack:

        def make(*, peers: bool = True, files: tuple[str, ...] = ()) -> Stack:
            made = Stack(docker, tmp_path, peers=peers, files=files)
            stack.callback(made.down)
            return made

        yield make


@pytest.fixture(scope="session")
def gateway(docker: Docker, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway among its peers, with a name proxy, an FQDN proxy and their certificates. Tests leave it serving."""
    stack = Stack(docker, tmp_path_factory.mktemp("stack"))
    stack.docker.environment |= {"COMPOSE_PROFILES": "bus", "GATEWAY__BROKER": "redis://bus:6379"}
    stack.write_settings(alerts={"secret": SECRET})
    try:
        stack.up()
        backend = f"http://{stack.network}.9:9000"
        stack.inside("gateway", "route", "name", "1-1-blog", "blog", backend, "--option", f'basic_auth=["{LINE}"]')
        stack.inside("gateway", "route", "name", "1-2-wiki", "wiki", backend)
        stack.inside("gateway", "route", "fqdn", "1-3-shop", "shop.customer.test", backend)
        for host in (WIKI, SHOP):
            stack.until_trusted(host)
        yield stack
    finally:
        stack.down()


SECRET = "a-secret-that-must-not-be-told"
LINE = "ann:$2b$10$NdmrkGRERK7M8RhclCWPsefN7iy5G5xGZ5TtoEAVSxvKXhg5qFcgS"
WIKI, SHOP = "wiki.gw.test", "shop.customer.test"
