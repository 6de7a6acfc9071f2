"""The dashboard's files: open to all, empty of data, whole in the wheel, and kept from doing anything else."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.adapters import admin
from appliance.adapters.admin import assembly, browsers, pages
from appliance.adapters.admin.guard import Guard
from appliance.adapters.admin.tallies import Tallies
from appliance.cli.client import AdminClient
from appliance.control.programs import Usage
from tests.plane import Plane
from tests.served import TcpServed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcpServed]:
    plane = Plane()
    plane.usage = Usage(1000.0, 2.5, 4096)
    plane.start()
    with TcpServed(plane, tmp_path_factory.mktemp("tokens")).running() as served:
        yield served
    plane.stop()


@pytest.mark.parametrize("path", sorted(pages.FILES))
def test_a_file_is_open_and_kept_from_everything_else(served: TcpServed, path: str) -> None:
    """No token is needed; no script, style, picture, frame, form or address of elsewhere is allowed."""
    answer = served.ask("GET", path)
    assert answer.status == 200
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert served.ask("DELETE", path).status == 401
    assert served.ask("GET", f"{path}?x=1").status == 422


def test_there_is_nothing_besides_the_files(served: TcpServed) -> None:
    for path in ("/dashboard/", "/dashboard/index.html", "/dashboard/..%2fpages.py", "/dashboard/none.js"):
        assert served.ask("GET", path).status == 401
        assert served.ask("GET", path, served.read).status == 404


def test_the_page_asks_for_a_token_only_where_it_takes_one(served: TcpServed) -> None:
    assert 'data-caller="unknown"' in served.ask("GET", "/").content
    assert 'data-caller="unknown"' not in served.ask("GET", "/", served.read).content


def test_everything_that_is_loaded_is_there_and_nothing_makes_markup() -> None:
    """Each import and each link leads to a file; text never goes through the parser of HTML."""
    for path, file in pages.FILES.items():
        text = file.content.decode()
        named = re.findall(r'(?:src|href)="(/dashboard/[^"]+)"', text)
        named += [f"{pages.ASSETS}{name}" for name in re.findall(r'from "\./([^"]+)"', text)]
        assert set(named) <= set(pages.FILES), path
        for never in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:", "https:"):
            assert never not in text.replace("http://www.w3.org/2000/svg", "").replace('"http://10.1.2.3:9000"', ""), (
                path,
                never,
            )


def test_the_files_are_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        inside = {Path(one).name for one in packed.namelist() if "/admin/page/" in one}
    assert inside == {path.name for path in (ROOT / "appliance/adapters/admin/page").iterdir()}


def test_a_caller_is_told_who_it_is(served: TcpServed) -> None:
    assert served.ask("GET", "/v1/whoami").status == 401
    assert served.ask("GET", "/v1/whoami", served.read).content == {"actor": "token reader", "role": "read"}
    assert served.ask("GET", "/v1/whoami", served.write).content == {"actor": "token writer", "role": "write"}


def test_programs_are_told_with_what_they_use(served: TcpServed) -> None:
    """What cannot be measured is null."""
    one = served.ask("GET", "/v1/programs", served.read).content[0]
    assert one == {
        "name": "traefik",
        "state": "RUNNING",
        "pid": 100,
        "restarts": 0,
        "started": 1000.0,
        "cpu_seconds": 2.5,
        "resident_bytes": 4096,
    }
    served.plane.usage = None
    one = served.ask("GET", "/v1/programs", served.read).content[0]
    assert (one["started"], one["cpu_seconds"], one["resident_bytes"]) == (None, None, None)


@pytest.mark.parametrize(
    ("method", "host", "origin", "is_taken"),
    [
        ("GET", "localhost", "", True),
        ("GET", "localhost:8080", "", True),
        ("GET", "gateway", "", True),
        ("GET", "", "", True),
        ("GET", "127.0.0.1:8080", "", True),
        ("GET", "[::1]:8080", "", True),
        ("GET", "gw.localhost:8080", "", True),
        ("GET", "attacker.example:8080", "", False),
        ("POST", "localhost:8080", "", True),
        ("POST", "localhost:8080", "http://localhost:8080", True),
        ("POST", "LOCALHOST:8080", "http://localhost:8080", True),
        ("POST", "localhost:8080", "https://attacker.example", False),
        ("POST", "localhost:8080", "http://localhost:9999", False),
        ("DELETE", "localhost:8080", "null", False),
        ("GET", "localhost:8080", "https://attacker.example", True),
    ],
)
def test_a_page_from_elsewhere_does_nothing_over_the_unix_socket(
    method: str, host: str, origin: str, is_taken: bool
) -> None:
    """Neither across origins, nor under a name that was made to lead to a forwarded port."""
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin else [])
    assert (browsers.refusal(method, headers) is None) == is_taken


def test_the_guard_keeps_pages_from_elsewhere_out(tmp_path: Path) -> None:
    """What the rule says happens on the socket itself; the command line is taken as ever."""
    (tmp_path / "run").mkdir()
    plane = Plane()
    plane.start()
    path = tmp_path / "run" / "admin.sock"
    failures: list[BaseException] = []
    api = admin.unix(Guard(assembly.rooms(plane.gateway), admin.callers.NoTokens(), Tallies()), path)
    api.start(failures.append)
    try:
        assert AdminClient(tmp_path).call("GET", "/v1/whoami")["role"] == "write"
        command = ["curl", "-s", "-o", "-", "-w", "%{http_code}", "--unix-socket", str(path), "-X", "POST"]
        asked = [*command, "-H", "Origin: https://attacker.example", "http://localhost/v1/workloads:prune"]
        assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.endswith("403")
        assert subprocess.run(
            [*command, "http://localhost/v1/workloads:prune"], capture_output=True, text=True, check=True
        ).stdout.endswith("200")
    finally:
        api.stop()
        plane.stop()
    assert not failures
