"""Before Traefik starts, what would leave it without routes or certificates is put right; it starts in any case."""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.launch import stores, traefik
from appliance.layout import Root
from appliance.model import environments
from appliance.render import dynamic
from tests import stored

GOOD = stored.document()
SEALED = dynamic.text({"http": {}})


@pytest.fixture(autouse=True)
def _quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_ACCOUNT_KEY_BITS", 1024)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    root = Root(tmp_path)
    root.create()
    configure(root, {"resolver": "acme.json", "dnsresolver": "acme2.json"})
    return root


def configure(root: Root, stores: Mapping[str, str]) -> None:
    resolvers = {
        name: {"acme": {"email": "ops@example.com", "storage": str(root.traefik / file)}}
        for name, file in stores.items()
    }
    root.static_configuration.write_text(yaml.safe_dump({"certificatesResolvers": resolvers}), encoding="utf-8")


def put(root: Root, name: str, content: str | bytes, mode: int = 0o600) -> Path:
    path = root.traefik / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def read(path: Path) -> Any:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return json.loads(path.read_text(encoding="utf-8"))


def set_aside(root: Root) -> list[str]:
    return sorted(path.name.rsplit(".", 2)[0] for path in root.quarantine.iterdir())


def test_missing_stores_are_seeded_with_an_account_key(root: Root) -> None:
    traefik.prepare(root)
    for name, resolver in (("acme.json", "resolver"), ("acme2.json", "dnsresolver")):
        store = read(root.traefik / name)
        assert list(store) == [resolver]
        assert store[resolver]["Account"]["Email"] == "ops@example.com"
        assert store[resolver]["Account"]["PrivateKey"]
    assert set_aside(root) == []


def test_a_good_store_is_left_as_it_is(root: Root) -> None:
    path = put(root, "acme.json", json.dumps(GOOD))
    before = path.stat()
    traefik.prepare(root)
    assert read(path) == GOOD
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640, 0o400])
def test_a_wrong_mode_is_repaired_and_nothing_else(root: Root, mode: int) -> None:
    path = put(root, "acme.json", json.dumps(GOOD), mode)
    traefik.prepare(root)
    assert read(path) == GOOD


@pytest.mark.parametrize(
    "content", [json.dumps(GOOD)[:-5], "[]", "null", "not JSON", b"\xff\x00", "[" * 100_000, "\x00" * 100]
)
def test_a_damaged_store_is_set_aside_and_made_anew(root: Root, content: str | bytes) -> None:
    path = put(root, "acme.json", content)
    traefik.prepare(root)
    assert "resolver" in read(path)
    assert set_aside(root) == ["acme.json"]


def test_an_empty_store_is_made_anew_and_nothing_is_kept_of_it(root: Root) -> None:
    path = put(root, "acme.json", "")
    traefik.prepare(root)
    assert "resolver" in read(path)
    assert set_aside(root) == []


def test_foreign_files_are_set_aside_and_own_ones_stay(root: Root) -> None:
    (root.proxy / "own.yaml").write_text(SEALED, encoding="utf-8")
    (root.proxy / "foreign.yaml").write_text("http: {routers: [", encoding="utf-8")
    (root.proxy / "half.yaml").write_text(SEALED[:-9], encoding="utf-8")
    traefik.prepare(root)
    assert [path.name for path in root.proxy.iterdir()] == ["own.yaml"]
    assert set_aside(root) == ["foreign.yaml", "half.yaml"]


@pytest.mark.parametrize(
    "static",
    [
        None,
        b"",
        b"\xff",
        b"certificatesResolvers: [",
        b"certificatesResolvers: {resolver: null}",
        b"certificatesResolvers: {resolver: {acme: {}}}",
        b"certificatesResolvers: [1]",
        b"- a",
        b"!!timestamp soon",
    ],
)
def test_whatever_the_static_configuration_holds_it_starts(root: Root, static: bytes | None) -> None:
    root.static_configuration.unlink()
    if static is not None:
        root.static_configuration.write_bytes(static)
    (root.proxy / "foreign.yaml").touch()
    traefik.prepare(root)
    assert set_aside(root) == ["foreign.yaml"]


def test_a_root_without_directories_starts(tmp_path: Path) -> None:
    traefik.prepare(Root(tmp_path / "missing"))


def test_a_store_in_a_place_that_cannot_be_written_starts(root: Root) -> None:
    configure(root, {"resolver": "missing/acme.json"})
    traefik.prepare(root)
    assert not (root.traefik / "missing").exists()


def test_traefik_sees_no_secrets(root: Root) -> None:
    environment = {
        "PATH": "/usr/bin",
        "GATEWAY_ROOT": str(root.path),
        "EXEC_PATH": "/hook",
        "HTTPS_PROXY": "http://proxy:1",
        "no_proxy": "10.0.0.0/8",
        "GATEWAY__ACME__EAB__HMAC": "secret",
        "GATEWAY__BROKER": "secret",
        "GATEWAY_CONFIG": "/etc/gateway.yaml",
        "HOME": "/root",
        "LEGO_SECRET": "secret",
    }
    found = environments.for_traefik(environment)
    assert found.keys() == {"PATH", "GATEWAY_ROOT", "EXEC_PATH", "HTTPS_PROXY", "no_proxy"}
    assert "secret" not in found.values()


def test_starting_is_preparing_and_becoming_traefik(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[object] = []
    monkeypatch.setattr(os, "chdir", became.append)
    monkeypatch.setattr(os, "execve", lambda *call: became.append(call))
    traefik.start(root, Path("/opt/traefik"), {"PATH": "/bin", "GATEWAY__BROKER": "secret"})
    arguments = ["traefik", f"--configFile={root.static_configuration}"]
    assert became == [root.path, (Path("/opt/traefik"), arguments, {"PATH": "/bin"})]
    assert (root.traefik / "acme.json").exists()


def test_an_account_is_a_key_that_nobody_has_registered() -> None:
    found, other = stores.account("ops@example.com"), stores.account("ops@example.com")
    assert (found["Email"], found["Registration"]) == ("ops@example.com", None)
    assert found["PrivateKey"] != other["PrivateKey"]
