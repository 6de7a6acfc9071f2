"""The README's way with Docker, from a checkout to a trusted page, with nothing but its commands."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import newcomer
from tests.container.conftest import MakeStack
from tests.container.stack import ADDRESS, DOMAIN, OVERLAY, ROOT, Docker, Stack
from tests.newcomer import Shell

_HOST = f"blog.{DOMAIN}"
_EMPTY_ZONE = """\
$ORIGIN test.
$TTL 60
@ SOA ns hostmaster {serial} 3600 600 86400 60
@ NS ns
ns A {network}.2
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What somebody has who has cloned the repository."""
    own = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "config", ".env", "dist")
    return Path(shutil.copytree(ROOT, tmp_path / "checkout", symlinks=True, ignore=own))


@pytest.fixture
def own_image(docker: Docker) -> Iterator[str]:
    """The name of an image that is not there yet."""
    name = "gateway-newcomer:test"
    docker("image", "rm", "--force", name)
    yield name
    docker("image", "rm", "--force", name)


def serve(stack: Stack, found: newcomer.Records) -> None:
    """The parent zone with these records, and no others of the gateway's."""
    text = _EMPTY_ZONE.format(serial=1 + bool(found), network=stack.network)
    lines = [f"{owner}. {record}" for owner, record in found]
    (stack.peers / "test.zone").write_text("\n".join([text, *lines, ""]), encoding="ascii")
    if found:
        stack.compose("kill", "--signal", "HUP", "parent")


def test_a_newcomer_comes_to_a_first_certificate(
    make_stack: MakeStack, checkout: Path, own_image: str, tmp_path: Path
) -> None:
    """The image is built on the way; the records at the provider are those that were printed, and none but them."""
    stack = make_stack()
    serve(stack, [])
    (checkout / "config").mkdir()
    shutil.copy(stack.settings / "ca.pem", checkout / "config/ca.pem")
    own = {"203.0.113.10": f"{stack.network}.10", "gw.example.com": DOMAIN}
    authority = f"\nacme:\n  ca_server: https://{stack.network}.4:14000/dir\n  ca_certificates: [/etc/gateway/ca.pem]\n"
    edited = own | {"\nacme:\n": authority, "ops@example.com": "ops@gw.test"}
    bundle = tmp_path / "authorities.pem"
    (tmp_path / ".curlrc").write_text(f'connect-to = "{_HOST}:443:{ADDRESS}:{stack.https_port}"\n', encoding="ascii")
    environment = {name: value for name, value in stack.docker.environment.items() if name != "GATEWAY_SETTINGS"} | {
        "COMPOSE_FILE": f"docker-compose.yml:{OVERLAY}",
        "COMPOSE_PROJECT_NAME": stack.name,
        "GATEWAY_IMAGE": own_image,
        "EDITOR": str(newcomer.editor(tmp_path, edited)),
        "CURL_HOME": str(tmp_path),
        "CURL_CA_BUNDLE": str(bundle),
    }

    def create(found: newcomer.Records) -> None:
        bundle.write_text(stack.authority(), encoding="ascii")
        serve(stack, found)

    backend = {"http://10.1.2.3:9000": f"http://{stack.network}.9:9000"}
    with Shell(environment, checkout) as shell:
        try:
            printed = newcomer.follow(shell, "With Docker", own | backend, create)
        except AssertionError:
            print(stack.log()[-20000:])  # noqa: T201
            raise
    assert "the backend" in printed["curl https://blog.gw.example.com"]
    served = stack.until_trusted(_HOST).certificate
    assert served is not None
    assert served.names == (f"*.{DOMAIN}", DOMAIN)
