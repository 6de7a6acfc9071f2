"""What this appliance renders, a throw-away Traefik takes, or says whose fault it is: no route is wrongly suspected."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.adapters.processes import traefik_binary
from appliance.adapters.throwaway import TraefikTrial
from appliance.model import admission, workloads
from appliance.render import dynamic, trial
from appliance.render.dynamic import Decision
from tests.unit.test_option_routes import GATEWAY

OPTIONS = sorted((Path(__file__).parents[1] / "golden" / "workload_options").glob("*.txt"))


def decisions() -> dict[str, Decision]:
    """A route of every kind and with every option that there is a written example of."""
    documents: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text().split("\n---\n")[0]) for path in OPTIONS}
    documents["plain"] = {"type": "gateway-name-proxy", "name": "plain", "backends": ["http://10.1.2.3"]}
    documents["fqdn"] = {"type": "gateway-fqdn-proxy", "fqdn": "shop.customer.com", "backends": ["https://10.1.2.3"]}
    documents["six"] = {"type": "gateway-fqdn-proxy", "fqdn": "six.customer.com", "backends": ["http://[fd99::9]:80"]}
    found = {}
    for identity, document in documents.items():
        if "fqdn" not in document:
            document["name"] = identity.replace("_", "-")
        backends = [backend for backend in document["backends"] if "internal" not in backend]
        workload = workloads.parse(identity, document | {"backends": backends or ["https://10.1.2.3"]})
        found[identity] = Decision(admission.route_of(workload, GATEWAY, {}), orders_certificate=True)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The appliance's root with what the routes' files name: Traefik reads relative paths from there."""
    (tmp_path / "proxy").mkdir()
    for decision in decisions().values():
        for name, text in dynamic.users_files(decision.route).items():
            (tmp_path / "proxy" / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_route_that_can_be_rendered_is_taken_although_a_certificate_is_ordered_for_it(root: Path) -> None:
    found = TraefikTrial(traefik_binary("traefik"), root).complaints(
        [trial.of_route(it) for it in decisions().values()]
    )
    assert found == []


def test_a_route_without_its_password_file_is_to_blame_and_no_other(root: Path) -> None:
    (root / "proxy/basic_auth.users").unlink()
    chosen = [trial.of_route(decisions()[name]) for name in ("plain", "basic_auth", "passthrough")]
    found = TraefikTrial(traefik_binary("traefik"), root).complaints(chosen)
    assert {name for complaint in found for name in complaint.names} == {"basic_auth"}
    assert "no such file" in found[0].words


def test_a_route_that_traefik_cannot_read_is_to_blame(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of the renderer's, in one route."""
    plain = dynamic.document

    def document(decision: Decision) -> dict[str, Any]:
        found = plain(decision)
        if decision.route.id == "fqdn":
            found["http"]["routers"]["fqdn-route"]["bogus"] = 1
        return found

    monkeypatch.setattr(dynamic, "document", document)
    chosen = [trial.of_route(decisions()[name]) for name in ("plain", "fqdn")]
    found = TraefikTrial(traefik_binary("traefik"), root).complaints(chosen)
    assert [complaint.names for complaint in found] == [{"fqdn"}]
    assert "field not found, node: bogus" in found[0].words
