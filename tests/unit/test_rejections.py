"""What Traefik will not have is taken out and told; what it had before comes back by itself; the innocent wait."""

from collections.abc import Iterator

import pytest

from appliance.control import applier as applier_module
from appliance.control import confirmation as confirmation_module
from appliance.control import retries as retries_module
from appliance.control.retries import Retries
from appliance.model.fragments import Complaint
from appliance.model.standings import State
from tests.fakes import until
from tests.plane import Plane, name

APPLIED, PENDING, QUARANTINED = State.APPLIED, State.PENDING, State.QUARANTINED


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plane]:
    """A control plane without patience."""
    monkeypatch.setattr(confirmation_module, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(confirmation_module, "_LONGEST_TO_TAKE_IN_SECONDS", 0.5)
    monkeypatch.setattr(confirmation_module, "_FIRST_PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(confirmation_module, "_LONGEST_PAUSE_SECONDS", 0.01)
    plane = Plane()
    plane.start()
    yield plane
    plane.stop()


def test_a_file_that_freezes_traefik_is_taken_out_and_the_others_go_on(plane: Plane) -> None:
    """Nothing that was written with it or after it appears, and only the throw-away Traefik knows whose fault it is."""
    plane.put(name("old"))
    plane.reaches("old", APPLIED)
    words = "old-fashioned.yaml: field not found, node: bogus"
    plane.route_trial.fault = lambda texts: [Complaint(words, frozenset({"poison"}))] if "poison" in texts else []
    plane.traefik.freeze()
    plane.put(name("poison"), name("blog"))
    plane.reaches("poison", QUARANTINED)
    assert plane.reason("poison") == f"Traefik rejected it: {words}; change the workload, and it is tried again"
    until(lambda: sorted(plane.files.files) == ["blog.yaml", "old.yaml"])
    assert plane.state("blog") is PENDING
    plane.traefik.thaw()
    plane.reaches("blog", APPLIED)
    assert plane.state("old") is APPLIED


def test_an_update_that_freezes_traefik_gives_way_to_the_version_before(plane: Plane) -> None:
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)
    plane.route_trial.fault = lambda texts: (
        [Complaint("bogus", frozenset({"blog"}))] if "10.9.9.9" in texts.get("blog", "") else []
    )
    plane.traefik.freeze()
    plane.put(name("blog", backend="http://10.9.9.9"))
    plane.reaches("blog", QUARANTINED)
    until(lambda: "10.1.2.3" in plane.files.files["blog.yaml"])
    assert "the version accepted before is still served" in plane.reason("blog")
    plane.traefik.thaw()
    plane.put(name("blog", backend="http://10.8.8.8"))
    plane.reaches("blog", APPLIED)


def test_a_traefik_that_takes_nothing_in_costs_no_workload_its_place(plane: Plane) -> None:
    """A foreign file, no watches left, a bug: what is innocent is kept and goes on waiting, and the status tells."""
    plane.traefik.freeze()
    plane.put(*(name(f"w{number}") for number in range(30)))
    until(lambda: "30 route(s) although nothing is wrong" in (plane.applier.trouble() or ""))
    assert {plane.state(f"w{number}") for number in range(30)} == {PENDING}
    assert len(plane.files.files) == 30
    plane.traefik.thaw()
    for number in range(30):
        plane.reaches(f"w{number}", APPLIED)
    until(lambda: plane.applier.trouble() is None)


@pytest.mark.parametrize("hidden", ["ghost-route", "ghost"], ids=["router", "service"])
def test_what_is_missing_while_later_writes_are_read_is_quarantined_until_it_changes(plane: Plane, hidden: str) -> None:
    plane.traefik.hidden = {hidden}
    plane.put(name("ghost"))
    until(lambda: plane.applier.trouble() is not None)
    assert plane.state("ghost") is PENDING
    plane.traefik.freeze()
    plane.put(name("blog"))
    until(lambda: "blog.yaml" in plane.files.files)
    asked = plane.traefik.asked
    until(lambda: plane.traefik.asked > asked + 4)
    plane.traefik.thaw()
    plane.reaches("ghost", QUARANTINED)
    assert "although it has read what was written after it" in plane.reason("ghost")
    until(lambda: "ghost.yaml" not in plane.files.files)
    plane.traefik.hidden = set()
    plane.put(name("ghost", backend="http://10.9.9.9"))
    plane.reaches("ghost", APPLIED)


@pytest.mark.parametrize("seconds", [0.0, 0.02], ids=["due before it is out", "due later"])
def test_what_was_served_before_comes_back_by_itself(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Its password file was gone for a while: nobody changes the workload for that."""
    monkeypatch.setattr(retries_module, "_FIRST_SECONDS", seconds)
    plane.put(name("blog"), name("shop"))
    plane.reaches("blog", APPLIED)
    plane.traefik.rejected["blog.gw"] = "open proxy/blog.users: no such file or directory"
    monkeypatch.setattr(applier_module, "_RECHECK_SECONDS", 0.01)
    plane.look()
    until(lambda: "it is tried again by itself, too" in plane.reason("blog"))  # each try ends it for a moment
    plane.traefik.rejected.clear()
    plane.reaches("blog", APPLIED)
    assert plane.state("shop") is APPLIED


def test_what_freezes_traefik_does_not_come_back_by_itself_although_it_was_served_before(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another Traefik than the one that served it cannot read it: while it is there, nobody else's change is read."""
    monkeypatch.setattr(retries_module, "_FIRST_SECONDS", 0.01)
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)
    plane.stop()
    plane.route_trial.fault = lambda texts: [Complaint("bogus", frozenset({"blog"}))] if "blog" in texts else []
    plane.traefik.hidden = {"blog-route"}
    plane.start()
    plane.reaches("blog", QUARANTINED)
    until(lambda: not plane.files.files)
    plans = len(plane.files.plans)
    plane.put(name("shop"))
    plane.reaches("shop", APPLIED)
    assert "blog.yaml" not in plane.files.files
    assert len(plane.files.plans) == plans + 1
    assert "tried again by itself" not in plane.reason("blog")


def test_what_was_damaged_in_the_directory_is_mended_while_traefik_is_busy(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be why it does not get done, so nothing is waited for."""
    monkeypatch.setattr(confirmation_module, "_LONGEST_TO_TAKE_IN_SECONDS", 30.0)
    plane.put(name("blog"))
    plane.reaches("blog", APPLIED)
    plane.traefik.freeze()
    plane.put(name("shop"))
    plans = len(plane.files.plans)
    plane.put_quietly(name("late"))
    good = plane.files.files["blog.yaml"]
    plane.files.files["foreign.yaml"] = "http: {}\n"
    plane.files.files["blog.yaml"] = "http: {}\n"
    plane.applier.request_route_files({"foreign.yaml", "blog.yaml"})
    until(lambda: plane.files.files.get("blog.yaml") == good and "foreign.yaml" not in plane.files.files)
    assert len(plane.files.plans) == plans + 1
    assert "late.yaml" not in plane.files.files, "a change of a workload still waits for Traefik"
    plane.traefik.thaw()
    until(lambda: "late.yaml" in plane.files.files)
    plane.reaches("late", APPLIED)


def test_pauses_between_retries_grow_up_to_five_minutes_and_begin_anew() -> None:
    now = 0.0
    retries = Retries(lambda: now)
    pauses = []
    for _ in range(10):
        retries.put_off("a")
        pauses.append(retries.pause())
        now += retries.pause()
        assert retries.take() == {"a"}
        assert retries.take() == set()
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    retries.put_off("a")
    retries.forget("a")
    assert retries.pause() == float("inf")
    retries.put_off("a")
    assert retries.pause() == 2


def test_what_is_yet_to_be_taken_out_is_due_a_while_later() -> None:
    now = 0.0
    retries = Retries(lambda: now)
    retries.put_off("a")
    retries.put_off("b")
    now = 5.0
    assert retries.take(besides={"a", "c"}) == {"b"}
    assert retries.pause() == 2
    now = 7.0
    assert retries.take() == {"a"}
    assert retries.pause() == float("inf")
