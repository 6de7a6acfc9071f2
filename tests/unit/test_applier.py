"""The desired state's way to Traefik, and how every workload stands meanwhile."""

import time
from collections.abc import Iterator

import pytest

from appliance.control import applier as applier_module
from appliance.model.errors import Conflict, NoGateway, Refused
from appliance.model.plans import Plan
from appliance.model.standings import State
from appliance.model.workloads import Workload
from tests.fakes import PATIENCE_SECONDS, until
from tests.plane import NO_PUBLIC, RULES, Plane, fqdn, name

APPLIED, PENDING, QUARANTINED = State.APPLIED, State.PENDING, State.QUARANTINED


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane()
    plane.start()
    yield plane
    plane.stop()


def restart(plane: Plane) -> None:
    plane.stop()
    plane.start()


def test_a_workload_is_pending_until_traefik_serves_it(plane: Plane) -> None:
    plane.traefik.freeze()
    plane.put(name("blog"))
    assert plane.state("blog") is PENDING
    assert "blog.yaml" in plane.files.files
    plane.traefik.thaw()
    plane.reaches("blog", APPLIED)
    assert plane.accepted.known == {"blog": name("blog")}


def test_an_update_is_pending_again_although_the_old_router_is_enabled(plane: Plane) -> None:
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)
    plane.traefik.freeze()
    plane.put(name("blog", backend="http://10.9.9.9"))
    assert plane.state("blog") is PENDING
    plane.traefik.thaw()
    plane.reaches("blog", APPLIED)
    assert "10.9.9.9" in plane.files.files["blog.yaml"]


def test_an_update_is_pending_before_it_is_written(plane: Plane) -> None:
    """What Traefik confirmed of the version before says nothing of it."""
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)
    write, seen = plane.files.write, list[State | None]()

    def look_and_write(plan: Plan) -> None:
        seen.append(plane.state("blog"))
        write(plan)

    plane.files.write = look_and_write  # type: ignore[method-assign]
    plane.put(name("blog", backend="http://10.9.9.9"))
    plane.reaches("blog", APPLIED)
    assert seen == [PENDING]


def test_what_did_not_change_is_not_written_again(plane: Plane) -> None:
    plane.put(name("blog"), name("shop"))
    plane.reaches("blog", APPLIED)
    plane.reaches("shop", APPLIED)
    before = list(plane.files.plans)
    plane.look()
    plane.store.put(name("blog"))
    plane.look()
    assert plane.files.plans == before
    plane.put(name("blog", backend="http://10.9.9.9"))
    assert [change.name for change in plane.files.plans[-1]] == ["blog.yaml"]


def test_a_silent_traefik_is_waited_for(plane: Plane) -> None:
    plane.traefik.silent = True
    plane.put(name("blog"))
    until(lambda: "does not answer" in plane.reason("blog"))
    assert plane.state("blog") is PENDING
    plane.traefik.silent = False
    plane.reaches("blog", APPLIED)


def test_a_deletion_waits_until_traefik_has_let_go(plane: Plane) -> None:
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)
    plane.traefik.freeze()
    existed, cycle = plane.applier.remove_one("blog", lambda: plane.store.remove("blog"))
    assert existed
    assert not plane.applier.wait("blog", cycle, time.monotonic())
    until(lambda: not plane.files.files)
    assert plane.applier.board.view("blog", None) is None
    assert not plane.applier.board.is_final("blog")
    plane.traefik.thaw()
    assert plane.applier.wait("blog", cycle, time.monotonic() + PATIENCE_SECONDS)
    assert plane.accepted.known == {}


def test_a_broken_file_keeps_the_others_and_its_own_last_good_version(plane: Plane) -> None:
    plane.put(name("blog"), name("shop"))
    plane.reaches("blog", APPLIED)
    plane.reaches("shop", APPLIED)
    plane.store.damage("blog", "half a file")
    plane.store.damage("new", "rubbish")
    plane.look()
    assert plane.state("blog") is QUARANTINED
    assert plane.reason("blog") == "half a file; the version accepted before is still served"
    assert plane.reason("new") == "rubbish"
    assert plane.state("shop") is APPLIED
    assert sorted(plane.files.files) == ["blog.yaml", "shop.yaml"]
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)


def test_the_last_good_version_is_served_after_a_restart_too(plane: Plane) -> None:
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)
    plane.store.damage("blog", "half a file")
    plane.look()
    before = dict(plane.files.files)
    restart(plane)
    assert plane.files.files == before
    assert plane.state("blog") is QUARANTINED


