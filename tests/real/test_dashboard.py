"""The dashboard in a real browser: what it shows, how soon, to whom, and that nothing shown ever becomes markup.

Pictures of it are kept in tests/artefacts.
"""

import contextlib
import re
import select
import socket
import socketserver
import threading
import time
from pathlib import Path

import pytest

from appliance.adapters import admin
from appliance.model.standings import State
from appliance.model.tokens import Role
from tests import showcase
from tests.dashboards import MARKUP, enter, keep, url
from tests.peers import addresses
from tests.peers.appliance import MakeAppliance
from tests.peers.appliance import settings as gateway_settings
from tests.peers.backends import MakeBackend
from tests.peers.browser import Browser
from tests.peers.launching import await_result
from tests.peers.pebble import Pebble
from tests.plane import name
from tests.served import TcpServed

MANY = 10_000


def test_a_real_gateway_is_shown_as_it_is_and_as_it_changes(
    browser: Browser, new_appliance: MakeAppliance, pebble: Pebble, backend: MakeBackend, tmp_path: Path
) -> None:
    """From the certificate that was issued to the workload that comes and goes, each within seconds."""
    address = "127.0.0.1:9090"
    values = gateway_settings(pebble)
    values["admin"] = {"listen": address, "token_file": str(tmp_path / "tokens")}
    gateway = new_appliance(values).start()
    token = gateway.must("token", "new", "person", "--role", "write")["token"]
    gateway.must("route", "name", "7-blog", "blog", backend("one").url)
    gateway.write_workload(
        "7-bad", f"type: gateway-name-proxy\nname: bad\n{MARKUP!r}: 1\nbackends: ['http://10.1.2.3']\n"
    )
    with browser.page(f"http://{address}/") as page:
        enter(page, token)
        page.until_text("#workloads-rows", "blog.gw.test")
        page.until_text("#workloads-rows", "issued", seconds=60)
        page.until_text("#workloads-rows", MARKUP)
        page.until_text("#certificates-rows", "*.gw.test")
        page.until_text("#challenges-list", "Cleaned up", seconds=30)
        page.until_text("#challenges-list", "Queried")
        page.until_text("#programs-rows", "traefik")
        page.until_text("#programs-rows", " MB")
        page.until("document.querySelectorAll('#delegation svg').length === 2", "both are drawn", seconds=40)
        good = "document.querySelectorAll('#delegation .link.ok').length === 6"
        page.until(good, "all links are in order", seconds=70)
        boxes = page.run(
            "[...document.querySelectorAll('#delegation .zone:first-child .detail')].map((it) => it.textContent)"
        )
        assert boxes[:3] == ["test", "gw.test", addresses.GATEWAY]
        began = time.monotonic()
        gateway.must("route", "name", "7-wiki", "wiki", backend("two").url)
        page.until_text("#events-list", "7-wiki", seconds=5)
        page.until_text("#workloads-rows", "wiki.gw.test", seconds=5)
        print(f"shown {time.monotonic() - began:.1f} s after the command began")  # noqa: T201
        keep(page, "real-gateway")
        page.click("button[aria-label='Delete 7-wiki']")
        page.until("document.querySelector('#question').open", "it is asked")
        page.click("#question-yes")
        page.until_text("#outcome", "7-wiki is deleted")
        page.until("!document.querySelector('#workloads-rows').innerText.includes('wiki.gw.test')", "it is gone")
        assert gateway.workload("7-wiki") is None
        assert page.run("document.title") == "Gateway"
        assert page.complaints == []


