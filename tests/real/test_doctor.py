"""`gateway doctor`: set-ups that are really broken are each told by their own check, and a right one by none.

One running appliance serves all: what is broken are the records above it, its firewall, its CA, its files. Where the
appliance must not run, the doctor is given another root and another address.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
import yaml

from tests.peers import addresses, fault_proxy, unbound
from tests.peers import appliance as appliances
from tests.peers.appliance import Appliance, Outcome
from tests.peers.fault_proxy import FaultProxy
from tests.peers.launching import Launched
from tests.peers.nsd import Nsd
from tests.peers.pebble import Pebble
from tests.peers.unbound import Unbound

ZONE: Final = "_acme-challenge.gw.test"
OLD: Final = "__acme-challenge.gw.test"
NOWHERE: Final = "10.99.0.66"
CA_NAME: Final = "ca.test"
SPARE: Final = addresses.BACKEND
"""An address for set-ups in which the appliance does not run."""

Records = Mapping[str, list[str]]
Bad = dict[str, str]
Examine = Callable[..., Bad]


def bad(outcome: Outcome) -> Bad:
    """id -> status of every check that is neither well nor unknown; the exit code says the same."""
    found = {one["id"]: one["status"] for one in outcome.output["checks"]}
    assert all(list(one) == ["id", "status", "evidence", "todo"] for one in outcome.output["checks"])
    assert len(found) == len(outcome.output["checks"])
    assert outcome.code == int("fail" in found.values()), outcome
    return {identity: status for identity, status in found.items() if status in ("warn", "fail")}


def check(outcome: Outcome, identity: str) -> dict[str, str]:
    return next(one for one in outcome.output["checks"] if one["id"] == identity)


@pytest.fixture(scope="module")
def authority(resolver: Unbound, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """A CA that can misbehave, and that says who it is."""
    pebble = Pebble(tmp_path_factory.mktemp("pebble"))
    with FaultProxy(pebble) as proxy:
        yield proxy
    pebble.stop()


@pytest.fixture(scope="module")
def running(authority: FaultProxy, parent: Nsd) -> Iterator[Appliance]:
    """The appliance, started once."""
    parent.add_gateway()
    with tempfile.TemporaryDirectory(prefix="gw") as directory:
        one = Appliance(Path(directory), appliances.settings(authority))
        one.start()
        yield one
        one.kill()


@pytest.fixture
def ca(authority: FaultProxy) -> Iterator[FaultProxy]:
    """The CA, well again after each test."""
    yield authority
    authority.clear()


@pytest.fixture
def records(parent: Nsd) -> Iterator[Callable[[Records], None]]:
    """Change records in the parent zone for one test."""
    before: dict[str, Iterable[str]] = {}

    def change(wanted: Records) -> None:
        before.update({owner: parent._records.get(owner, ()) for owner in wanted})
        parent.replace(dict(wanted))

    yield change
    if before:
        parent.replace(before)


@pytest.fixture
def with_settings(running: Appliance, tmp_path: Path) -> Callable[[Mapping[str, Any]], Outcome]:
    """The doctor's look with changed settings, at the appliance that runs with the right ones."""

    def examine(changes: Mapping[str, Any]) -> Outcome:
        values = yaml.safe_load(running.configuration.read_text(encoding="utf-8"))
        for section, content in changes.items():
            values[section] = {**values.get(section, {}), **content}
        path = tmp_path / "other.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return running.cli("doctor", "--config", str(path))

    return examine


WithSettings = Callable[[Mapping[str, Any]], Outcome]


def says_who_it_is(reply: fault_proxy.Reply) -> fault_proxy.Reply:
    """Pebble's directory has no caaIdentities."""
    document = json.loads(reply.body)
    document["meta"] = {**document.get("meta", {}), "caaIdentities": [CA_NAME]}
    return fault_proxy.Reply(reply.status, reply.headers, json.dumps(document).encode())