def test_who_held_a_host_first_keeps_it_over_a_restart(plane: Plane) -> None:
    plane.put(name("zeta", "blog"))
    plane.reaches("zeta", APPLIED)
    plane.put(name("alpha", "blog"))
    plane.store.put(name("zeta", "blog"))
    restart(plane)
    assert plane.state("alpha") is QUARANTINED
    assert "held by the workload zeta" in plane.reason("alpha")
    plane.reaches("zeta", APPLIED)


def test_a_restart_writes_nothing_that_is_there(plane: Plane) -> None:
    plane.put(name("blog"), name("shop"))
    plane.reaches("blog", APPLIED)
    plans = len(plane.files.plans)
    restart(plane)
    assert len(plane.files.plans) == plans
    plane.reaches("blog", APPLIED)


def test_what_traefik_rejects_is_quarantined_in_its_words_and_the_version_before_served(plane: Plane) -> None:
    plane.put(name("blog"), name("shop"))
    plane.reaches("blog", APPLIED)
    plane.reaches("shop", APPLIED)
    plane.traefik.freeze()
    plane.put(name("blog", backend="http://10.9.9.9"))
    plane.traefik.rejected["10.9.9.9"] = "invalid something"
    plane.traefik.thaw()
    plane.reaches("blog", QUARANTINED)
    until(lambda: "10.1.2.3" in plane.files.files["blog.yaml"])
    assert "Traefik rejected it: invalid something" in plane.reason("blog")
    assert plane.state("shop") is APPLIED
    plane.put(name("blog", backend="http://10.8.8.8"))
    plane.reaches("blog", APPLIED)


def test_a_version_that_is_rejected_like_the_one_before_ends_without_both(plane: Plane) -> None:
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)
    plane.traefik.freeze()
    plane.put(name("blog", backend="http://10.9.9.9"))
    plane.traefik.rejected["blog.gw"] = "invalid something"
    plane.traefik.thaw()
    until(lambda: not plane.files.files)
    plans = len(plane.files.plans)
    for _ in range(3):
        plane.look()
    assert len(plane.files.plans) == plans
    assert plane.state("blog") is QUARANTINED


def test_a_new_workload_that_traefik_rejects_is_taken_out(plane: Plane) -> None:
    plane.traefik.rejected["blog.gw"] = "invalid something"
    plane.put(name("blog"))
    plane.reaches("blog", QUARANTINED)
    until(lambda: not plane.files.files)
    assert "invalid something" in plane.reason("blog")


def test_foreign_and_damaged_files_are_set_aside_and_ours_written_again(plane: Plane) -> None:
    plane.put(name("blog"), name("shop"))
    plane.reaches("blog", APPLIED)
    before = dict(plane.files.files)
    plane.files.files["foreign.yaml"] = "http: {}\n"
    plane.files.files["blog.yaml"] = "http: {}\n"
    del plane.files.files["shop.yaml"]
    plane.applier.request_route_files({"foreign.yaml", "blog.yaml", "shop.yaml"})
    until(lambda: plane.files.files == before)
    assert sorted(plane.files.aside) == ["blog.yaml", "foreign.yaml"]


def test_foreign_files_that_are_there_at_the_start_are_set_aside(plane: Plane) -> None:
    plane.files.files["foreign.yaml"] = "http: {}\n"
    restart(plane)
    assert plane.files.aside == ["foreign.yaml"]


def test_without_a_public_section_all_are_refused_until_it_is_there(plane: Plane) -> None:
    plane.applier.reconfigure(NO_PUBLIC)
    plane.put(name("blog"))
    assert plane.state("blog") is QUARANTINED
    assert "has no `public` section" in plane.reason("blog") or "have no `public` section" in plane.reason("blog")
    assert plane.files.files == {}
    plane.applier.reconfigure(RULES)
    plane.reaches("blog", APPLIED)


@pytest.mark.parametrize(
    ("workload", "kind", "message"),
    [
        (name("other", "blog"), Conflict, "held by the workload blog"),
        (name("other", backend="http://169.254.169.254"), Refused, "cloud metadata"),
        (fqdn("other", "x.gw.example.com"), Refused, "is or lies under"),
    ],
)
def test_at_the_door_what_is_refused_is_not_written(
    plane: Plane, workload: Workload, kind: type[Exception], message: str
) -> None:
    plane.put(name("blog"))
    with pytest.raises(kind, match=message):
        plane.applier.admit_one(workload, lambda: pytest.fail("it was written"))
    assert plane.applier.board.view("other", None) is None


