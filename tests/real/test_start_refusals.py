"""What cannot work is refused at the start, with a message that names who is in the way and what to change."""

import os
import socket
from pathlib import Path

import pytest

from tests.peers import addresses
from tests.peers.appliance import Appliance, MakeAppliance


def test_a_second_run_on_the_same_root_refuses_to_start_and_names_the_holder(
    appliance: Appliance, tmp_path: Path
) -> None:
    second = appliance.launch_another(tmp_path / "second.log")
    assert second.wait() not in {0, 70}
    assert f"pid {appliance.program.process.pid}" in second.log_text()
    assert str(appliance.root) in second.log_text()
    assert "Traceback" not in second.log_text()
    assert appliance.must("status")["healthy"] in {True, False}
    assert appliance.program.process.poll() is None


@pytest.mark.parametrize(
    ("port", "kind", "setting"),
    [
        (53, socket.SOCK_DGRAM, "dns.listen"),
        (53, socket.SOCK_STREAM, "dns.listen"),
        (80, socket.SOCK_STREAM, "entrypoints.web"),
        (443, socket.SOCK_STREAM, "entrypoints.web_secure"),
    ],
)
def test_a_taken_port_is_refused_naming_the_process_and_the_setting(
    new_appliance: MakeAppliance, port: int, kind: socket.SocketKind, setting: str
) -> None:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
        holder.bind((addresses.GATEWAY, port))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        one = new_appliance()
        program = one.launch()
        assert program.wait() not in {0, 70}
    said = program.log_text()
    assert f"pid {os.getpid()}" in said
    assert f"`{setting}`" in said
    assert str(port) in said
    assert len(said.strip().splitlines()) == 1


def test_a_port_taken_on_every_address_is_refused_too(new_appliance: MakeAppliance) -> None:
    with socket.create_server(("0.0.0.0", 443)):
        program = new_appliance().launch()
        assert program.wait() not in {0, 70}
    assert "entrypoints.web_secure" in program.log_text()


def test_every_taken_port_is_named_at_once(new_appliance: MakeAppliance) -> None:
    with socket.create_server((addresses.GATEWAY, 80)), socket.create_server((addresses.GATEWAY, 443)):
        program = new_appliance().launch()
        assert program.wait() not in {0, 70}
    for setting in ("`entrypoints.web`", "`entrypoints.web_secure`"):
        assert setting in program.log_text()


def test_unusable_settings_are_refused_naming_the_key(new_appliance: MakeAppliance) -> None:
    program = new_appliance({"pubic": {"ipv4": addresses.GATEWAY}}).launch()
    assert program.wait() not in {0, 70}
    assert "pubic" in program.log_text()
    assert "public" in program.log_text()
    assert "Traceback" not in program.log_text()
