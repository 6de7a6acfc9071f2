"""The command line of the admin API's own matters: tokens, plans, listings of many pages."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import settings
from appliance.adapters import admin
from appliance.adapters.token_file import TokenFile
from appliance.cli import main, planning, tables
from appliance.layout import Root
from appliance.model.errors import InvalidSettings
from tests.plane import Plane, name


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings that name a token file."""
    path = tmp_path / "gateway.yaml"
    path.write_text(f"admin: {{token_file: {tmp_path}/tokens}}", encoding="utf-8")
    monkeypatch.setenv("GATEWAY_CONFIG", str(path))
    monkeypatch.setenv("GATEWAY_ROOT", str(tmp_path))
    return path


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plane]:
    """A control plane behind the API of `GATEWAY_ROOT`."""
    root = Root(tmp_path / "root")
    root.create()
    monkeypatch.setenv("GATEWAY_ROOT", str(root.path))
    plane = Plane()
    plane.start()
    failures: list[BaseException] = []
    api = admin.unix(admin.application(plane.gateway), root.admin_socket)
    api.start(failures.append)
    yield plane
    api.stop()
    plane.stop()
    assert not failures


def test_a_token_is_shown_once_alone(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the token and nothing else, so that it can go where it is kept."""
    assert main(["token", "new", "ci", "--role", "write"]) == 0
    text = capsys.readouterr().out
    assert re.fullmatch(r"gwt_[A-Za-z0-9_-]{43}\n", text)
    assert TokenFile(config.parent / "tokens").find(text.strip()) is not None
    assert main(["token", "list"]) == 0
    shown = capsys.readouterr().out
    assert "ci" in shown
    assert text.strip() not in shown
    assert main(["token", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["role"], "digest" in row) == ("ci", "write", False)
    assert main(["token", "revoke", "ci"]) == 0
    assert main(["token", "revoke", "ci"]) == 1
    assert "there is no token ci" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["token", "new", "ci", "--role", "write"], 1, "a token ci already"),
        (["token", "new", "a/b", "--role", "read"], 2, "name of a token"),
        (["token", "revoke", "nobody"], 1, "there is no token nobody"),
    ],
)
def test_what_cannot_be_is_told(
    config: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the exit codes of every verb."""
    assert main(["token", "new", "ci", "--role", "read"]) == 0
    assert main(arguments) == code
    assert words in capsys.readouterr().err


def test_without_a_token_file_the_mend_is_told(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting's name, or the option's."""
    monkeypatch.setattr(tables, "is_wanted", lambda: True)
    config.write_text("{}", encoding="utf-8")
    assert main(["token", "list"]) == 2
    assert "admin.token_file" in capsys.readouterr().err
    assert main(["token", "list", "--file", str(config.parent / "other")]) == 0
    assert capsys.readouterr().out == "no tokens\n"


def test_tcp_is_not_served_without_tokens(tmp_path: Path) -> None:
    """A listener that anybody may use is no setting."""
    path = tmp_path / "gateway.yaml"
    path.write_text('admin: {listen: "127.0.0.1:9090"}', encoding="utf-8")
    with pytest.raises(InvalidSettings, match="`listen` needs `token_file`"):
        settings.load(path, {})


def test_a_listing_is_whole_however_many_pages(plane: Plane, capsys: pytest.CaptureFixture[str]) -> None:
    """More than one page of the largest size."""
    plane.put(*(name(f"w{number:04}") for number in range(1005)))
    assert main(["route", "list", "--json"]) == 0
    assert [item["id"] for item in json.loads(capsys.readouterr().out)] == [f"w{number:04}" for number in range(1005)]


def test_a_plan_is_told_and_nothing_is_changed(
    plane: Plane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files as they would be put into `workloads/`; exit code 1 when one would be refused."""
    plane.put(name("blog"), name("old"))
    files = tmp_path / "files"
    files.mkdir()
    (files / "blog.yaml").write_text("type: gateway-name-proxy\nname: blog\nbackends: ['http://10.9.9.9']\n")
    (files / "new.yaml").write_text("type: gateway-name-proxy\nname: new\nbackends: ['http://10.1.2.3']\n")
    (files / ".draft.yaml").write_text("nonsense")
    assert main(["route", "plan", str(files), "--delete", "old"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "~ update blog (blog.gw.example.com)",
        "+ create new (new.gw.example.com)",
        "- delete old",
    ]
    (files / "thief.yaml").write_text("type: gateway-name-proxy\nname: blog\nbackends: ['http://10.1.2.3']\n")
    assert main(["route", "plan", str(files)]) == planning.EXIT_REFUSED
    assert "! refused thief: blog.gw.example.com is held by the workload blog" in capsys.readouterr().out
    assert {item.id for item in plane.store.load()} == {"blog", "old"}
    assert main(["route", "plan"]) == 0
    assert capsys.readouterr().out == "nothing would change\n"


@pytest.mark.parametrize("content", [None, b"a: [", b"a: 1\na: 2\n"])
def test_a_plan_of_what_cannot_be_read_is_told(
    plane: Plane, tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file's name."""
    path = tmp_path / "blog.yaml"
    if content is not None:
        path.write_bytes(content)
    assert main(["route", "plan", str(path)]) == 2
    assert "blog.yaml" in capsys.readouterr().err
