"""The throw-away Traefik that orders at the staging directory: programs of our own in its place, that do as Traefik."""

import json
import os
import stat
import sys
import textwrap
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from appliance import settings
from appliance.adapters.throwaway import TraefikRehearsal
from appliance.control.ports_issuance import Understudy
from appliance.model.errors import Unavailable
from appliance.state_files import StateFile
from tests import stored
from tests.fakes import until

STAGING = "https://staging.example/dir"
SHOP = "shop.customer.com"
WILDCARD = "*.gw.example.com"
WRONG = "wrong.customer.test"
GONE = "account-gone.customer.test"
GOLDEN = Path(__file__).parent.parent / "golden/acme_log"
SETTINGS = """
public: {ipv4: 203.0.113.10, domains: [gw.example.com]}
acme: {email: ops@example.com, rehearsal: true}
dns: {resolvers: [192.0.2.53]}
"""
DOING = """
import json, os, signal, sys
static = json.load(open(next(it.split("=", 1)[1] for it in sys.argv if it.startswith("--configFile="))))
orders = json.load(open(static["providers"]["file"]["filename"]))
resolvers = {name: one["acme"] for name, one in static["certificatesResolvers"].items()}
"""
Make = Callable[[str], TraefikRehearsal]


@pytest.fixture
def accounts(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "rehearsals.json", tmp_path, "accounts")


@pytest.fixture
def make(tmp_path: Path, accounts: StateFile) -> Make:
    """A rehearsal by a program of ours. What it writes to `out` is there when it is."""
    (tmp_path / "gateway.yaml").write_text(SETTINGS)
    loaded = settings.load(tmp_path / "gateway.yaml", {})

    def build(doing: str, directory: str = STAGING) -> TraefikRehearsal:
        program = tmp_path / "program"
        program.write_text(f"#!{sys.executable}\n{DOING}\nout = {str(tmp_path / 'out')!r}\n{textwrap.dedent(doing)}")
        program.chmod(0o700)
        environment = {"EXEC_PATH": "/hook"}
        place = tmp_path / "place"
        return TraefikRehearsal(program, loaded, directory, place=place, accounts=accounts, environment=environment)

    return build


def storing(place: Path, content: Mapping[str, Any]) -> str:
    """The line of a program that stores this for a certificate resolver, as Traefik does: in place."""
    (resolver,) = content
    prepared = place / f"prepared-{resolver}.json"
    prepared.write_text(json.dumps(content))
    return f"open(resolvers[{resolver!r}]['storage'], 'w').write(open({str(prepared)!r}).read())\n"


def seen(tmp_path: Path, rehearsal: TraefikRehearsal, subjects: list[str]) -> Any:
    """What the program wrote to `out`, by a rehearsal that is over then."""
    out = tmp_path / "out"
    with closing(rehearsal):
        assert list(rehearsal.outcomes(subjects, out.exists)) == []
    return json.loads(out.read_text())


SHOWING = """
open(out + '.new', 'w').write(json.dumps({}))
os.rename(out + '.new', out)
signal.pause()
"""


def test_it_is_configured_as_the_real_one_but_for_the_directory_and_the_stores(tmp_path: Path, make: Make) -> None:
    shown = "[static, orders, dict(os.environ), sorted(map(int, os.listdir('/proc/self/fd')))[:4]]"
    rehearsal = make(SHOWING.replace("{}", shown))
    keeping: Understudy = rehearsal
    assert keeping.directory == STAGING
    static, orders, environment, descriptors = seen(tmp_path, rehearsal, [SHOP, WILDCARD])
    by_http, by_dns = (static["certificatesResolvers"][name]["acme"] for name in ("resolver", "dnsresolver"))
    assert {by_http["caServer"], by_dns["caServer"]} == {STAGING}
    assert by_http["email"] == "ops@example.com"
    assert by_http["httpChallenge"] == {"entryPoint": "web"}
    assert by_dns["dnsChallenge"]["provider"] == "exec"
    assert by_dns["dnsChallenge"]["resolvers"] == ["192.0.2.53"]
    routers = orders["http"]["routers"].values()
    assert [router["tls"] for router in routers] == [
        {"certResolver": "resolver"},
        {"certResolver": "dnsresolver", "domains": [{"main": "gw.example.com", "sans": [WILDCARD]}]},
    ]
    assert [router["rule"] for router in routers] == [f"Host(`{SHOP}`)", "Host(`gw.example.com`)"]
    assert environment.pop("LISTEN_FDNAMES") == "web"
    assert environment["EXEC_PATH"] == "/hook"
    assert "PATH" not in environment
    assert descriptors[:4] == [0, 1, 2, 3]
    assert not (tmp_path / "place").exists()


