"""The doctor examines everything at once, in bounded time, and says unknown where it found out nothing."""

import ipaddress
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from appliance.cli import doctor as telling
from appliance.control import doctor as examining
from appliance.control.doctor import Doctor
from appliance.control.examinations import Outside, Surroundings
from appliance.model import caa, delegation, doctor, names, web
from appliance.model.accounts import Account
from appliance.model.authorities import Directory
from appliance.model.backends import Address
from appliance.model.findings import Finding, Status
from appliance.model.host import Files, Filesystem, Inotify, Privileges
from appliance.model.names import Resolved
from appliance.model.ports import Holder, Own, Wanted
from appliance.settings import Settings, meaning
from tests.fakes import until

ROOT: Final = Path(__file__).parents[2]
HERE: Final = ipaddress.ip_address("203.0.113.10")
SETTINGS: Final = Settings.model_validate({"public": {"ipv4": str(HERE), "domains": ["gw.example.com"]}})
HEALTHY: Final = {"healthy": True, "problems": [], "notices": [], "version": "1.0"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started here that would be worth waiting for."""
    monkeypatch.setattr(examining, "_START_SECONDS", 0.02)
    monkeypatch.setattr(examining, "_START_LOOK_SECONDS", 0.001)


class FakeHost:
    """A host in good order, with the appliance running as process 7."""

    def __init__(self) -> None:
        self.pids = frozenset({7})
        self.is_visible = True

    def holders(self, ports: Iterable[int]) -> Sequence[Holder]:
        return [Holder("0.0.0.0", port, kind, 7, "x") for port in ports for kind in ("tcp", "udp")]

    def own(self) -> Own:
        return Own(self.pids, is_visible=self.is_visible)

    def filesystem(self) -> Filesystem:
        return Filesystem("/srv", 10**10, 10**11, 10**6, 10**7, is_read_only=False)

    def files(self) -> Files:
        return Files("/srv", exists=True)

    def inotify(self) -> Inotify:
        return Inotify(10**5, 128, 16384)

    def privileges(self) -> Privileges:
        return Privileges(may_bind_all=True, start=1024)

    def traefik_version(self, name: str) -> tuple[str | None, str | None]:
        return "3.7.15", None

    def account(self, resolver: str) -> Account | None:
        return Account("https://ca.example.net/acct/1", "valid")

    def workloads(self) -> int:
        return 3

    def mend(self) -> Sequence[str]:
        return []


class FakeDelegations:
    """Every zone is delegated here, or as `answers` says."""

    def __init__(self, cuts: Mapping[str, delegation.Cut] | None = None) -> None:
        self.cuts = dict(cuts or {})

    def look(self, zone: str) -> delegation.Observation:
        soa = delegation.Soa(zone, "gw.example.com", 5)
        reply = delegation.Reply(delegation.Outcome.AUTHORITATIVE, soa)
        cut = self.cuts.get(zone, delegation.Cut.DELEGATED)
        targets = frozenset({"gw.example.com"}) if cut is delegation.Cut.DELEGATED else frozenset[str]()
        answer = delegation.ParentAnswer("ns (192.0.2.1)", cut, targets, has_ds=False)
        servers = tuple(delegation.Server(name, HERE, True, reply, reply) for name in targets)
        return delegation.Observation(
            zone, "gw.example.com", frozenset({HERE}), not zone.startswith("__"), "example.com", "", (answer,),
            targets=tuple(delegation.Target(name, frozenset({HERE})) for name in targets), servers=servers,
            own=delegation.Own("203.0.113.10 port 53", reply, reply, 5),
            recursions=(delegation.Recursion("192.0.2.53", True, "NXDOMAIN", soa),),
        )  # fmt: skip

    def caa(self, host: str) -> caa.Found:
        return caa.Found(None, (), "")

    def domain(self, domain: str) -> names.Observation:
        found = Resolved(domain, frozenset({HERE}))
        return names.Observation(domain, found, found, is_bogus=False)


class FakeAuthority:
    url = "https://ca.example.net/dir"

    def look(self) -> Directory:
        return Directory(self.url, "ca.example.net", date=100.0, asked_at=100.0)


class FakeWeb:
    def ask(self, address: str, host: str, port: int = 80) -> web.Reply:
        return web.Reply(web.Outcome.ANSWERED, 404)


def outside(settings: Settings = SETTINGS, delegations: FakeDelegations | None = None) -> Outside:
    addresses: frozenset[Address] = settings.public.addresses if settings.public else frozenset()
    wanted = [Wanted("dns.listen", "0.0.0.0", 53, "udp"), Wanted("entrypoints.web", "", 80, "tcp")]
    dns = delegations or FakeDelegations()
    return Outside(settings, meaning.zones(settings), wanted, addresses, 80, dns, FakeAuthority(), FakeWeb())


def around(
    beyond: Outside | None,
    host: FakeHost | None = None,
    status: Mapping[str, Any] | None = HEALTHY,
    problem: str | None = None,
) -> Surroundings:
    return Surroundings("/etc/gateway/gateway.yaml", problem, beyond, host or FakeHost(), lambda: status)


def by_id(found: Iterable[Finding]) -> dict[str, Finding]:
    return {one.id: one for one in found}


def test_everything_well_is_ok_throughout_and_every_kind_is_there() -> None:
    found = examining.examine(around(outside()))
    assert {one.status for one in found} == {Status.OK}
    assert {one.kind for one in found} == set(doctor.KINDS)
    assert len({one.id for one in found}) == len(found)


def test_groups_and_zones_stay_together() -> None:
    found = examining.examine(around(outside()))
    groups = [doctor.group(one) for one in found]
    assert groups == sorted(groups, key=list(dict.fromkeys(doctor.KINDS.values())).index)
    links = [one.id for one in found if one.id.endswith(":_acme-challenge.gw.example.com")]
    assert links[0].startswith("delegation.parent")
    assert links[-1].startswith("delegation.recursion")


def test_without_usable_settings_the_host_is_examined_all_the_same() -> None:
    found = by_id(examining.examine(around(None, problem="pubic: unknown key, did you mean public?")))
    assert found["settings"].status is Status.FAIL
    assert "did you mean public" in found["settings"].evidence
    assert {"disk.space", "files", "inotify"} <= found.keys()
    assert not any(identity.startswith("delegation") for identity in found)


def test_a_host_that_is_no_gateway_yet_is_told_what_to_write() -> None:
    found = by_id(examining.examine(around(outside(Settings()))))
    assert found["settings"].status is Status.FAIL
    assert "public:" in found["settings"].todo


@pytest.mark.parametrize(
    ("status", "pids", "expected"),
    [
        (HEALTHY, {7}, "ok"),
        ({**HEALTHY, "notices": ["something"]}, {7}, "warn"),
        ({**HEALTHY, "healthy": False, "problems": ["Traefik does not answer"]}, {7}, "fail"),
        (None, {7}, "fail"),
        (None, set(), "warn"),
    ],
)
def test_the_appliance_itself(status: Mapping[str, Any] | None, pids: set[int], expected: str) -> None:
    host = FakeHost()
    host.pids = frozenset(pids)
    assert by_id(examining.examine(around(outside(), host, status)))["appliance"].status == expected


def test_another_user_is_not_told_that_nothing_runs() -> None:
    host = FakeHost()
    host.pids, host.is_visible = frozenset(), False
    found = by_id(examining.examine(around(outside(), host, None)))
    assert found["appliance"].status is Status.UNKNOWN
    assert found["web.port80:203.0.113.10"].status is Status.OK


ABSENT: Final = delegation.Cut.ABSENT


@pytest.mark.parametrize(
    ("cuts", "status"),
    [
        ({}, "ok"),
        ({"_acme-challenge.gw.example.com": ABSENT}, "fail"),
        ({"__acme-challenge.gw.example.com": ABSENT}, "warn"),
        ({"_acme-challenge.gw.example.com": ABSENT, "__acme-challenge.gw.example.com": ABSENT}, None),
    ],
)
def test_one_spelling_without_the_other_is_told(cuts: dict[str, delegation.Cut], status: str | None) -> None:
    found = by_id(examining.examine(around(outside(delegations=FakeDelegations(cuts)))))
    told = found.get("delegation.spelling:gw.example.com")
    assert (told.status if told else None) == status


class Faulty(FakeDelegations):
    def caa(self, host: str) -> caa.Found:
        raise RuntimeError("a fault of our own")


def test_a_check_that_fails_itself_is_unknown_and_the_others_are_not() -> None:
    found = by_id(examining.examine(around(outside(delegations=Faulty()))))
    assert found["caa:gw.example.com"].status is Status.UNKNOWN
    assert found["clock"].status is Status.OK


def test_a_check_that_does_not_end_is_unknown_when_the_time_is_over() -> None:
    ended = threading.Event()

    class Slow(FakeDelegations):
        def caa(self, host: str) -> caa.Found:
            ended.wait(30)
            return super().caa(host)

    found = by_id(examining.examine(around(outside(delegations=Slow())), patience_seconds=0.2))
    ended.set()
    assert found["caa:gw.example.com"].status is Status.UNKNOWN
    assert found["domain.address:gw.example.com"].status is Status.OK


def test_an_appliance_that_was_only_just_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is healthy, and not for ever; one that runs for long is examined as it is."""
    monkeypatch.setattr(examining, "_START_SECONDS", 10.0)
    is_settled = False

    class Starting(FakeHost):
        def own(self) -> Own:
            return Own(self.pids, is_settled=is_settled)

    ill = {**HEALTHY, "healthy": False, "problems": ["it is starting"]}

    def appliance(*answers: Mapping[str, Any] | None) -> Finding:
        left = list(answers)
        status = lambda: left.pop(0) if len(left) > 1 else left[0]  # noqa: E731
        surroundings = replace(around(None, Starting()), status=status)
        return by_id(examining.examine(surroundings))["appliance"]

    assert appliance(None, ill, HEALTHY).status is Status.OK
    is_settled = True
    assert appliance(ill, ill, HEALTHY).status is Status.FAIL
    assert appliance(None, HEALTHY).status is Status.OK  # the control plane alone is being started again
    monkeypatch.setattr(examining, "_START_SECONDS", 0.02)
    assert appliance(None).status is Status.FAIL


def test_who_waits_hears_which_checks_have_not_ended() -> None:
    ended = threading.Event()
    heard: list[Sequence[str]] = []

    class Slow(FakeDelegations):
        def caa(self, host: str) -> caa.Found:
            ended.wait(30)
            return super().caa(host)

    def told(ids: Sequence[str]) -> None:
        heard.append(ids)
        if ids == ["caa:gw.example.com"]:
            ended.set()

    found = by_id(examining.examine(around(outside(delegations=Slow())), told=told))
    assert heard[-1] == ["caa:gw.example.com"]
    assert found["caa:gw.example.com"].status is Status.OK


@pytest.mark.parametrize("seen", [7, 8])
def test_a_program_that_is_started_again_during_the_look_is_no_stranger(seen: int) -> None:
    """Whether the port was still held by the old process, or already by the new one."""

    class Restarting(FakeHost):
        def holders(self, ports: Iterable[int]) -> Sequence[Holder]:
            self.pids = frozenset({8})
            return [Holder("0.0.0.0", port, kind, seen, "x") for port in ports for kind in ("tcp", "udp")]

    found = examining.examine(around(outside(), Restarting()))
    assert {one.status for one in found if one.kind == "port"} == {Status.OK}


def test_the_background_examines_by_itself_and_again_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "_FIRST_SECONDS", 0.0)
    asked: list[int] = []

    def look_around() -> Surroundings:
        asked.append(1)
        return around(outside())

    made = Doctor(look_around)
    made.start(lambda error: pytest.fail(str(error)))
    until(lambda: len(asked) == 1)
    made.soon()
    until(lambda: len(asked) == 2)
    assert made.report()["checks"]
    assert len(asked) == 2
    made.stop()
    made.stop()