def test_everything_there_is_to_see_is_told(browser: Browser, served: TcpServed) -> None:
    with browser.page(url(served)) as page:
        enter(page, served.read)
        page.until_text("#workloads-rows", "req/s")
        page.until_text("#certificates-rows", "61 days")
        rows = page.text("#certificates-rows")
        assert rows.index("shop.customer.com") < rows.index("8 days") < rows.index("61 days")
        page.until_text("#delegation", "broken")
        pictures = [told for role, told in page.accessible() if role == "image" and "Delegation" in told]
        said = "Parent zone delegates NS record: in order; NS record leads to This gateway: broken; "
        said += "This gateway answers Whoever asks: not known."
        assert pictures == [f"Delegation of {showcase.ZONE}. {said}"]
        assert page.count("#delegation .link.bad") == 1
        assert "IN\tA\t203.0.113.10" in str(page.run("document.querySelector('#delegation .todo').textContent"))
        steps = page.text("#challenges-list")
        for told in ("by lego (DNS-01)", "Queried 3 times", "198.51.100.99", "Cleaned up", "Not cleaned up yet"):
            assert told in steps
        page.until_text("#programs-rows", "118.0 MB")
        assert re.search(r"[56]\.\d %", page.text("#programs-rows"))
        assert "1 notice" in page.text("#health")
        keep(page, "light")
        page.dress("dark")
        keep(page, "dark")
        page.resize(360, 740)
        keep(page, "narrow")


def test_what_happens_is_seen_within_seconds(browser: Browser, served: TcpServed) -> None:
    with browser.page(url(served)) as page:
        enter(page, served.read)
        served.plane.put(name("live-one", "live"))
        page.until_text("#events-list", "live-one", seconds=5)
        page.until_text("#workloads-rows", "live.gw.example.com", seconds=5)
        served.plane.gateway.present(showcase.ZONE, "value", "a test")
        page.until_text("#events-list", "by a test", seconds=5)
        page.click("#events-pause")
        served.plane.gateway.clean_up(showcase.ZONE, "value", "another test")
        page.until_text("#events-note", "paused, 1 waiting", seconds=5)
        page.click("#events-pause")
        page.until_text("#events-list", "by another test", seconds=5)


def test_the_focus_stays_where_it_is_when_a_row_above_it_goes(browser: Browser, served: TcpServed) -> None:
    with browser.page(url(served)) as page:
        enter(page, served.write)
        served.plane.put(name("00-above", "above"))
        page.until_text("#workloads-rows", "above.gw.example.com")
        page.run("document.querySelector(\"button[aria-label='Delete 37-2041-git']\").focus()")
        served.plane.gateway.delete_proxy("00-above")
        page.until("!document.querySelector('#workloads-rows').innerText.includes('above.gw')", "the row is gone")
        assert page.run("document.activeElement.getAttribute('aria-label')") == "Delete 37-2041-git"


def test_nothing_that_is_shown_becomes_markup(browser: Browser, served: TcpServed) -> None:
    """What tenants write is text; and the policy would not let a script or a picture of theirs in."""
    with browser.page(url(served)) as page:
        enter(page, served.write)
        page.until_text("#workloads-rows", MARKUP)
        assert page.run("document.querySelectorAll('td b, td img, li b, li img').length") == 0
        assert page.complaints == []
        assert page.run("document.title") == "Gateway"
        for attack in (
            "document.body.append(Object.assign(document.createElement('script'), { text: 'window.ran = 1' }))",
            "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
            "fetch('http://127.0.0.1:1/')",
            "document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:1/x.png' }))",
        ):
            before = len(page.complaints)
            page.run(
                f"(async () => {{ try {{ await ({attack}); }} catch (error) {{ console.error(String(error)); }} }})()"
            )
            page.until("true", "it was tried")
            assert any("Policy" in told or "Trusted" in told for told in page.complaints[before:]), attack
        assert page.run("window.ran") is None


def test_who_may_only_read_is_offered_nothing_else(browser: Browser, served: TcpServed) -> None:
    writing = "#prune, #editing form, #editing details, button.danger"
    with browser.page(url(served)) as page:
        enter(page, served.read)
        page.until_text("#caller", "token reader, may only read")
        page.until_text("#workloads-rows", "blog.gw.example.com")
        assert page.count(writing) == 0
        assert "Change" not in page.text("#workloads thead")
        script = "fetch('/v1/workloads/41-7-shop', {method: 'DELETE', headers: {Authorization: 'Bearer %s'}})"
        assert page.run(f"{script % served.read}.then((answer) => answer.status)") == 403
        page.click("#forget")
        page.until_text("#door", "Token")
        assert "blog" not in page.run("document.documentElement.textContent")
        enter(page, served.write)
        page.until_text("#caller", "token writer, may write")
        page.until_text("#workloads-rows", "blog.gw.example.com")
        assert page.count(writing) >= 5
        assert page.run("localStorage.length") == 0
        assert page.run("document.cookie") == ""


