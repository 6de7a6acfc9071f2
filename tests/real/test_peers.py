"""The harness itself: what every other test here relies on is shown once, so that a failure elsewhere is theirs."""

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rrset
import psutil
import pytest

from tests.peers import addresses, backends, https, namespace
from tests.peers.backends import MakeBackend
from tests.peers.browser import Browser
from tests.peers.launching import Launched, PeerError, await_result
from tests.peers.lego import Lego
from tests.peers.load import Load
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble
from tests.peers.unbound import Answer, Unbound, resolve

BASELINE_HOOK = Path(__file__).parents[2] / "bench" / "original" / "cert.sh"
WRAPPER = [sys.executable, "-m", "tests.peers.namespace"]


@contextlib.contextmanager
def recording_name_server(value: str) -> Iterator[list[str]]:
    """Answers every question at the gateway's address with one TXT value, and keeps the names as they were spelled."""
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((addresses.GATEWAY, 53))

        def serve() -> None:
            while True:
                wire, client = server.recvfrom(4096)
                if not wire:
                    return
                question = dns.message.from_wire(wire)
                name = question.question[0].name
                asked.append(name.to_text())
                reply = dns.message.make_response(question)
                reply.flags |= 0x0400  # authoritative
                if question.question[0].rdtype.name == "TXT":
                    reply.answer.append(dns.rrset.from_text(name, 0, "IN", "TXT", f'"{value}"'))
                server.sendto(reply.to_wire(), client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (addresses.GATEWAY, 53))
        thread.join()


def test_the_resolver_follows_the_delegation_and_randomises_case(resolver: Unbound) -> None:
    with recording_name_server("found") as asked:
        answers = [resolve(f"{label}.gw.test", "TXT") for label in ("_acme-challenge", "__acme-challenge")]
    assert answers == [Answer("NOERROR", ('"found"',))] * 2
    assert {name.lower() for name in asked} >= {"_acme-challenge.gw.test.", "__acme-challenge.gw.test."}
    assert any(name != name.lower() for name in asked)


def test_every_name_below_a_gateway_domain_leads_to_the_gateway(resolver: Unbound) -> None:
    assert resolve("gw.test", "A").values == (addresses.GATEWAY,)
    assert resolve("blog.gw.test", "A").values == ("gw.test.", addresses.GATEWAY)


def test_a_changed_record_is_what_the_next_question_is_answered_with(parent: Nsd, resolver: Unbound) -> None:
    parent.add_host("moving.customer.test")
    assert resolve("moving.customer.test", "A").values == (addresses.GATEWAY,)
    parent.add_host("moving.customer.test", addresses.BACKEND, addresses.BACKEND_V6)
    assert resolve("moving.customer.test", "A").values == (addresses.BACKEND,)
    assert resolve("moving.customer.test", "AAAA").values == (addresses.BACKEND_V6,)
    parent.replace({"moving.customer.test": []})
    assert resolve("moving.customer.test", "A").rcode == "NXDOMAIN"


def test_nothing_outside_the_test_zone_exists(resolver: Unbound) -> None:
    assert resolve("example.com", "A").rcode == "NXDOMAIN"
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 443), timeout=1)


def test_the_system_resolver_is_ours(resolver: Unbound) -> None:
    assert socket.gethostbyname("blog.gw.test") == addresses.GATEWAY


def test_the_ca_issues_over_http01_and_counts_it(parent: Nsd, pebble: Pebble, lego: Lego) -> None:
    parent.add_host("shop.customer.test")
    certificate = lego.http01("shop.customer.test")
    assert certificate.issuer.rfc4514_string() == pebble.issuer()
    assert (pebble.orders(), pebble.issued()) == (1, [("shop.customer.test",)])
    assert pebble.validations() == {"shop.customer.test": 1}
    pebble.count_from_here()
    assert (pebble.orders(), pebble.issued(), pebble.validations()) == (0, [], {})


def test_the_baseline_hook_serves_one_value_while_a_challenge_lasts(resolver: Unbound, short_path: Path) -> None:
    environment = os.environ | {"CERT_RUN": str(short_path), "CERT_TTL": "0"}
    for value in ("first", "second"):
        subprocess.run([BASELINE_HOOK, "present", "_acme-challenge.gw.test.", value], env=environment, check=True)
        assert resolve("_acme-challenge.gw.test", "TXT").values == (f'"{value}"',)
    subprocess.run([BASELINE_HOOK, "cleanup", "_acme-challenge.gw.test.", "second"], env=environment, check=True)
    assert list(short_path.iterdir()) == []


