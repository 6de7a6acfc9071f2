"""What all programs say comes out as one stream of one field set, wherever it goes, and is kept."""

import contextlib
import dataclasses
import json
import os
import pty
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.peers import addresses, https
from tests.peers import appliance as appliances
from tests.peers.appliance import GATEWAY, Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.fault_proxy import AUTHORIZATION, FaultProxy, Reply
from tests.peers.launching import PeerError, await_result
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble

PROGRAMS = {"traefik", "gateway", "supervisord"}


def lines(text: str) -> list[dict[str, Any]]:
    """Every line, each of which is a JSON object that begins with the field set."""
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        assert list(line)[:3] == ["time", "level", "program"], line
        assert "message" in line
        assert line["level"] in {"debug", "info", "warning", "error", "critical"}
    return found


def relay_of(one: Appliance) -> psutil.Process:
    """The log relay's process."""
    (found,) = relays(one)
    return found


def relays(one: Appliance) -> list[psutil.Process]:
    """Every relay that lives; of other processes that end meanwhile nothing is asked."""
    found = []
    for process in one.started():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is none, either
            if "appliance.launch.log_relay" in process.cmdline():
                found.append(process)
    return found


def logged(one: Appliance, *options: str) -> list[dict[str, Any]]:
    """`gateway logs`."""
    outcome = one.cli("logs", "-n", "100000", *options)
    assert outcome.code == 0, outcome
    if isinstance(outcome.output, dict):
        return [outcome.output]
    return lines(outcome.output)


def test_all_programs_say_what_they_do_in_one_field_set(appliance: Appliance) -> None:
    """From the first line to the last, those of the stop included; the same lines are kept."""
    assert appliance.stop() == 0
    found = lines(appliance.program.log_text())
    assert {line["program"] for line in found} >= PROGRAMS
    messages = [(line["program"], line["message"]) for line in found]
    assert ("supervisord", "stopped: traefik (exit status 0)") in messages
    assert any(program == "traefik" and message.startswith("Starting provider") for program, message in messages)
    assert ("gateway", "control plane ready") in messages
    assert not [line for line in found if line["level"] == "critical"]
    kept = appliance.root / "run/log"
    assert [json.loads(line) for line in (kept / "gateway.log").read_text().splitlines()] == found
    assert {path.stat().st_mode & 0o777 for path in kept.iterdir()} == {0o600}


@contextlib.contextmanager
def read_from(reading: int) -> Iterator[Callable[[], str]]:
    """What was written to the other end, taken in as it comes."""
    taken = bytearray()

    def text() -> str:
        with contextlib.suppress(BlockingIOError, OSError):  # EIO: nobody has the terminal open any more
            while chunk := os.read(reading, 65536):
                taken.extend(chunk)
        return taken.decode().replace("\r\n", "\n")

    os.set_blocking(reading, False)
    yield text
    os.close(reading)


def ends(kind: str) -> tuple[int, int]:
    """Descriptors to read and to write."""
    if kind == "socket":
        ours, theirs = socket.socketpair()
        return ours.detach(), theirs.detach()
    return pty.openpty() if kind == "terminal" else os.pipe()


@pytest.mark.parametrize("kind", ["socket", "pipe", "terminal"])
def test_it_works_whatever_standard_output_is(new_appliance: MakeAppliance, kind: str) -> None:
    """A socket as under systemd, a pipe as under Docker, a terminal. (The other tests have a file.)"""
    one = new_appliance()
    reading, writing = ends(kind)
    argv = [str(GATEWAY), "run", "--root", str(one.root), "--config", str(one.configuration)]
    with read_from(reading) as text:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, env=one.environment)
        os.close(writing)
        try:
            await_result(
                lambda: "control plane ready" in text() and "Starting provider" in text(),
                "the control plane and Traefik are ready",
                seconds=30,
                log=text,
            )
            process.terminate()
            assert process.wait(30) == 0
            found = lines(text())
            assert {line["program"] for line in found} >= PROGRAMS
            assert "stopped: gateway (exit status 0)" in [line["message"] for line in found]
        finally:
            process.kill()
            process.wait()


def test_text_is_for_people_and_json_is_kept(new_appliance: MakeAppliance) -> None:
    one = new_appliance(environment={"GATEWAY__LOG__FORMAT": "text"}).start()
    one.program.until_logged(" info     gateway     control plane ready root=")
    text = one.program.log_text()
    assert not [line for line in text.splitlines() if line.startswith("{")]
    assert "control plane ready" in [line["message"] for line in logged(one, "--program", "gateway")]


def test_a_relay_that_dies_costs_no_program_and_is_started_again(appliance: Appliance) -> None:
    """Also after supervisord has reloaded on SIGHUP and closed every descriptor it does not know."""
    for _ in range(2):
        old = relay_of(appliance)
        traefik = appliance.pid_of("traefik")
        old.kill()
        new = until_another(appliance, old.pid)
        appliance.until_replaced("gateway", appliance.kill_program("gateway"))
        appliance.program.until_logged("terminated by SIGKILL", seconds=10)
        assert appliance.pid_of("traefik") == traefik
        os.kill(appliance.program.process.pid, signal.SIGHUP)
        appliance.until_replaced("traefik", traefik)
        assert relay_of(appliance).pid == new
    assert appliance.stop() == 0
    lines(appliance.program.log_text())