def test_a_right_set_up_is_well_in_every_check(running: Appliance) -> None:
    outcome = running.cli("doctor", "--strict")
    assert {one["id"]: one for one in outcome.output["checks"] if one["status"] != "ok"} == {}
    assert outcome.code == 0
    assert len(outcome.output["checks"]) > 40


def test_what_the_control_plane_found_is_what_the_command_finds(running: Appliance) -> None:
    """`GET /v1/doctor`, from the background of the control plane."""
    shown = running.cli("doctor").output
    kept = appliances._get_json(appliances._UnixConnection(running.root / "run" / "admin.sock"), "/v1/doctor")
    assert {one["id"] for one in kept["checks"]} == {one["id"] for one in shown["checks"]}


DOMAIN_RECORDS: Final[dict[str, tuple[Records, Bad]]] = {
    "no NS record": ({ZONE: [], "*.gw.test": []}, {f"delegation.ns:{ZONE}": "fail"}),
    "a wildcard CNAME that catches the challenge name": ({ZONE: []}, {f"delegation.ns:{ZONE}": "fail"}),
    "NS to another host": ({ZONE: ["NS ns.test."]}, {f"delegation.target:{ZONE}": "fail"}),
    "NS to a host without address": ({ZONE: ["NS gone.test."]}, {f"delegation.address:{ZONE}": "fail"}),
    "glue missing": ({ZONE: [f"NS ns.{ZONE}."]}, {f"delegation.glue:{ZONE}": "fail"}),
    "glue wrong": (
        {ZONE: [f"NS ns.{ZONE}."], f"ns.{ZONE}": [f"A {NOWHERE}"]},
        {f"delegation.glue:{ZONE}": "fail"},
    ),
    "only the old spelling": ({ZONE: []}, {"delegation.spelling:gw.test": "fail"}),
    "only the new spelling": ({OLD: []}, {"delegation.spelling:gw.test": "warn"}),
    "a lame server in the NS set": ({ZONE: ["NS gw.test.", "NS ns.test."]}, {f"delegation.servers:{ZONE}": "fail"}),
    "a dead server in the NS set": (
        {ZONE: ["NS gw.test.", "NS dead.test."], "dead.test": [f"A {addresses.OTHER_BACKEND}"]},
        {f"delegation.servers:{ZONE}": "fail"},
    ),
    "a DS record for the unsigned zone": (
        {ZONE: ["NS gw.test.", f"DS 12345 13 2 {'ab' * 32}"]},
        {f"delegation.dnssec:{ZONE}": "fail"},
    ),
    "the domain elsewhere": ({"gw.test": [f"A {NOWHERE}"]}, {"domain.address:gw.test": "fail"}),
    "AAAA elsewhere": (
        {"gw.test": [f"A {addresses.GATEWAY}", "AAAA fd99::66"]},
        {"domain.address:gw.test": "fail"},
    ),
    "the domain without address": ({"gw.test": []}, {"domain.address:gw.test": "fail"}),
    "no wildcard": ({"*.gw.test": []}, {"domain.wildcard:gw.test": "fail"}),
    "the wildcard elsewhere": ({"*.gw.test": [f"A {NOWHERE}"]}, {"domain.wildcard:gw.test": "fail"}),
    "the wildcard's CNAME elsewhere": ({"*.gw.test": ["CNAME ns.test."]}, {"domain.wildcard:gw.test": "fail"}),
    "CAA forbids issue": (
        {"gw.test": [f"A {addresses.GATEWAY}", 'CAA 0 issue "other.example"']},
        {"caa:gw.test": "fail", "caa:*.gw.test": "fail"},
    ),
    "CAA above forbids issue": ({"test": ["NS ns.test.", 'CAA 0 issue ";"']}, {"caa:gw.test": "fail"}),
    "CAA forbids issuewild": (
        {"gw.test": [f"A {addresses.GATEWAY}", f'CAA 0 issue "{CA_NAME}"', 'CAA 0 issuewild ";"']},
        {"caa:*.gw.test": "fail"},
    ),
}
FOLLOWS: Final[dict[str, set[str]]] = {
    # what else is then so
    "no NS record": {"domain.wildcard:gw.test", "delegation.spelling:gw.test"},
    "a wildcard CNAME that catches the challenge name": {"delegation.spelling:gw.test"},
    "glue wrong": {f"delegation.target:{ZONE}"},
    "only the old spelling": {f"delegation.ns:{ZONE}"},
    "only the new spelling": {f"delegation.ns:{OLD}"},
    "the domain elsewhere": {
        *("domain.wildcard:gw.test", f"delegation.target:{ZONE}", f"delegation.target:{OLD}"),
    },
    "AAAA elsewhere": {"domain.wildcard:gw.test", f"delegation.servers:{ZONE}", f"delegation.servers:{OLD}"},
    "the domain without address": {
        *("domain.wildcard:gw.test", f"delegation.address:{ZONE}", f"delegation.address:{OLD}"),
    },
    "CAA above forbids issue": {"caa:*.gw.test"},
}


