"""The tree of routers: whatever came and went before, its text says what is wanted now and nothing else."""

import json

from hypothesis import given
from hypothesis import strategies as st

from appliance.model import admission, workloads
from appliance.render.dynamic import Decision
from appliance.render.layouts import TREE_FILE, Tree
from tests.plane import RULES

_KINDS = ("name", "fqdn", "passthrough", "withheld")
_versions = st.none() | st.tuples(st.sampled_from(_KINDS), st.integers(1, 3))
_updates = st.lists(st.dictionaries(st.integers(0, 30), _versions, min_size=1, max_size=8), min_size=1, max_size=8)


def _decision(number: int, kind: str, backend: int, host: int | None = None) -> Decision:
    document: dict[str, object] = {"backends": [f"https://10.1.2.{backend}:443"]}
    label = f"w{number if host is None else host}"
    if kind == "name":
        document |= {"type": "gateway-name-proxy", "name": label}
    else:
        document |= {"type": "gateway-fqdn-proxy", "fqdn": f"{label}.other.test"}
    workload = workloads.parse(f"{number}-w", document | {"tls_passthrough": kind == "passthrough"})
    return Decision(admission.route_of(workload, RULES, {}), orders_certificate=kind not in {"withheld", "passthrough"})


def _text(files: dict[str, str | None]) -> str:
    return files[TREE_FILE] or ""


@given(_updates)
def test_the_document_depends_on_what_is_wanted_and_not_on_how_it_came_about(
    updates: list[dict[int, tuple[str, int] | None]],
) -> None:
    tree = Tree()
    wanted: dict[str, Decision] = {}
    for update in updates:
        changes = {
            f"{number}-w": None if version is None else _decision(number, *version)
            for number, version in update.items()
        }
        text = _text(tree.update(changes))
        wanted |= {identity: decision for identity, decision in changes.items() if decision is not None}
        wanted = {identity: decision for identity, decision in wanted.items() if changes.get(identity, decision)}
        fresh = Tree().update(dict(reversed(wanted.items())))
        assert text == _text(fresh)


def test_a_host_passes_from_one_workload_to_another_in_one_update() -> None:
    """Also when the one that takes it over comes first among the changes."""
    tree = Tree()
    tree.update({"1-w": _decision(1, "name", 1, host=7), "2-w": _decision(2, "name", 1, host=8)})
    text = _text(tree.update({"2-w": _decision(2, "name", 1, host=7), "1-w": _decision(1, "name", 1, host=9)}))
    document = json.loads(text.rpartition("\n#")[0])
    rules = {name: router["rule"] for name, router in document["http"]["routers"].items() if "parentRefs" in router}
    assert rules == {"1-w-route": "Host(`w9.gw.example.com`)", "2-w-route": "Host(`w7.gw.example.com`)"}


def test_a_changed_workload_leaves_the_text_of_the_others_as_it_is() -> None:
    """Only its own lines differ: that is what makes one change among ten thousand cheap."""
    tree = Tree()
    before = _text(tree.update({f"{number}-w": _decision(number, "name", 1) for number in range(300)}))
    after = _text(tree.update({"7-w": _decision(7, "name", 2)}))
    lines = set(before.splitlines()) ^ set(after.splitlines())
    assert len([line for line in lines if not line.startswith("#")]) == 2
    assert all("7-w" in line for line in lines if not line.startswith("#"))
