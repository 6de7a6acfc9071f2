"""Who listens where the appliance wants to: the verdicts, and the line that frees a port."""

from typing import Final

import pytest

from appliance.adapters.host.listeners import unit_of
from appliance.model import ports
from appliance.model.findings import Status
from appliance.model.ports import Holder, Own, Wanted

DNS: Final = Wanted("dns.listen", "0.0.0.0", 53, "udp")
DNS_V6: Final = Wanted("dns.listen", "::", 53, "udp")
PUBLIC: Final = Wanted("dns.listen", "203.0.113.10", 53, "udp")
WEB: Final = Wanted("entrypoints.web", "", 80, "tcp")
STOPPED: Final = Own()
RUNNING: Final = Own(frozenset({7}))
HIDDEN: Final = Own(is_visible=False)
STARTING: Final = Own(frozenset({7}), is_settled=False)
RESOLVED: Final = Holder("127.0.0.53", 53, "udp", 600, "systemd-resolve", "systemd-resolved.service")
OURS: Final = Holder("0.0.0.0", 53, "udp", 7, "gateway")
TRAEFIK: Final = Holder("::", 80, "tcp", 7, "traefik")
NGINX: Final = Holder("0.0.0.0", 80, "tcp", 900, "nginx", "nginx.service")


@pytest.mark.parametrize(
    ("wanted", "holders", "own", "status", "words"),
    [
        (DNS, [], STOPPED, "ok", "is free"),
        (DNS, [OURS], RUNNING, "ok", "gateway (pid 7)"),
        (DNS, [OURS, RESOLVED], RUNNING, "ok", "gateway (pid 7)"),
        (WEB, [TRAEFIK], RUNNING, "ok", "traefik (pid 7)"),
        (WEB, [NGINX], STOPPED, "fail", "taken by nginx (pid 900, unit nginx.service)"),
        (WEB, [NGINX], RUNNING, "fail", "taken by nginx"),
        (DNS, [RESOLVED], STOPPED, "fail", "taken by systemd-resolve (pid 600"),
        (PUBLIC, [RESOLVED], STOPPED, "ok", "is free"),
        (DNS_V6, [RESOLVED], STOPPED, "ok", "is free"),
        (WEB, [], RUNNING, "fail", "nobody listens on tcp/*:80"),
        (WEB, [], STARTING, "unknown", "not listened on yet"),
        (DNS_V6, [OURS], Own(frozenset({7}), has_ipv6=False), "ok", "no IPv6"),
        (DNS, [Holder("0.0.0.0", 53, "udp", None)], STOPPED, "fail", "may not see"),
        (DNS, [Holder("0.0.0.0", 53, "udp", None)], RUNNING, "unknown", "may not see"),
        (DNS, [Holder("0.0.0.0", 53, "udp", None)], HIDDEN, "unknown", "may not see"),
        (DNS, [Holder("0.0.0.0", 53, "tcp", 9, "x")], STOPPED, "ok", "is free"),
        (DNS, [Holder("0.0.0.0", 5353, "udp", 9, "x")], STOPPED, "ok", "is free"),
        (PUBLIC, [Holder("203.0.113.11", 53, "udp", 9, "x")], STOPPED, "ok", "is free"),
        (PUBLIC, [Holder("0.0.0.0", 53, "udp", 9, "x")], STOPPED, "fail", "taken by x"),
    ],
)
def test_who_has_a_port(wanted: Wanted, holders: list[Holder], own: Own, status: str, words: str) -> None:
    found = ports.finding(wanted, holders, own)
    assert (found.id, found.status) == (f"port:{wanted}", status)
    assert words in found.evidence


@pytest.mark.parametrize(
    ("holder", "line"),
    [
        (NGINX, "systemctl disable --now nginx.service"),
        (Holder("0.0.0.0", 80, "tcp", 900, "nginx", None, "0123456789ab"), "docker stop 0123456789ab"),
        (
            Holder("0.0.0.0", 80, "tcp", 900, "docker-proxy", "docker.service"),
            "docker stop $(docker ps -q --filter publish=80)",
        ),
        (Holder("0.0.0.0", 80, "tcp", 900, "nginx"), "kill 900"),
        (Holder("0.0.0.0", 80, "tcp", None), "ss -lnp 'sport = :80'"),
    ],
)
def test_the_line_that_frees_a_port(holder: Holder, line: str) -> None:
    found = ports.finding(WEB, [holder], STOPPED)
    assert line in found.todo
    assert "`entrypoints.web`" in found.todo


def test_systemd_resolved_has_its_own_answer() -> None:
    """Its listener is switched off, not its resolving."""
    found = ports.finding(DNS, [RESOLVED], STOPPED)
    assert "DNSStubListener=no" in found.todo
    assert "/etc/systemd/resolved.conf.d/" in found.todo
    assert "systemctl disable" not in found.todo
    assert found.status is Status.FAIL


@pytest.mark.parametrize(
    ("cgroup", "unit", "container"),
    [
        ("0::/system.slice/nginx.service\n", "nginx.service", None),
        ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service", None),
        ("0::/user.slice/user-0.slice/session-3.scope\n", None, None),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n", "web.service", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", None, None),
        (f"0::/system.slice/docker-{'0123456789ab' * 5}0123.scope\n", None, "0123456789ab"),
        (f"12:pids:/docker/{'ab' * 32}\n0::/\n", None, "abababababab"),
        ("9:name=systemd:/\n0::/\n", None, None),
        ("", None, None),
    ],
)
def test_the_unit_or_container_of_a_process(cgroup: str, unit: str | None, container: str | None) -> None:
    assert unit_of(cgroup) == (unit, container)