@pytest.mark.parametrize("name", DOMAIN_RECORDS)
def test_wrong_records_are_told_by_their_own_check(
    running: Appliance, records: Callable[[Records], None], ca: FaultProxy, name: str
) -> None:
    ca.rewrite(says_who_it_is, path=fault_proxy.DIRECTORY)
    changes, expected = DOMAIN_RECORDS[name]
    records(changes)
    outcome = running.cli("doctor")
    found = bad(outcome)
    assert found | expected == found, outcome.output
    assert found.keys() - expected.keys() - FOLLOWS.get(name, set()) == set(), outcome.output
    assert all(check(outcome, identity)["todo"] for identity in expected)


def test_strict_turns_a_warning_into_an_exit_code(running: Appliance, records: Callable[[Records], None]) -> None:
    records({OLD: []})
    assert (running.cli("doctor").code, running.cli("doctor", "--strict").code) == (0, 1)


def test_a_stale_second_server_is_told_with_both_serials(
    running: Appliance, records: Callable[[Records], None], tmp_path: Path
) -> None:
    stale = Nsd(tmp_path, zone=ZONE, address=addresses.OTHER_BACKEND)
    try:
        records({ZONE: ["NS gw.test.", "NS second.test."], "second.test": [f"A {addresses.OTHER_BACKEND}"]})
        outcome = running.cli("doctor")
    finally:
        stale.stop()
    assert bad(outcome) == {f"delegation.servers:{ZONE}": "fail"}
    assert "serial 1;" in check(outcome, f"delegation.servers:{ZONE}")["evidence"]


@contextlib.contextmanager
def validating(directory: Path, anchor: str) -> Iterator[dict[str, Any]]:
    """A second resolver, which holds signatures under this DS record to be needed. The settings that name it."""
    trusting = f'module-config: "validator iterator"\n  trust-anchor: "{anchor}"'
    text = unbound._CONFIGURATION.format(
        directory=directory, address=addresses.OTHER_BACKEND, zone=addresses.TLD, parent=addresses.PARENT
    )
    (directory / "unbound.conf").write_text(text.replace('module-config: "iterator"', trusting), encoding="ascii")
    program = Launched(["unbound", "-d", "-p", "-c", str(directory / "unbound.conf")], directory / "unbound.log")
    try:
        program.until_logged("start of service")
        yield {"dns": {"listen": [f"{addresses.GATEWAY}:53"], "resolvers": [addresses.OTHER_BACKEND]}}
    finally:
        program.stop()


@pytest.fixture
def signed(parent: Nsd) -> Iterator[str]:
    """The parent zone is signed; its DS record."""
    yield parent.sign()
    parent.unsign()


def is_validated(name: str, kind: str) -> bool:
    """Whether the second resolver could prove this answer; raises when it says that the proof fails."""
    question = dns.message.make_query(name, kind, want_dnssec=True)
    reply = dns.query.udp(question, addresses.OTHER_BACKEND, timeout=5)
    assert reply.rcode() != dns.rcode.SERVFAIL, reply
    return bool(reply.flags & dns.flags.AD)