def test_a_report_before_the_first_look_examines_at_once() -> None:
    report = Doctor(lambda: around(outside())).report()
    assert list(report) == ["checks"]
    assert all(list(one) == ["id", "status", "evidence", "todo"] for one in report["checks"])


def test_a_background_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "_FIRST_SECONDS", 0.0)
    told: list[BaseException] = []

    def fail() -> Surroundings:
        raise OSError("no surroundings")

    made = Doctor(fail)
    made.start(told.append)
    until(lambda: bool(told))
    made.stop()


def one(status: Status, identity: str = "clock", todo: str = "") -> Finding:
    return Finding(identity, status, "seen", todo)


@pytest.mark.parametrize(
    ("statuses", "is_well", "is_strictly_well"),
    [
        ([], True, True),
        ([Status.OK, Status.UNKNOWN], True, True),
        ([Status.OK, Status.WARN], True, False),
        ([Status.WARN, Status.FAIL], False, False),
    ],
)
def test_what_the_exit_code_follows(statuses: list[Status], is_well: bool, is_strictly_well: bool) -> None:
    found = [one(status) for status in statuses]
    assert doctor.is_well(found, is_strict=False) == is_well
    assert doctor.is_well(found, is_strict=True) == is_strictly_well


def test_people_see_first_what_to_mend_first() -> None:
    found = [one(Status.WARN, "files", "chmod"), one(Status.FAIL, "clock", "set it"), one(Status.OK, "ca.reachable")]
    lines = telling.text(found).splitlines()
    assert lines[:3] == ["FIRST TO MEND: clock", "  seen", "  -> set it"]
    assert lines[-1] == "1 ok, 1 warn, 1 fail, 0 unknown"
    assert "FAIL" in next(line for line in lines if "clock" in line and "MEND" not in line)
    assert "\x1b" not in "".join(lines)
    assert "\x1b" not in telling.text([Finding("clock", Status.FAIL, "\x1b[2J", "\x1b[2J")])
    assert "\x1b[1;31m" in telling.text(found, has_colour=True)


def test_every_kind_of_check_stands_in_the_operators_table() -> None:
    """docs/operations.md lists every kind, and no other."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = text.partition("## The doctor\n")[2].partition("| check |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `([a-z0-9.]+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(doctor.KINDS)
