"""Routes that Traefik will not have, as a mistake of the renderer's would make them: they cost nobody but themselves.

Such mistakes are put into the control plane from outside, by Python's own `sitecustomize`.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.peers import appliance as appliances
from tests.peers import https
from tests.peers.appliance import Appliance, MakeAppliance
from tests.peers.backends import MakeBackend
from tests.peers.load import Load

MISTAKES = """
from appliance.render import dynamic

plain_document, plain_files = dynamic.document, dynamic.files


def document(decision):
    found = plain_document(decision)
    if decision.route.id.startswith("poison"):
        found["http"]["routers"][dynamic.router_name(decision.route.id)]["bogus"] = 1
    return found


def files(decision):
    if not decision.route.id.startswith("ghost"):
        return plain_files(decision)
    services = document(decision)["http"]["services"]
    return {dynamic.file_name(decision.route.id): dynamic.text({"http": {"services": services}})}


dynamic.document, dynamic.files = document, files
"""


@pytest.fixture
def mistaken(new_appliance: MakeAppliance, tmp_path: Path, backend: MakeBackend) -> Appliance:
    """An appliance that renders some routes wrongly, with one workload that is served."""
    (tmp_path / "sitecustomize.py").write_text(MISTAKES, encoding="utf-8")
    started = new_appliance(appliances.settings(), environment={"PYTHONPATH": str(tmp_path)}).start()
    started.must("route", "name", "steady", "steady", backend("steady").url)
    return started


def test_a_file_that_freezes_every_route_is_found_out_and_taken_out_again(mistaken: Appliance) -> None:
    """Traefik reads nothing any more, and says so only in its log. Those who come after it are served all the same."""
    with Load("steady.gw.test", expect='"backend": "steady"') as load:
        mistaken.must("route", "name", "poison", "poison", "http://10.99.0.9:1", "--no-wait")
        mistaken.program.until((mistaken.root / "proxy/poison.yaml").exists, "it is written")
        mistaken.must("route", "name", "after", "after", "http://10.99.0.9:1", "--no-wait")
        reason = mistaken.until_state("poison", "quarantined", seconds=40)["reason"]
        assert reason.startswith("Traefik rejected it: ")
        assert "field not found, node: bogus" in reason
        mistaken.until_state("after", "applied", seconds=20)
        mistaken.program.until(lambda: not (mistaken.root / "proxy/poison.yaml").exists(), "it is taken out")
        tally = load.until_more()
    assert tally.failures == 0, tally
    assert mistaken.workload("steady")["state"] == "applied"


def test_a_route_that_traefik_reads_and_does_not_have_is_taken_out_again(mistaken: Appliance) -> None:
    mistaken.must("route", "name", "ghost", "ghost", "http://10.99.0.9:1", "--no-wait")
    reason = mistaken.until_state("ghost", "quarantined", seconds=40)["reason"]
    assert "the router ghost-route: Traefik does not have it" in reason
    mistaken.program.until(lambda: not (mistaken.root / "proxy/ghost.yaml").exists(), "it is taken out")
    mistaken.must("route", "name", "after", "after", "http://10.99.0.9:1")


def test_a_lost_password_file_is_written_anew_and_its_route_served_again(
    new_appliance: MakeAppliance, backend: MakeBackend
) -> None:
    """Lost while the control plane was away and Traefik began anew: nobody has to touch the workload."""
    gateway = new_appliance(appliances.settings()).start()
    line = "ops:$2y$05$5OS0d0h1cGVuJ0yPkGnCgOd8RaWG9M7k3G7ls6CuEbtLJoSN3ZzUe"
    options = gateway.root.parent / "options.yaml"
    options.write_text(f"basic_auth: ['{line}']\n", encoding="utf-8")
    gateway.must("route", "name", "blog", "blog", backend("blog").url, "--options-file", str(options))
    assert https.fetch("blog.gw.test").status == 401
    control_plane, traefik = gateway.pid_of("gateway"), gateway.pid_of("traefik")
    os.kill(control_plane, signal.SIGSTOP)
    try:
        (gateway.root / "proxy/blog.users").unlink()
        os.kill(traefik, signal.SIGKILL)
        gateway.program.until(
            lambda: gateway.traefik("http/routers/blog-route@file")["status"] == "disabled", "it is hurt"
        )
    finally:
        os.kill(control_plane, signal.SIGCONT)
    gateway.program.until(lambda: https.fetch("blog.gw.test").status == 401, "it is served again", seconds=30)
    gateway.until_state("blog", "applied")