def test_signatures_that_do_not_hold_are_told_by_the_domain(
    running: Appliance, with_settings: WithSettings, tmp_path: Path
) -> None:
    """A validating resolver that was told to expect signatures where there are none."""
    with validating(tmp_path, f"test. DS 12345 13 2 {'ab' * 32}") as settings:
        outcome = with_settings(settings)
    assert bad(outcome) == {"domain.dnssec:gw.test": "fail"}
    assert check(outcome, f"delegation.parent:{ZONE}")["status"] == "unknown"


def test_an_unsigned_zone_below_a_signed_parent_is_right(
    running: Appliance, with_settings: WithSettings, signed: str, tmp_path: Path
) -> None:
    """The parent proves that there is no DS record, so nobody expects signatures of ours."""
    with validating(tmp_path, signed) as settings:
        outcome = with_settings(settings)
        assert is_validated("gw.test", "A")
        assert is_validated(ZONE, "DS")
        assert not is_validated(ZONE, "SOA")
    assert {one["id"]: one for one in outcome.output["checks"] if one["status"] != "ok"} == {}


def test_a_ds_record_at_a_signed_parent_is_told_as_what_breaks_the_chain(
    with_settings: WithSettings, records: Callable[[Records], None], signed: str, tmp_path: Path
) -> None:
    """Every resolver that validates refuses the challenges then; both what is wrong and what follows are told."""
    records({ZONE: ["NS gw.test.", f"DS 12345 13 2 {'ab' * 32}"]})
    with validating(tmp_path, signed) as settings:
        outcome = with_settings(settings)
        with pytest.raises(AssertionError, match="SERVFAIL"):
            is_validated(ZONE, "SOA")
    found = bad(outcome)
    assert found.pop(f"delegation.dnssec:{ZONE}") == "fail"
    assert found.keys() <= {f"delegation.recursion:{ZONE}"}, outcome.output
    assert "remove the DS record" in check(outcome, f"delegation.dnssec:{ZONE}")["todo"]


def test_signatures_at_the_parent_that_do_not_hold_are_told_by_the_domain(
    with_settings: WithSettings, signed: str, tmp_path: Path
) -> None:
    """The key that is trusted is not the one that signs: the zone above was signed anew, and nobody said so."""
    tag, rest = signed.partition(" DS ")[2].split(" ", 1)
    with validating(tmp_path, f"test. DS {tag} {rest[:-4]}{'0000' if rest[-4:] != '0000' else '1111'}") as settings:
        assert bad(with_settings(settings)) == {"domain.dnssec:gw.test": "fail"}


def test_an_ipv6_address_that_nothing_listens_on_is_told(
    with_settings: WithSettings, records: Callable[[Records], None]
) -> None:
    records({"gw.test": [f"A {addresses.GATEWAY}", f"AAAA {addresses.GATEWAY_V6}"]})
    public = {"ipv4": addresses.GATEWAY, "ipv6": addresses.GATEWAY_V6, "domains": ["gw.test"]}
    found = bad(with_settings({"public": public}))
    assert {f"delegation.udp:{ZONE}", f"delegation.tcp:{ZONE}", f"web.port80:{addresses.GATEWAY_V6}"} <= found.keys()
    assert not any(identity.startswith("domain.") for identity in found)