def test_a_wrong_token_is_said_to_be_wrong(browser: Browser, served: TcpServed) -> None:
    with browser.page(url(served)) as page:
        page.until_text("#door", "Token")
        assert page.complaints == []
        page.type("gwt_nonsense")
        page.press("Enter")
        page.until_text("#trouble", "not, or no longer, valid")
        assert page.run("sessionStorage.length") == 0
        enter(page, served.read)
        assert page.count("#trouble") == 0


def test_ten_thousand_workloads_are_paged(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The page holds one page of them, whichever that is, and answers while it does."""
    plane = showcase.plane(*(name(f"w{number:05}", f"n{number:05}") for number in range(MANY)))
    request.addfinalizer(plane.stop)
    applied = lambda: plane.applier.board.states()[State.APPLIED] > MANY  # noqa: E731
    await_result(applied, "they are applied", seconds=60)
    with TcpServed(plane, tmp_path).running() as served, browser.page(url(served)) as page:
        began = time.monotonic()
        enter(page, served.read)
        page.until_text("#page-number", "Page 1, 25 workloads")
        print(f"the first page after {time.monotonic() - began:.1f} s")  # noqa: T201
        page.until_text("#tiles", f"{MANY + 4:,}")
        for number in range(2, 6):
            page.click("#page-after")
            page.until_text("#page-number", f"Page {number}, 25 workloads")
        page.click("#page-before")
        page.until_text("#page-number", "Page 4,")
        page.run("document.querySelector('#filter-domain').focus()")
        page.type("n09999.gw.example.com")
        page.press("Enter")
        page.until_text("#page-number", "Page 1, 1 workload, the last")
        page.until_text("#workloads-rows", "n09999.gw.example.com")
        page.until_text("#workloads-rows", "req/s", seconds=60)
        assert page.run("document.querySelectorAll('*').length") < 2500
        assert page.complaints == []


def test_a_token_that_is_revoked_ends_the_view(browser: Browser, served: TcpServed) -> None:
    """Nothing that was shown stays, and why is said."""
    token = served.tokens.create("leaver", Role.READ)
    with browser.page(url(served)) as page:
        enter(page, token)
        page.until_text("#workloads-rows", "blog.gw.example.com")
        served.tokens.revoke("leaver")
        page.until_text("#trouble", "no longer, valid")
        assert "blog" not in page.run("document.documentElement.textContent")
        enter(page, served.read)


class Forwarded(socketserver.ThreadingTCPServer):
    """A port that leads to a unix socket, as `ssh -L PORT:SOCKET` makes one."""

    daemon_threads = True
    path: Path


class _Forward(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Pass on both ways until one of them ends."""
        assert isinstance(self.server, Forwarded)
        with socket.socket(socket.AF_UNIX) as there, contextlib.suppress(OSError):
            there.connect(str(self.server.path))
            pairs = {self.request: there, there: self.request}
            while ready := select.select(list(pairs), [], [])[0]:
                for one in ready:
                    if not (part := one.recv(65536)):
                        return
                    pairs[one].sendall(part)


def test_over_the_unix_socket_no_token_is_asked_for(browser: Browser, short_path: Path) -> None:
    """Through a forwarded port, under `localhost` and under no other name."""
    plane = showcase.plane()
    failures: list[BaseException] = []
    api = admin.unix(admin.application(plane.gateway), short_path / "admin.sock")
    api.start(failures.append)
    with contextlib.ExitStack() as stack:
        stack.callback(plane.stop)
        stack.callback(api.stop)
        forwarded = stack.enter_context(Forwarded(("127.0.0.1", 0), _Forward))
        forwarded.path = short_path / "admin.sock"
        threading.Thread(target=forwarded.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(forwarded.shutdown)
        page = stack.enter_context(browser.page(f"http://localhost:{forwarded.server_address[1]}/"))
        page.until_text("#caller", "uid 0, may write")
        page.until_text("#workloads-rows", "blog.gw.example.com")
        page.click("button[aria-label='Delete 37-2041-git']")
        page.until("document.querySelector('#question').open", "it is asked")
        page.click("#question-yes")
        page.until_text("#outcome", "37-2041-git is deleted")
        assert page.complaints == []
    assert not failures
