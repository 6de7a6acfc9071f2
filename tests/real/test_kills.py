"""Whatever of the appliance dies, traffic goes on where it can, and no certificate is lost or ordered twice."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers import addresses, https
from tests.peers import appliance as appliances
from tests.peers.appliance import TRAEFIK, Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.launching import PeerError, await_result
from tests.peers.load import Load
from tests.peers.pebble import Pebble
from tests.peers.unbound import Unbound

WILDCARD = ("*.gw.test", "gw.test")
EXIT_FATAL = 70


@pytest.fixture
def hesitant_pebble(resolver: Unbound, tmp_path: Path) -> Iterator[Pebble]:
    """A CA that takes a while to look at a challenge, so that something can happen meanwhile."""
    ca = Pebble(tmp_path, hesitates_seconds=5)
    yield ca
    ca.stop()


@contextlib.contextmanager
def stopped_before_validation(ca: Pebble) -> Iterator[None]:
    """Holds the CA between the order's challenge being offered and its having looked at it.

    It looks three times, each after a random number of seconds, which may be none every time: then the order's other
    challenge does.
    """
    for offered in (1, 2):
        ca.program.until_logged("Pulled a task", count=offered, seconds=30)
        ca.program.process.send_signal(signal.SIGSTOP)
        if ca.validated() < offered:
            break
        ca.program.process.send_signal(signal.SIGCONT)
    else:
        raise PeerError("the CA looked at both challenges without any delay")
    try:
        yield
    finally:
        ca.program.process.send_signal(signal.SIGCONT)


def serve_one(one: Appliance, ca: Pebble, url: str) -> https.Certificate:
    """Register a name proxy, and give its certificate once the CA's is served."""
    one.must("route", "name", "1-5-blog", "blog", url)
    return trusted(one, ca)


def trusted(one: Appliance, ca: Pebble) -> https.Certificate:
    """The certificate a client that trusts only the CA is served with."""
    answer = one.program.until(lambda: https.fetch("blog.gw.test", ca=ca.root_pem()), "a trusted answer", seconds=40)
    assert answer.status == 200
    assert answer.certificate is not None
    return answer.certificate


def test_a_control_plane_killed_between_present_and_validation_costs_no_certificate(
    new_appliance: MakeAppliance, hesitant_pebble: Pebble, backend: MakeBackend
) -> None:
    one = new_appliance(appliances.settings(hesitant_pebble)).start()
    one.must("route", "name", "1-5-blog", "blog", backend("blue").url)
    with stopped_before_validation(hesitant_pebble):
        one.until_replaced("gateway", one.kill_program("gateway"))
    hesitant_pebble.until_issued(*WILDCARD)
    assert trusted(one, hesitant_pebble).names == WILDCARD
    assert hesitant_pebble.orders() == 1


@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_killed_control_plane_fails_no_request_and_takes_changes_again(
    appliance: Appliance, pebble: Pebble, backend: MakeBackend, keep_alive: bool
) -> None:
    serve_one(appliance, pebble, backend("blue").url)
    with Load("blog.gw.test", expect='"backend": "blue"', ca=pebble.root_pem(), keep_alive=keep_alive) as load:
        load.until_more()
        appliance.until_replaced("gateway", appliance.kill_program("gateway"))
        appliance.must("route", "name", "1-5-new", "new", backend("green").url)
        tally = load.until_more()
    assert tally.failures == 0, tally
    assert '"backend": "green"' in https.fetch("new.gw.test", ca=pebble.root_pem()).body
    assert pebble.orders() == 1


def test_a_killed_traefik_is_back_with_the_same_certificate_and_no_new_order(
    appliance: Appliance, pebble: Pebble, backend: MakeBackend
) -> None:
    before = serve_one(appliance, pebble, backend("blue").url)
    appliance.until_replaced("traefik", appliance.kill_program("traefik"))
    assert trusted(appliance, pebble) == before
    assert pebble.orders() == 1


def test_a_traefik_killed_between_present_and_validation_costs_no_certificate(
    new_appliance: MakeAppliance, hesitant_pebble: Pebble, backend: MakeBackend
) -> None:
    one = new_appliance(appliances.settings(hesitant_pebble)).start()
    one.must("route", "name", "1-5-blog", "blog", backend("blue").url)
    with stopped_before_validation(hesitant_pebble):
        killed = one.kill_program("traefik")
    one.until_replaced("traefik", killed)
    assert trusted(one, hesitant_pebble).names == WILDCARD


