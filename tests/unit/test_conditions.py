"""What an operator is alerted to: each kind of condition, as its source tells it."""

from collections.abc import Callable, Sequence

import pytest

from appliance.control import conditions
from appliance.model.alerts import Condition, Kind
from appliance.model.errors import Unavailable
from appliance.model.findings import Finding, Status
from appliance.model.store_repairs import Restored
from tests.plane import Plane, name

FINDINGS = (
    Finding("delegation.ns:_acme-challenge.gw.test", Status.FAIL, "there is no NS record", "create it"),
    Finding("delegation.udp:_acme-challenge.gw.test", Status.UNKNOWN, "nobody answered"),
    Finding("clock", Status.FAIL, "it is wrong"),
)


@pytest.fixture
def plane() -> Plane:
    return Plane()


def told(
    plane: Plane, restored: Sequence[Restored] = (), findings: Sequence[Finding] = ()
) -> Callable[[], list[Condition]]:
    from appliance.control.inventory import Inventory  # noqa: PLC0415  only here

    inventory = Inventory(
        issuance=plane.issuance, probe=lambda: (_ for _ in ()).throw(AssertionError), stored=tuple, users=tuple
    )
    sources = conditions.sources(
        issuance=plane.issuance,
        inventory=inventory,
        warn_days=lambda: 14.0,
        restored=lambda: restored,
        findings=lambda: findings,
        board=plane.applier.board,
        programs=plane.programs,
    )
    return lambda: [condition for source in sources for condition in source()]


def test_a_broken_delegation_is_told_with_what_to_do_and_doubt_is_not(plane: Plane) -> None:
    plane.start()
    found = told(plane, findings=FINDINGS)()
    plane.stop()
    assert found == [
        Condition(Kind.DELEGATION, FINDINGS[0].id, "there is no NS record", "create it"),
    ]


@pytest.mark.parametrize(
    ("state", "is_told"), [("RUNNING", False), ("STARTING", False), ("BACKOFF", True), ("FATAL", True)]
)
def test_a_program_that_is_down_is_told(plane: Plane, state: str, is_told: bool) -> None:
    plane.start()
    plane.programs.states["gateway"] = state
    found = told(plane)()
    plane.stop()
    assert [condition.subject for condition in found if condition.kind is Kind.PROGRAM] == ["gateway"] * is_told


def test_a_quarantined_workload_is_told_with_its_reason(plane: Plane) -> None:
    plane.start()
    plane.put(name("bad", backend="http://169.254.169.254"))
    (found,) = told(plane)()
    plane.stop()
    assert (found.kind, found.subject) == (Kind.QUARANTINE, "bad")
    assert "169.254.169.254" in found.summary


def test_a_supervisor_that_does_not_answer_is_no_news(plane: Plane) -> None:
    plane.start()
    plane.programs.silent = True
    with pytest.raises(Unavailable):
        told(plane)()
    plane.stop()