def until_another(one: Appliance, old: int) -> int:
    """The relay that took the place of `old`."""

    def another() -> int | None:
        return next((process.pid for process in relays(one) if process.pid != old), None)

    return one.program.until(another, "another relay", seconds=20)


def test_a_call_s_id_is_in_the_lines_written_for_it(appliance: Appliance, backend: MakeBackend) -> None:
    """The caller's own id, answered to it, and found again in what the applier did."""
    body = {"type": "gateway-name-proxy", "name": "blog", "backends": [backend("blue").url]}
    document = json.dumps(body)
    headers = {"X-Request-ID": "test-id-1", "Content-Type": "application/json"}
    with contextlib.closing(appliances._UnixConnection(appliance.root / "run/admin.sock")) as connection:
        path = "/v1/workloads/1-2-blog?wait=applied&timeout=20"
        connection.request("PUT", path, document, headers)
        answer = connection.getresponse()
        answer.read()
    assert (answer.status, answer.headers["X-Request-ID"]) == (200, "test-id-1")

    def found() -> set[str]:
        messages = {line["message"] for line in logged(appliance) if line.get("request") == "test-id-1"}
        if not messages >= {"routes written", "workload applied"}:
            raise PeerError(messages)
        return messages

    await_result(found, "the lines of the call")


THUMBPRINT = "2owKWjU3-8LPNXXDkDNbGLat7FEslR_Jmj1zOY4DT6E"


def refused(reply: Reply) -> Reply:
    """An authorization that would be granted, refused as Pebble and others do it: with the key authorization quoted."""
    document = json.loads(reply.body)
    if document["status"] != "valid":
        return reply
    document["status"] = "invalid"
    for challenge in document["challenges"]:
        expected = f"{challenge['token']}.{THUMBPRINT}"
        words = f'The key authorization file from the server did not match this challenge "{expected}"'
        problem = {"type": "urn:ietf:params:acme:error:unauthorized", "detail": words, "status": 403}
        challenge.update(status="invalid", error=problem)
    return dataclasses.replace(reply, body=json.dumps(document).encode())


def test_a_key_authorization_in_an_authority_s_words_is_redacted(
    new_appliance: MakeAppliance, parent: Nsd, pebble: Pebble
) -> None:
    """Traefik repeats the authority's words; in our stream and in the kept log the part that proves is missing."""
    parent.add_host("shop.customer.test")
    with FaultProxy(pebble) as ca:
        ca.rewrite(refused, path=AUTHORIZATION)
        one = new_appliance(appliances.settings(ca)).start()
        one.must("route", "fqdn", "1-2-shop", "shop.customer.test", f"http://{addresses.BACKEND}:1")
        one.program.until_logged("did not match this challenge", seconds=60)
        one.stop()
    text = one.program.log_text()
    errors = [line["error"] for line in lines(text) if "did not match this challenge" in str(line.get("error"))]
    assert ".[redacted]" in errors[0]
    assert "urn:ietf:params:acme:error:unauthorized" in errors[0]
    assert THUMBPRINT not in text + (one.root / "run/log/gateway.log").read_text()


def test_secrets_of_the_settings_are_nowhere_in_the_log(new_appliance: MakeAppliance, pebble: Pebble) -> None:
    """An HMAC key, a password in the broker's address: not even where a peer is what complains of them."""
    values = appliances.settings(pebble)
    values["acme"]["eab"] = {"kid": "key-1", "hmac": "c2VjcmV0LWhtYWMta2V5LW9mLXRoZS10ZXN0"}
    values["broker"] = f"redis://:hunter2-of-the-test@{addresses.OTHER_BACKEND}:6379"
    one = new_appliance(values, environment={"GATEWAY_LOG_LEVEL": "debug"}).start()
    one.must("route", "name", "1-2-blog", "blog", f"http://{addresses.BACKEND}:1")
    one.program.until(
        lambda: "Registering the account" in one.program.log_text(), "an account is asked for", seconds=30
    )
    one.stop()
    everything = one.program.log_text() + (one.root / "run/log/gateway.log").read_text()
    assert "hunter2" not in everything
    assert "c2VjcmV0" not in everything


def test_requests_are_passed_on_and_not_kept(new_appliance: MakeAppliance, backend: MakeBackend) -> None:
    values = appliances.settings()
    values["traefik"]["access_log"] = True
    one = new_appliance(values).start()
    one.must("route", "name", "1-2-blog", "blog", backend("blue").url)
    https.fetch("blog.gw.test", "/the-path-of-the-test")
    one.program.until_logged("/the-path-of-the-test")
    assert not [line for line in logged(one) if line.get("logger") == "access"]
