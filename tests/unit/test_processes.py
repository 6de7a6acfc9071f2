"""Why an address cannot be listened on: in words that name the process and the setting."""

import errno
import os
import socket
from dataclasses import replace

import psutil
import pytest

from appliance.adapters.processes import Listening, Transport, listening, obstacle, obstacles
from appliance.settings import Settings


def taken(kind: socket.SocketKind, address: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    held = socket.socket(family, kind)
    held.bind((address, 0))
    if kind is socket.SOCK_STREAM:
        held.listen(1)
    return held


@pytest.mark.parametrize(("transport", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
@pytest.mark.parametrize("wanted", ["127.0.0.1", "", "0.0.0.0"])
def test_a_taken_port_names_the_process_and_the_setting(
    transport: Transport, kind: socket.SocketKind, wanted: str
) -> None:
    with taken(kind) as held:
        port = held.getsockname()[1]
        found = obstacle(Listening("dns.listen", wanted, port, transport))
    assert found is not None
    assert f"{transport} port {port} on {wanted or 'every address'} is taken by" in found
    assert f"(pid {os.getpid()})" in found
    assert "set `dns.listen` to another address or port" in found


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_a_free_port_is_no_obstacle_and_stays_free(transport: Transport, host: str) -> None:
    with taken(socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM) as held:
        port = held.getsockname()[1]
    for _ in range(2):
        assert obstacle(Listening("dns.listen", host, port, transport)) is None


def test_the_other_transport_of_a_taken_port_is_free() -> None:
    with taken(socket.SOCK_STREAM) as held:
        assert obstacle(Listening("dns.listen", "127.0.0.1", held.getsockname()[1], "udp")) is None


def test_an_address_this_host_lacks_is_told() -> None:
    found = obstacle(Listening("dns.listen", "198.51.100.7", 5353, "udp"))
    assert found is not None
    assert "this host does not have that address; set `dns.listen` to one it has" in found


@pytest.mark.parametrize(
    ("number", "host", "message"),
    [
        (errno.EACCES, "", "net.ipv4.ip_unprivileged_port_start=80"),
        (errno.EACCES, "", "set `entrypoints.web` to a port from 1024 up"),
        (errno.EADDRINUSE, "", "is taken by a process that this user may not see"),
        (errno.ENOBUFS, "", "cannot be used"),
        (errno.EAFNOSUPPORT, "::", None),
        (errno.EADDRNOTAVAIL, "::", None),
        (errno.EADDRNOTAVAIL, "2001:db8::1", "does not have that address"),
        (errno.EAFNOSUPPORT, "2001:db8::1", "does not have that address"),
    ],
)
def test_every_other_reason_is_told_with_the_mend(
    number: int, host: str, message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(psutil, "net_connections", lambda kind: [])
    found = obstacle(Listening("entrypoints.web", host, 80, "tcp"))
    assert message is None if found is None else message is not None and message in found


@pytest.mark.parametrize(
    ("hosts", "is_refused"),
    [
        (("127.0.0.1", "127.0.0.1"), True),
        (("0.0.0.0", "127.0.0.1"), True),
        (("::1", "::"), True),
        (("", "127.0.0.1"), True),
        (("::", ""), True),
        (("127.0.0.1", "127.0.0.2"), False),
        (("0.0.0.0", "::"), False),
        (("127.0.0.1", "::1"), False),
    ],
)
def test_one_port_for_two_is_told_before_one_of_them_fails(hosts: tuple[str, str], *, is_refused: bool) -> None:
    port = free_port()
    wanted = [Listening("dns.listen", hosts[0], port, "tcp"), Listening("admin.listen", hosts[1], port, "tcp")]
    told = f"tcp port {port} is wanted twice by `dns.listen` and `admin.listen`, on "
    told += f"{hosts[0] or 'every address'} and {hosts[1] or 'every address'}: leave one out, or change its port"
    assert obstacles(wanted) == ([told] if is_refused else [])


def test_the_same_port_of_the_other_transport_is_another_one() -> None:
    port = free_port()
    both: tuple[Transport, ...] = ("tcp", "udp")
    assert obstacles([Listening("dns.listen", "127.0.0.1", port, transport) for transport in both]) == []


def test_a_port_of_our_own_is_not_in_our_way_but_the_address_has_to_be_there() -> None:
    with taken(socket.SOCK_STREAM) as held:
        ours = [Listening("dns.listen", "127.0.0.1", held.getsockname()[1], "tcp")]
        assert obstacles(ours, ours) == []
        away = [Listening("admin.listen", "198.51.100.7", 9090, "tcp")]
        assert obstacles(away, away) == [], "an edit of something else does not wait for it to be back"
        assert obstacles([replace(ours[0], host="127.0.0.2")], ours) == []
        (found,) = obstacles([replace(ours[0], host="198.51.100.7")], ours)
    assert "this host does not have that address; set `dns.listen` to one it has" in found


def test_a_port_alone_is_every_address_of_both_families_for_dns_too() -> None:
    loaded = Settings.model_validate({"dns": {"listen": [":5353", "[::0]:5353", "127.0.0.1:53"]}})
    found = [
        (item.host, item.port) for item in listening(loaded) if (item.setting, item.transport) == ("dns.listen", "udp")
    ]
    assert found == [("0.0.0.0", 5353), ("::", 5353), ("127.0.0.1", 53)]


def free_port() -> int:
    with taken(socket.SOCK_STREAM) as held:
        return int(held.getsockname()[1])


def test_a_wildcard_of_traefik_is_both_families() -> None:
    loaded = Settings.model_validate({"entrypoints": {"web": "0.0.0.0:8080", "web_secure": "[::]:8443", "http3": True}})
    found = {(item.setting, item.host) for item in listening(loaded) if item.setting.startswith("entrypoints")}
    assert found == {("entrypoints.web", ""), ("entrypoints.web_secure", "")}
