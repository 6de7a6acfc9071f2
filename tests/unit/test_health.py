"""What makes the appliance unhealthy: an authority that does not answer, a Traefik with other routes than written."""

import threading
import time

import pytest

from appliance.control.confirmation import Confirmation
from appliance.model.plans import diff
from appliance.render import dynamic
from appliance.render.dynamic import Decision
from appliance.render.expectations import expectation
from tests.fakes import FakeRouteFiles, FakeTraefik
from tests.plane import Plane, name
from tests.unit.test_confirmation import decision


class Bench:
    """A confirmation beside a fake Traefik, and a clock to be put forward."""

    def __init__(self) -> None:
        self.files = FakeRouteFiles()
        self.traefik = FakeTraefik(self.files)
        self.now = 1000.0
        self.confirmation = Confirmation(self.traefik, lambda: self.now)

    def write(self, *decisions: Decision) -> None:
        texts = {dynamic.file_name(item.route.id): dynamic.text(dynamic.document(item)) for item in decisions}
        self.files.write(diff(self.files.current(), texts))
        self.confirmation.expect({item.route.id: expectation(item) for item in decisions})

    def after(self, seconds: float) -> int:
        """The routes disagreed on for a minute, when this time has passed."""
        self.confirmation.ask(threading.Condition())
        self.now += seconds
        self.confirmation.ask(threading.Condition())
        return self.confirmation.disagreement(60)


def test_a_change_under_way_is_no_disagreement_and_one_that_lasts_is() -> None:
    bench = Bench()
    bench.traefik.hidden = {"blog-route"}
    bench.write(decision("blog"), decision("shop"))
    assert bench.after(59) == 0
    assert bench.after(2) == 1
    bench.traefik.hidden.clear()
    assert bench.after(0) == 0


def test_changes_that_follow_one_another_are_no_disagreement() -> None:
    bench = Bench()
    for number in range(10):
        bench.traefik.hidden = {"blog-route"}
        bench.write(decision("blog", f"http://10.1.2.{number}"))
        assert bench.after(30) == 0


def test_a_route_that_was_confirmed_and_is_gone_again_is_a_disagreement_after_its_time() -> None:
    bench = Bench()
    bench.write(decision("blog"))
    assert bench.after(100) == 0
    bench.traefik.hidden = {"blog-route"}
    bench.confirmation.doubt_all()
    assert bench.after(59) == 0
    assert bench.after(2) == 1


def test_a_route_that_traefik_will_not_let_go_of_is_a_disagreement() -> None:
    bench = Bench()
    bench.write(decision("blog"))
    assert bench.after(1) == 0
    bench.traefik.freeze()
    bench.confirmation.expect({"blog": None})
    assert bench.after(61) == 1
    bench.files.files.clear()
    bench.traefik.thaw()
    assert bench.after(0) == 0


def test_the_time_in_which_traefik_does_not_answer_does_not_count() -> None:
    bench = Bench()
    bench.traefik.silent = True
    bench.write(decision("blog"))
    assert bench.after(100) == 0
    bench.traefik.silent = False
    bench.traefik.hidden = {"blog-route"}
    assert bench.after(59) == 0
    assert bench.after(2) == 1


def test_a_flood_of_questions_is_told_and_leaves_the_appliance_healthy() -> None:
    """An orchestrator restarts what is unhealthy, and would do the flood's work."""
    plane = Plane()
    plane.start()
    try:
        plane.described["dns_notices"] = ["more questions come over UDP than the DNS authority can take"]
        told = plane.gateway.status()
        assert plane.described["dns_notices"][0] in told["notices"]
        assert told["healthy"]
    finally:
        plane.stop()


def test_whoever_is_about_to_restart_for_new_settings_is_not_called_healthy() -> None:
    plane = Plane()
    plane.start()
    try:
        assert plane.gateway.status()["healthy"]
        plane.described["is_restarting"] = True
        told = plane.gateway.status()
        assert told["problems"] == ["the control plane restarts for its new settings, within seconds"]
        assert not told["healthy"]
    finally:
        plane.stop()


def test_the_status_tells_of_a_disagreement_and_of_the_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = Plane()
    plane.traefik.hidden = {"blog-route"}
    plane.start()
    try:
        plane.gateway.set_workload("blog", name("blog").document())
        plane.described["dns_problems"] = ["the DNS authority does not answer over TCP at 127.0.0.1 port 53"]
        assert plane.gateway.status()["problems"] == plane.described["dns_problems"]
        monkeypatch.setattr("appliance.control.board._LONGEST_UNDER_WAY_SECONDS", 0.0)
        deadline = time.monotonic() + 10
        while len(plane.gateway.status()["problems"]) < 2:
            assert time.monotonic() < deadline
        assert "1 route(s)" in plane.gateway.status()["problems"][0]
        assert not plane.gateway.status()["healthy"]
    finally:
        plane.stop()