def test_each_outcome_is_told_as_soon_as_it_is_known(tmp_path: Path, make: Make) -> None:
    said = (GOLDEN / "unauthorized.jsonl").read_text()
    doing = f"sys.stdout.write({said!r}); sys.stdout.flush()\n"
    doing += "while not os.path.exists(out): pass\n"
    doing += storing(tmp_path, stored.document(stored.entry("gw.example.com", WILDCARD), resolver="dnsresolver"))
    doing += storing(tmp_path, stored.document(stored.entry("other.example.com")))
    rehearsal = make(doing + "signal.pause()")
    with closing(rehearsal), closing(rehearsal.outcomes([SHOP, WRONG, WILDCARD], lambda: False)) as outcomes:
        subject, failed = next(outcomes)
        assert subject == WRONG
        assert failed is not None
        assert failed.problem is not None
        assert failed.problem.kind == "unauthorized"
        (tmp_path / "out").touch()
        assert next(outcomes) == (WILDCARD, None)
        (program,) = (one for one in psutil.Process().children() if str(tmp_path / "program") in one.cmdline())
    assert not program.is_running()
    assert not (tmp_path / "place").exists()


def test_it_ends_when_it_is_over_or_all_is_told(tmp_path: Path, make: Make) -> None:
    doing = storing(tmp_path, stored.document(stored.entry(SHOP)))
    with closing(make(doing + "signal.pause()")) as rehearsal:
        assert list(rehearsal.outcomes([SHOP], lambda: False)) == [(SHOP, None)]
    with closing(make("signal.pause()")) as rehearsal:
        assert list(rehearsal.outcomes([SHOP], lambda: True)) == []


def test_accounts_are_kept_and_certificates_are_not(tmp_path: Path, make: Make) -> None:
    owner = stored.account(1)
    doing = storing(tmp_path, stored.document(stored.entry(SHOP), owner=owner))
    with closing(make(doing + "signal.pause()")) as rehearsal:
        assert list(rehearsal.outcomes([SHOP], lambda: False)) == [(SHOP, None)]
    assert stat.S_IMODE((tmp_path / "rehearsals.json").stat().st_mode) == 0o600
    showing = SHOWING.replace("{}", "json.load(open(resolvers['resolver']['storage']))")
    assert seen(tmp_path, make(showing), [SHOP]) == {"resolver": {"Account": owner, "Certificates": None}}
    (tmp_path / "out").unlink()
    # At another directory nobody knows that account.
    showing = SHOWING.replace("{}", "os.path.exists(resolvers['resolver']['storage'])")
    elsewhere = make(showing)
    elsewhere.directory = "https://other.example/dir"
    assert seen(tmp_path, elsewhere, [SHOP]) is False


def test_an_account_that_the_authority_forgot_is_forgotten_here(tmp_path: Path, make: Make) -> None:
    """Else every rehearsal to come would fail for it."""
    said = (GOLDEN / "account_gone.jsonl").read_text()
    with closing(make(storing(tmp_path, stored.document(stored.entry(SHOP))) + "signal.pause()")) as rehearsal:
        assert len(list(rehearsal.outcomes([SHOP], lambda: False))) == 1
    assert json.loads((tmp_path / "rehearsals.json").read_text())["accounts"].keys() == {"resolver"}
    with closing(make(f"sys.stdout.write({said!r}); sys.stdout.flush(); signal.pause()")) as rehearsal:
        ((subject, failed),) = rehearsal.outcomes([GONE], lambda: False)
    assert subject == GONE
    assert failed is not None
    assert json.loads((tmp_path / "rehearsals.json").read_text())["accounts"] == {}


@pytest.mark.parametrize(
    ("doing", "words"),
    [
        ("raise SystemExit('no such thing')", "no such thing"),
        (
            f"os.write(1, open({str(GOLDEN / 'resolver_skipped_mode.jsonl')!r}, 'rb').read()); signal.pause()",
            "too open",
        ),
    ],
)
def test_one_that_does_not_work_is_no_verdict_on_anybody(make: Make, doing: str, words: str) -> None:
    with closing(make(doing)) as rehearsal, pytest.raises(Unavailable, match=words):
        list(rehearsal.outcomes([SHOP], lambda: False))


def test_a_binary_that_is_missing_is_no_verdict_on_anybody(tmp_path: Path, make: Make) -> None:
    rehearsal = make("")
    (tmp_path / "program").unlink()
    with closing(rehearsal), pytest.raises(Unavailable):
        list(rehearsal.outcomes([SHOP], lambda: False))


def test_the_port_is_known_before_it_begins(make: Make) -> None:
    rehearsal = make("")
    port = rehearsal.listen()
    assert rehearsal.listen() == port
    assert any(one.laddr.port == port for one in psutil.Process(os.getpid()).net_connections("tcp4"))
    rehearsal.close()
    until(lambda: all(one.laddr.port != port for one in psutil.Process().net_connections("tcp4")))
    rehearsal.close()


def test_what_a_killed_one_left_behind_is_cleared_away(tmp_path: Path, make: Make) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place/resolver.json").write_text("rubbish")
    showing = SHOWING.replace("{}", "[sorted(os.listdir()), oct(os.stat('.').st_mode)]")
    assert seen(tmp_path, make(showing), [SHOP]) == [["log", "orders.json", "traefik.json"], "0o40700"]