def test_a_backend_says_who_it_is_and_what_it_was_sent(backend: MakeBackend) -> None:
    secure = backend("blue", tls_names=("shop.test",))
    answer = https.fetch("shop.test", "/x", address=secure.address, port=secure.port, method="POST", body=b"hello")
    echo = json.loads(answer.body)
    assert (echo["backend"], echo["path"], echo["host"], echo["body"]) == ("blue", "/x", "shop.test", "hello")
    assert answer.certificate is not None
    assert backends.CA_NAME in answer.certificate.issuer
    assert https.certificate_served("shop.test", secure.address, secure.port).names == ("shop.test",)
    assert secure.requests == 1
    plain = backend("green", address=addresses.BACKEND_V6)
    assert https.fetch_plain("any.test", address=plain.address, port=plain.port).status == 200


@pytest.mark.parametrize("keep_alive", [False, True])
def test_the_load_counts_every_failure(backend: MakeBackend, keep_alive: bool) -> None:
    server = backend("blue", tls_names=("shop.test",))
    load_for = functools.partial(Load, "shop.test", address=server.address, port=server.port, keep_alive=keep_alive)
    with load_for(expect="blue") as load:
        assert load.until_more(50).failures == 0
    with load_for(expect="green") as load:
        await_result(lambda: load.tally().failures >= 5, "wrong answers are failures")
    assert load.tally().ok == 0
    server.close()
    with load_for(expect="blue") as load:
        await_result(lambda: load.tally().failures >= 5, "refused connections are failures")
    assert "refused" in load.tally().examples[0]


def test_a_held_backend_answers_only_afterwards(backend: MakeBackend) -> None:
    server = backend("blue")
    answered = threading.Event()

    def ask() -> None:
        https.fetch_plain("any.test", address=server.address, port=server.port)
        answered.set()

    asking = threading.Thread(target=ask)
    with server.held():
        asking.start()
        await_result(lambda: server.requests, "the request has arrived")
        assert not answered.is_set()
    asking.join()
    assert answered.is_set()


def test_a_wait_that_fails_shows_the_log(tmp_path: Path) -> None:
    program = Launched(["sh", "-c", "echo told you so; exit 3"], tmp_path / "log")
    with pytest.raises(PeerError, match=r"ended with 3(?s:.*)told you so"):
        program.until(lambda: False, "something")
    program.kill()


def test_the_namespace_passes_the_exit_code_and_signals_on(tmp_path: Path) -> None:
    assert subprocess.run([*WRAPPER, "sh", "-c", "exit 7"], check=False).returncode == 7
    argv = [*WRAPPER, "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"]
    program = Launched(argv, tmp_path / "log", cwd=Path.cwd())
    program.until_logged("ready")
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 9


def test_killing_the_namespace_ends_all_that_was_started_in_it(tmp_path: Path) -> None:
    argv = [*WRAPPER, "sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & echo ready; wait"]
    program = Launched(argv, tmp_path / "log", cwd=Path.cwd(), environment=os.environ | {"TMPDIR": str(tmp_path)})
    program.until_logged("ready")
    inside = psutil.Process(program.process.pid).children(recursive=True)
    assert len(inside) >= 4
    os.kill(program.process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(inside, timeout=5)
    assert not alive
    program.kill()


def test_the_suite_refuses_to_run_elsewhere() -> None:
    outside = {name: value for name, value in os.environ.items() if name != namespace.MARK}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent)],
        env=outside,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 4
    assert "make test" in run.stdout + run.stderr


def test_a_click_lands_on_what_it_is_meant_for_while_the_page_moves(browser: Browser) -> None:
    """And on nothing else: each of thirty jumps puts another button where the first one was."""
    page_text = """<button id=meant onclick="this.dataset.clicked = (+this.dataset.clicked || 0) + 1">meant</button>
    <button id=other onclick="this.dataset.clicked = 1">other</button>
    <style>button { position: absolute; top: 0; width: 200px; height: 60px } .aside { left: 600px }</style>
    <script>
      let jumps = 0;
      const jump = () => {
        meant.classList.toggle("aside", ++jumps % 2);
        other.classList.toggle("aside", jumps % 2 === 0);
        if (jumps < 30) setTimeout(jump, 30); else document.title = "at rest";
      };
      jump();
    </script>"""
    with browser.page("data:text/html," + urllib.parse.quote(page_text)) as page:
        for _ in range(20):
            page.click("#meant")
        page.until("document.title === 'at rest'", "it has jumped enough")
        assert page.run("meant.dataset.clicked") == "20"
        assert page.run("other.dataset.clicked ?? ''") == ""