def test_a_restart_keeps_certificates_and_routes_without_an_order(
    appliance: Appliance, pebble: Pebble, backend: MakeBackend
) -> None:
    before = serve_one(appliance, pebble, backend("blue").url)

    def issued() -> Any:  # Traefik's API tells of a certificate some moments after it is served
        shown = appliance.must("route", "list")
        return shown if shown[0]["certificate"]["state"] == "issued" else None

    workloads = appliance.program.until(issued, "the certificate is told of")
    assert appliance.stop() == 0
    pebble.count_from_here()
    appliance.start()
    assert trusted(appliance, pebble) == before
    appliance.until_state("1-5-blog", "applied")
    appliance.program.until(lambda: appliance.must("route", "list") == workloads, "all is told as before")
    assert pebble.orders() == 0


def test_a_killed_appliance_starts_again_with_certificates_and_routes(
    appliance: Appliance, pebble: Pebble, backend: MakeBackend
) -> None:
    """As after a power cut: nothing had a chance to say goodbye."""
    before = serve_one(appliance, pebble, backend("blue").url)
    appliance.kill()
    pebble.count_from_here()
    appliance.start()
    assert trusted(appliance, pebble) == before
    assert pebble.orders() == 0


def test_traffic_goes_on_while_the_control_plane_cannot_be_kept_running(
    appliance: Appliance, pebble: Pebble, backend: MakeBackend
) -> None:
    serve_one(appliance, pebble, backend("blue").url)
    with Load("blog.gw.test", expect='"backend": "blue"', ca=pebble.root_pem()) as load:
        load.until_more()
        with name_server_port_taken_from(appliance):
            appliance.program.until_logged("gateway entered FATAL state", seconds=60)
            tally = load.until_more()
            assert appliance.program.process.poll() is None
        await_result(appliance.status, "the control plane is back", seconds=60)
        tally = load.until_more()
    assert tally.failures == 0, tally


@contextlib.contextmanager
def name_server_port_taken_from(one: Appliance) -> Iterator[None]:
    """Kill the control plane and take its port 53, so that every start of it fails."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:

        def taken() -> bool:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            thief.bind((addresses.GATEWAY, 53))
            return True

        pid = one.pid_of("gateway")
        await_result(taken, "port 53 is ours")
        yield


def test_a_stop_while_it_starts_is_not_lost(new_appliance: MakeAppliance) -> None:
    """It comes when `gateway run` has prepared everything and is about to become supervisord, or just has."""
    one = new_appliance()
    prepared = one.root / "run" / "supervisord.conf"
    for _ in range(3):
        prepared.unlink(missing_ok=True)
        one.launch().until(prepared.exists, "it is prepared", seconds=20)
        assert one.stop() == 0


def test_a_traefik_that_cannot_be_kept_running_ends_the_appliance_with_70(
    new_appliance: MakeAppliance, short_path: Path
) -> None:
    broken = short_path / "broken"
    wrapper = short_path / "traefik"
    wrapper.write_text(f'#!/bin/sh\n[ ! -e {broken} ] || exit 1\nexec {TRAEFIK} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    values = appliances.settings()
    values["traefik"]["binary"] = str(wrapper)
    one = new_appliance(values).start()
    broken.touch()
    started = one.started()
    one.kill_program("traefik")
    assert one.program.wait(seconds=60) == EXIT_FATAL
    await_result(lambda: not any(process.is_running() for process in started), "nothing is left running")


def test_a_control_plane_that_comes_back_after_traefik_left_does_not_hide_the_end(
    new_appliance: MakeAppliance, short_path: Path
) -> None:
    """The exit code is 70 at the second start on the same root too: what the last run left behind is no answer."""
    broken = short_path / "broken"
    broken.touch()
    wrapper = short_path / "traefik"
    wrapper.write_text(f'#!/bin/sh\n[ ! -e {broken} ] || exit 1\nexec {TRAEFIK} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    values = appliances.settings()
    values["traefik"]["binary"] = str(wrapper)
    one = new_appliance(values)
    assert one.launch().wait(seconds=60) == EXIT_FATAL
    broken.unlink()
    one.start()
    assert one.stop() == 0
