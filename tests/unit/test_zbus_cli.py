"""`gateway call`: what it calls, and what it says when it cannot tell whom to call."""

from pathlib import Path
from typing import Any

import pytest

from appliance import cli
from appliance.client import zbus

URL = "http://10.1.2.3:9000"
BROKER = "unix:///nowhere/redis.sock"

LINES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    f"SetNamedProxy 1-1-a blog {URL}": ("set_named_proxy", ("1-1-a", "blog", [URL]), {"tls_passthrough": False}),
    "SetFQDNProxy 1-1-a shop.test 10.1.2.3:443 --tls-passthrough": (
        "set_fqdn_proxy",
        ("1-1-a", "shop.test", ["10.1.2.3:443"]),
        {"tls_passthrough": True},
    ),
    "DeleteNamedProxy 1-1-a --object gateway": ("delete_named_proxy", ("1-1-a",), {}),
}


@pytest.mark.parametrize("line", LINES)
def test_each_method_calls_its_own(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, arguments, options = LINES[line]
    called: list[Any] = []
    monkeypatch.setattr(zbus.ZbusGateway, method, lambda _, *given, **more: called.append((given, more)))
    assert cli.main(["--broker", BROKER, "call", *line.split()]) == 0
    assert called == [(arguments, options)]


def test_a_host_is_printed_plain_or_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zbus.ZbusGateway, "set_named_proxy", lambda *_, **__: "blog.gw.test")
    line = ["--broker", BROKER, "call", "SetNamedProxy", "1-1-a", "blog", URL]
    cli.main(line)
    cli.main([*line, "--json"])
    assert capsys.readouterr().out == 'blog.gw.test\n"blog.gw.test"\n'


def test_without_an_option_the_settings_name_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("broker: unix:///nowhere/redis.sock\n", encoding="utf-8")
    monkeypatch.setenv("GATEWAY_CONFIG", str(path))
    assert cli.main(["call", "Metrics", "--timeout", "0.01"]) == 1
    assert "the broker cannot be reached" in capsys.readouterr().err
    path.write_text("{}", encoding="utf-8")
    assert cli.main(["call", "Metrics"]) == 2
    assert f"there is no `broker` in {path}" in capsys.readouterr().err


def test_a_wrong_address_is_2_and_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--broker", "tcp://user:hunter2@redis:1", "call", "Metrics"]) == 2
    assert "hunter2" not in capsys.readouterr().err
