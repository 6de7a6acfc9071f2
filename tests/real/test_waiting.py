"""Waiting for DNS and a certificate, as an operator sees it: in a terminal, in a pipe, and with Ctrl-C."""

import contextlib
import itertools
import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import pytest

from tests.peers import addresses
from tests.peers import appliance as appliances
from tests.peers.appliance import GATEWAY, Appliance, MakeAppliance
from tests.peers.https import certificate_served
from tests.peers.launching import await_result
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble
from tests.peers.unbound import Unbound

BACKEND: Final = f"http://{addresses.BACKEND}:9000"
DRAWN: Final = re.compile(r"\r([^\r\x1b]*) \.\.\. (\d+) s\x1b\[K")


@pytest.fixture
def slow(new_appliance: MakeAppliance, resolver: Unbound, tmp_path: Path) -> Iterator[Appliance]:
    """An appliance whose authority takes its time, so that an order can be seen."""
    ca = Pebble(tmp_path, hesitates_seconds=5)
    yield new_appliance(appliances.settings(ca)).start()
    ca.stop()


class Terminal:
    """A command whose standard error is a terminal of 200 columns; its standard output is a file."""

    def __init__(self, one: Appliance, out: Path, *arguments: str) -> None:
        self._leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, 200))
        os.set_blocking(self._leader, False)
        environment = one.environment | {"TERM": "xterm"}
        with out.open("wb") as output:
            self.process = subprocess.Popen(
                [GATEWAY, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=follower
            )
        os.close(follower)
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._leader)

    def shown(self) -> str:
        """Everything it has shown."""
        with contextlib.suppress(OSError):  # nothing more now, or nothing more at all
            while read := os.read(self._leader, 65536):
                self._shown += read.decode()
        return self._shown

    def until_shown(self, pattern: str) -> None:
        await_result(lambda: re.search(pattern, self.shown()), f"{pattern!r} is shown", seconds=60, log=self.shown)

    def end(self) -> int:
        code = self.process.wait(60)
        self.shown()
        return code


def test_a_terminal_shows_what_is_awaited_in_one_line_that_is_gone_at_the_end(
    slow: Appliance, parent: Nsd, tmp_path: Path
) -> None:
    """First DNS, then the certificate, each with its seconds; standard output has the result alone."""
    host, out = "terminal.customer.test", tmp_path / "out"
    words = ["route", "fqdn", "shop", host, BACKEND, "--wait", "certificate"]
    with Terminal(slow, out, *words) as terminal:
        terminal.until_shown(f"applied; certificate withheld: {host} does not exist")
        terminal.until_shown(r" \.\.\. [2-9] s")
        parent.add_host(host)
        assert terminal.end() == 0
    drawn = [(text, int(seconds)) for text, seconds in DRAWN.findall(terminal.shown())]
    phases = [text for at, (text, _) in enumerate(drawn) if at == 0 or drawn[at - 1][0] != text]
    assert any("applied; certificate pending: asked for at the certificate authority" in text for text in phases)
    assert all(0 <= now - before <= 10 or now <= 1 for (_, before), (_, now) in itertools.pairwise(drawn))
    assert terminal.shown().endswith("\r\x1b[K")
    assert "\n" not in terminal.shown()
    assert "certificate      issued" in out.read_text(encoding="utf-8")
    assert certificate_served(host).names == (host,)


def test_a_pipe_gets_a_line_whenever_what_is_awaited_changes(slow: Appliance, parent: Nsd, tmp_path: Path) -> None:
    """`route wait`, of a workload that is written as a file afterwards."""
    host, log = "pipe.customer.test", tmp_path / "err"
    with log.open("wb") as complaints:
        program = subprocess.Popen(
            [GATEWAY, "route", "wait", "shop"], env=slow.environment, stdout=subprocess.PIPE, stderr=complaints
        )
    slow.write_workload("shop", f"type: gateway-fqdn-proxy\nfqdn: {host}\nbackends: ['{BACKEND}']\n")
    await_result(lambda: f"{host} does not exist" in log.read_text(), "the name is missed", seconds=30)
    parent.add_host(host)
    output, _ = program.communicate(timeout=60)
    lines = log.read_text(encoding="utf-8").splitlines()
    assert program.returncode == 0
    assert b"certificate      issued" in output
    assert all(re.match(r"gateway: after \d+ s: \S", line) for line in lines)
    assert len(set(lines)) == len(lines) < 10
    assert "certificate pending" in lines[-1]


def test_json_is_all_there_is_in_a_pipe_and_the_timeout_is_an_exit_code(appliance: Appliance) -> None:
    outcome = appliance.cli(
        "route", "fqdn", "gone", "gone.customer.test", BACKEND, "--wait", "certificate", "--timeout", "3"
    )
    assert outcome.code == 3
    assert outcome.output["certificate"]["state"] == "withheld"
    assert outcome.complaint.startswith("gateway: not on HTTPS within 3 s: applied; certificate withheld: gone.cust")
    assert outcome.complaint.count("\n") == 1


def test_ctrl_c_ends_the_waiting_alone(appliance: Appliance, tmp_path: Path) -> None:
    words = ["route", "fqdn", "shop", "gone.customer.test", BACKEND, "--wait", "certificate"]
    with Terminal(appliance, tmp_path / "out", *words) as terminal:
        terminal.until_shown("certificate withheld")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
    assert terminal.shown().endswith("\r\x1b[Kgateway: no longer waiting; shop stays as it was set\r\n")
    assert appliance.until_state("shop", "applied")["certificate"]["state"] == "withheld"


def test_what_needs_no_certificate_is_not_waited_for(appliance: Appliance) -> None:
    words = ["route", "fqdn", "raw", "raw.customer.test", f"{addresses.BACKEND}:9443", "--tls-passthrough"]
    assert appliance.cli(*words, "--wait", "certificate", "--timeout", "20").code == 0


def test_the_doctor_tells_which_checks_have_not_ended(appliance: Appliance, tmp_path: Path) -> None:
    """A name server that drops everything takes seconds; no running appliance is needed to be told."""
    rule = ["INPUT", "-p", "udp", "-d", addresses.RESOLVER, "--dport", "53", "-j", "DROP"]
    subprocess.run(["iptables", "-I", *rule], check=True)
    try:
        with Terminal(appliance, tmp_path / "out", "doctor") as terminal:
            terminal.end()
    finally:
        subprocess.run(["iptables", "-D", *rule], check=True)
    drawn = DRAWN.findall(terminal.shown())
    assert any("delegation.parent:_acme-challenge.gw.test" in text for text, _ in drawn)
    assert [int(seconds) for _, seconds in drawn] == sorted(int(seconds) for _, seconds in drawn)
    assert terminal.shown().endswith("\r\x1b[K")
    assert "DELEGATION" in (tmp_path / "out").read_text(encoding="utf-8")
