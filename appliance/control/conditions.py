"""What is wrong now, of what an operator is alerted to: each source looks at one part of the control plane."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from appliance.control.alerting import Source
from appliance.control.board import Board
from appliance.control.inventory import Inventory
from appliance.control.issuance import Issuance
from appliance.control.ports import Programs
from appliance.model.alerts import Condition, Kind
from appliance.model.findings import Finding, Status
from appliance.model.store_repairs import Restored

_DOWN = frozenset({"BACKOFF", "FATAL"})
_RESTORED_STANDS_SECONDS = 86_400.0
"""How long it is told that a store was restored: there is no moment at which that is over."""


def sources(
    *,
    issuance: Issuance,
    inventory: Inventory,
    warn_days: Callable[[], float],
    restored: Callable[[], Iterable[Restored]],
    findings: Callable[[], Iterable[Finding]],
    board: Board,
    programs: Programs,
) -> Sequence[Source]:
    """One source for each kind of alert."""
    return (
        lambda: _renewals(issuance),
        lambda: _expiring(inventory, warn_days()),
        lambda: _restored(restored(), time.time()),
        lambda: _skipped(issuance),
        lambda: _delegations(findings()),
        lambda: _quarantined(board),
        lambda: _programs(programs),
    )


def _renewals(issuance: Issuance) -> Iterator[Condition]:
    for name, view in issuance.views().items():
        if view.is_issued and view.failure is not None:
            yield Condition(Kind.RENEWAL, name, f"{name} could not be renewed: {view.failure.words}", view.failure.todo)


def _expiring(inventory: Inventory, warn_days: float) -> Iterator[Condition]:
    for entry in inventory.about_to_end(warn_days):
        said = f"the certificate served for {entry.name} is about to end"
        yield Condition(Kind.EXPIRY, entry.name, said, "gateway certs")


def _restored(found: Iterable[Restored], now: float) -> Iterator[Condition]:
    for one in found:
        if now - one.when < _RESTORED_STANDS_SECONDS:
            yield Condition(Kind.STORE, f"{one.store}@{one.when:.0f}", one.sentence(), "gateway certs")


def _skipped(issuance: Issuance) -> Iterator[Condition]:
    for resolver, words in issuance.skipped().items():
        said = f"Traefik left the certificate resolver {resolver} out, and orders nothing by it: {words}"
        yield Condition(
            Kind.STORE, resolver, said, "supervisorctl restart traefik: its store is put right at the start"
        )


def _delegations(findings: Iterable[Finding]) -> Iterator[Condition]:
    for found in findings:
        if found.kind.startswith("delegation.") and found.status is Status.FAIL:
            yield Condition(Kind.DELEGATION, found.id, found.evidence, found.todo)


def _quarantined(board: Board) -> Iterator[Condition]:
    for identity, reason in board.quarantined().items():
        yield Condition(Kind.QUARANTINE, identity, f"{identity}: {reason}", f"gateway route show {identity}")


def _programs(programs: Programs) -> Iterator[Condition]:
    for program in programs.programs():
        if program.state in _DOWN:
            yield Condition(Kind.PROGRAM, program.name, f"{program.name} is in {program.state}", "gateway logs")