def test_at_the_door_nobody_is_let_in_without_a_public_section(plane: Plane) -> None:
    plane.applier.reconfigure(NO_PUBLIC)
    plane.look()
    with pytest.raises(NoGateway):
        plane.applier.admit_one(name("blog"), lambda: pytest.fail("it was written"))


def test_new_rules_hold_at_the_door_before_they_are_applied(plane: Plane) -> None:
    plane.stop()
    plane.applier.reconfigure(NO_PUBLIC)
    with pytest.raises(NoGateway):
        plane.applier.admit_one(name("blog"), lambda: pytest.fail("it was written"))


def test_a_host_is_taken_as_soon_as_somebody_was_let_in(plane: Plane) -> None:
    plane.traefik.silent = True
    plane.applier.admit_one(name("blog"), lambda: plane.store.put(name("blog")))
    with pytest.raises(Conflict, match="held by the workload blog"):
        plane.applier.admit_one(name("other", "blog"), lambda: pytest.fail("it was written"))


def test_many_files_that_vanish_at_once_are_held_until_confirmed(plane: Plane) -> None:
    items = [name(f"w{number}") for number in range(30)]
    plane.put(*items)
    for item in items[:20]:
        plane.store.remove(item.id)
    plane.look()
    assert len(plane.files.files) == 30
    assert "20 of 30 workload files vanished at once" in (plane.applier.trouble() or "")
    plane.applier.prune()
    until(lambda: len(plane.files.files) == 10)
    assert plane.applier.trouble() is None


def test_a_lost_event_costs_a_delay_and_never_a_state(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applier_module, "_RECHECK_SECONDS", 0.01)
    plane.look()
    plane.store.put(name("blog"))
    until(lambda: "blog.yaml" in plane.files.files)
    plane.reaches("blog", APPLIED)
    del plane.files.files["blog.yaml"]
    until(lambda: "blog.yaml" in plane.files.files)


def test_a_failure_inside_is_told_and_ends_the_thread(plane: Plane) -> None:
    problem = OSError(28, "No space left on device")

    def fail(plan: Plan) -> None:
        raise problem

    plane.files.write = fail  # type: ignore[method-assign]
    plane.store.put(name("blog"))
    plane.applier.request()
    until(lambda: bool(plane.failures))
    assert plane.failures == [problem]
    plane.failures.clear()


def test_a_held_workload_that_is_deleted_on_purpose_is_gone(plane: Plane) -> None:
    plane.put(*[name(f"w{number}") for number in range(30)])
    for number in range(20):
        plane.store.remove(f"w{number}")
    plane.look()
    assert plane.applier.trouble()
    existed, is_gone = plane.gateway.delete_proxy("w3", timeout_seconds=10)
    assert (existed, is_gone) == (False, True)
    assert "w3.yaml" not in plane.files.files
    plane.gateway.set_named_proxy("other", "w3", ["http://10.1.2.3"], timeout_seconds=10)
    plane.reaches("other", APPLIED)


def test_changes_gather_while_traefik_works_on_the_last_write(plane: Plane) -> None:
    """The first is written at once; however many follow, they are one more write."""
    plane.put(name("first"))
    plane.reaches("first", APPLIED)
    plane.traefik.freeze()
    before = len(plane.files.plans)
    for number in range(50):
        plane.gateway.set_named_proxy(f"w{number}", f"w{number}", ["http://10.1.2.3"])
        until(lambda: len(plane.files.plans) > before)
    assert len(plane.files.plans) == before + 1
    plane.traefik.thaw()
    until(lambda: "w49.yaml" in plane.files.files)
    plane.reaches("w49", APPLIED)
    assert len(plane.files.plans) == before + 2


def test_what_comes_while_writes_rest_after_a_burst_is_written_when_they_have_rested(plane: Plane) -> None:
    plane.traefik.freeze()
    for label in ("first", "gathered"):
        plane.gateway.set_named_proxy(label, label, ["http://10.1.2.3"])
        until(lambda: "first.yaml" in plane.files.files)
    plane.traefik.thaw()
    until(lambda: "gathered.yaml" in plane.files.files)
    plane.reaches("gathered", APPLIED)
    plane.gateway.set_named_proxy("last", "last", ["http://10.1.2.3"])
    until(lambda: "last.yaml" in plane.files.files)


def test_when_anything_may_have_changed_in_traefiks_directory_all_of_it_is_looked_at(plane: Plane) -> None:
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)
    plane.files.files.clear()
    plane.applier.request_route_files(frozenset())
    until(lambda: "blog.yaml" in plane.files.files)