@contextlib.contextmanager
def firewall(*rule: str) -> Iterator[None]:
    """A rule of the namespace's own firewall."""
    subprocess.run(["iptables", "-I", "INPUT", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-D", "INPUT", *rule], check=True)


@pytest.mark.parametrize(
    ("transport", "target", "link"),
    [
        ("udp", ["DROP"], "udp"),
        ("udp", ["REJECT"], "udp"),
        ("tcp", ["DROP"], "tcp"),
        ("tcp", ["REJECT", "--reject-with", "tcp-reset"], "tcp"),
    ],
)
def test_a_closed_port_53_is_told_by_transport(
    running: Appliance, transport: str, target: list[str], link: str
) -> None:
    with firewall("-p", transport, "-d", addresses.GATEWAY, "--dport", "53", "-j", *target):
        found = bad(running.cli("doctor"))
    found.pop("appliance", None)  # it may have noticed by itself
    assert found == {f"delegation.{link}:{ZONE}": "fail", f"delegation.{link}:{OLD}": "warn"}


def test_a_closed_port_80_is_told(running: Appliance) -> None:
    """As a certificate authority would find it."""
    rule = ("-p", "tcp", "-d", addresses.GATEWAY, "--dport", "80", "-j", "REJECT", "--reject-with", "tcp-reset")
    with firewall(*rule):
        found = bad(running.cli("doctor"))
    found.pop("appliance", None)
    assert found == {f"web.port80:{addresses.GATEWAY}": "fail"}


@pytest.mark.parametrize(("offset", "status"), [(3600, "fail"), (-86400, "fail"), (60, "warn")])
def test_a_clock_that_is_wrong_is_told_by_the_authoritys(
    running: Appliance, ca: FaultProxy, offset: int, status: str
) -> None:
    ca.set_clock(offset)
    assert bad(running.cli("doctor")) == {"clock": status}


def test_an_authority_that_answers_errors_is_told(running: Appliance, ca: FaultProxy) -> None:
    ca.server_error(path=fault_proxy.DIRECTORY)
    assert bad(running.cli("doctor")) == {"ca.reachable": "fail"}


def test_an_authority_that_is_down_is_told(running: Appliance, ca: FaultProxy) -> None:
    ca.stop()
    try:
        outcome = running.cli("doctor")
    finally:
        ca.start()
    assert bad(outcome) == {"ca.reachable": "fail"}
    assert check(outcome, "clock")["status"] == "unknown"


def test_an_authority_whose_certificate_is_not_trusted_is_told(with_settings: WithSettings) -> None:
    outcome = with_settings({"acme": {"ca_certificates": []}})
    assert bad(outcome) == {"ca.reachable": "fail"}
    assert "`acme.ca_certificates`" in check(outcome, "ca.reachable")["todo"]


def test_an_address_that_is_no_directory_is_told(with_settings: WithSettings, authority: FaultProxy) -> None:
    outcome = with_settings({"acme": {"ca_server": authority.url.replace("/dir", "/nothing")}})
    assert bad(outcome) == {"ca.reachable": "fail"}


def test_a_profile_that_is_not_offered_is_told(with_settings: WithSettings) -> None:
    assert bad(with_settings({"acme": {"profile": "nonesuch"}})) == {"ca.profile": "fail"}


def test_a_traefik_that_is_not_there_is_told(with_settings: WithSettings) -> None:
    assert bad(with_settings({"traefik": {"binary": "traefik-that-is-not-there"}})) == {"traefik.version": "fail"}


def test_without_a_resolver_nothing_about_names_is_said_to_be_well(with_settings: WithSettings) -> None:
    outcome = with_settings({"dns": {"listen": [f"{addresses.GATEWAY}:53"], "resolvers": [NOWHERE]}})
    assert bad(outcome) == {}
    asked = [one for one in outcome.output["checks"] if one["id"].split(".")[0] in ("domain", "delegation", "caa:gw")]
    assert {one["status"] for one in asked} == {"unknown"}
    assert check(outcome, "caa:gw.test")["status"] == "unknown"


@pytest.mark.parametrize(("mode", "status"), [(0o644, "fail"), (0o600, None)])
def test_a_certificate_store_that_others_may_read_is_told_and_mended(
    running: Appliance, mode: int, status: str | None
) -> None:
    store = running.root / "traefik" / "another.json"
    store.write_text("{}", encoding="ascii")
    try:
        store.chmod(mode)
        assert bad(running.cli("doctor")).get("files") == status
        outcome = running.cli("doctor", "--fix")
        assert bad(outcome) == {}
        assert (str(store) in outcome.complaint) == (status is not None)
        assert store.stat().st_mode & 0o777 == 0o600
    finally:
        store.unlink()


def test_a_control_plane_that_is_started_again_is_no_stranger_on_our_ports(running: Appliance) -> None:
    """While it is away, while it starts, and afterwards; nobody is told to kill a program of the appliance."""
    old = running.kill_program("gateway")
    outcomes = [running.cli("doctor")]
    running.until_replaced("gateway", old)
    outcomes += [running.cli("doctor") for _ in range(3)]
    running.program.until(lambda: running.status()["healthy"], "it is healthy again")
    told = [one for outcome in outcomes for one in outcome.output["checks"] if one["id"].startswith("port:")]
    assert [one for one in told if "is taken by" in one["evidence"]] == []
    assert bad(running.cli("doctor")) == {}


# --- before the first start


@pytest.fixture
def not_started(resolver: Unbound, authority: FaultProxy, short_path: Path) -> Appliance:
    """An appliance that does not run, to listen on an address of its own."""
    values = appliances.settings(authority)
    values["public"]["ipv4"] = SPARE
    values["dns"]["listen"] = [f"{SPARE}:53"]
    values["entrypoints"] = {"web": f"{SPARE}:80", "web_secure": f"{SPARE}:443"}
    values["traefik"] |= {"api": "127.0.0.1:9099", "metrics": "127.0.0.1:9082"}
    one = Appliance(short_path, values)
    one.root.mkdir()
    return one


@pytest.fixture
def spare_records(records: Callable[[Records], None]) -> None:
    records({"gw.test": [f"A {SPARE}"]})


def test_before_the_first_start_the_doctor_says_so_and_no_more(not_started: Appliance, spare_records: None) -> None:
    outcome = not_started.cli("doctor")
    found = bad(outcome)
    assert found.pop("files") == "warn"  # directories that the start makes
    assert found == {"appliance": "warn"}
    assert check(outcome, f"delegation.udp:{ZONE}")["status"] == "unknown"


_LISTEN: Final = """
import socket, sys, threading
kind = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}[sys.argv[1]]
with socket.socket(socket.AF_INET, kind) as held:
    held.bind((sys.argv[2], int(sys.argv[3])))
    if kind == socket.SOCK_STREAM:
        held.listen()
    print("held", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize(
    ("transport", "port", "setting"),
    [
        ("udp", 53, "dns.listen"),
        ("tcp", 53, "dns.listen"),
        ("tcp", 80, "entrypoints.web"),
        ("tcp", 443, "entrypoints.web_secure"),
    ],
)
def test_a_taken_port_is_told_with_its_holder_and_the_line_that_frees_it(
    not_started: Appliance, tmp_path: Path, transport: str, port: int, setting: str
) -> None:
    with contextlib.ExitStack() as stack:
        argv = [sys.executable, "-c", _LISTEN, transport, SPARE, str(port)]
        program = Launched(argv, tmp_path / "holder.log")
        stack.callback(program.kill)
        program.until_logged("held")
        outcome = not_started.cli("doctor")
    found = check(outcome, f"port:{transport}/{SPARE}:{port}")
    assert found["status"] == "fail"
    assert outcome.code == 1
    assert f"(pid {program.process.pid})" in found["evidence"]
    assert f"`{setting}`" in found["evidence"]
    assert f"kill {program.process.pid}" in found["todo"]


@contextlib.contextmanager
def mounted(*arguments: str) -> Iterator[None]:
    """A mount of this namespace; the last argument is where."""
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", arguments[-1]], check=True)


def test_a_root_mounted_read_only_is_told(not_started: Appliance) -> None:
    root = str(not_started.root)
    with mounted("--bind", root, root):
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        assert bad(not_started.cli("doctor"))["root.writable"] == "fail"


def test_a_full_disk_is_told(not_started: Appliance) -> None:
    with mounted("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(not_started.root)):
        with contextlib.suppress(OSError):
            (not_started.root / "ballast").write_bytes(b"\0" * 65536)
        assert bad(not_started.cli("doctor"))["disk.space"] == "fail"


def test_a_disk_without_inodes_is_told(not_started: Appliance) -> None:
    with mounted("-t", "tmpfs", "-o", "size=100m,nr_inodes=20", "tmpfs", str(not_started.root)):
        found = bad(not_started.cli("doctor"))
    assert found["disk.inodes"] == "fail"
    assert "disk.space" not in found


@pytest.mark.parametrize("limit", ["max_user_watches", "max_user_instances"])
def test_low_inotify_limits_are_told_with_the_line_that_raises_them(
    not_started: Appliance, tmp_path: Path, limit: str
) -> None:
    low = tmp_path / "low"
    low.write_text("3\n", encoding="ascii")
    with mounted("--bind", str(low), f"/proc/sys/fs/inotify/{limit}"):
        outcome = not_started.cli("doctor")
    assert check(outcome, "inotify")["status"] == "fail"
    assert f"sysctl -w fs.inotify.{limit}=" in check(outcome, "inotify")["todo"]


def test_few_queued_events_for_many_workloads_are_warned_of(not_started: Appliance, tmp_path: Path) -> None:
    low = tmp_path / "low"
    low.write_text("16\n", encoding="ascii")
    (not_started.root / "workloads").mkdir(mode=0o700)
    for number in range(20):
        (not_started.root / "workloads" / f"{number}.yaml").touch(mode=0o600)
    with mounted("--bind", str(low), "/proc/sys/fs/inotify/max_queued_events"):
        assert bad(not_started.cli("doctor"))["inotify"] == "warn"


def test_a_user_who_may_not_listen_below_1024_is_told(not_started: Appliance) -> None:
    lacking = ["setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-net_bind_service"]
    argv = [*lacking, str(appliances.GATEWAY), "doctor", "--json"]
    done = subprocess.run(argv, env=not_started.environment, capture_output=True, text=True, check=False)
    found = check(Outcome(done.returncode, json.loads(done.stdout), ""), "privileges")
    assert found["status"] == "fail"
    assert found["todo"] == "sysctl -w net.ipv4.ip_unprivileged_port_start=53"


def test_directories_that_others_may_read_are_told_and_mended(not_started: Appliance) -> None:
    for name in ("workloads", "proxy"):
        (not_started.root / name).mkdir()
        (not_started.root / name).chmod(0o755)
    outcome = not_started.cli("doctor")
    assert bad(outcome)["files"] == "warn"
    assert "workloads has mode 0755" in check(outcome, "files")["evidence"]
    assert "files" not in bad(not_started.cli("doctor", "--fix"))
    assert (not_started.root / "workloads").stat().st_mode & 0o777 == 0o700


def test_files_of_another_user_are_told(not_started: Appliance) -> None:
    (not_started.root / "state").mkdir(mode=0o700)
    os.chown(not_started.root / "state", 65534, 65534)
    outcome = not_started.cli("doctor")
    assert bad(outcome)["files"] == "fail"
    assert "chown" in check(outcome, "files")["todo"]


def test_without_settings_the_doctor_says_what_to_write(not_started: Appliance) -> None:
    not_started.configuration.unlink()
    outcome = not_started.cli("doctor")
    assert bad(outcome)["settings"] == "fail"
    assert "`public`" in check(outcome, "settings")["evidence"]


def test_settings_that_cannot_be_used_are_told_with_their_fault(not_started: Appliance) -> None:
    not_started.write_settings({"pubic": {"ipv4": SPARE}})
    outcome = not_started.cli("doctor")
    assert bad(outcome)["settings"] == "fail"
    assert "pubic" in check(outcome, "settings")["evidence"]


def test_people_are_told_first_what_to_mend_first(not_started: Appliance) -> None:
    not_started.configuration.unlink()
    argv = [str(appliances.GATEWAY), "doctor"]
    done = subprocess.run(argv, env=not_started.environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("FIRST TO MEND: settings\n")
    assert "\x1b" not in done.stdout
    assert socket.gethostname() not in done.stderr
    assert done.returncode == 1
