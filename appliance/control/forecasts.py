"""What a change of workloads would do, said beforehand: a dry run by the very rules of the door.

Nothing is written and nobody is admitted. What only Traefik or a name server could say is not foreseen.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.model import admission, plans, workloads
from appliance.model.errors import GatewayError, NotFound
from appliance.model.plans import Plan
from appliance.model.resolution import Resolutions
from appliance.model.workloads import Workload


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would change, in order, and what would be kept out."""

    plan: Plan
    """Changes of the desired state by workload id; the text of each is the workload's document."""
    hosts: Mapping[str, str]
    """Workload id -> the host it would have, of those that would be let in."""
    unchanged: tuple[str, ...]
    refused: Mapping[str, GatewayError]

    def document(self) -> dict[str, Any]:
        """The JSON form: `{changes: [{change, id, host}], unchanged: [id], refused: [{id, error, reason}]}`."""
        return {
            "changes": [
                {"change": type(item).__name__.lower(), "id": item.name, "host": self.hosts.get(item.name)}
                for item in self.plan
            ],
            "unchanged": list(self.unchanged),
            "refused": [
                {"id": identity, "error": type(error).__name__, "reason": str(error)}
                for identity, error in self.refused.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides who is let in."""

    rules: admission.Gateway
    resolutions: Resolutions
    holders: dict[str, str]
    """Host -> the id of the workload that has it; changed by what is let in here."""
    present: Mapping[str, str]
    """Workload id -> the text of what is desired now."""


def forecast(
    documents: Mapping[str, Any],
    deletions: Iterable[str],
    situation: Situation,
    parse: Callable[[str, Any], Workload],
    text: Callable[[Workload], str],
) -> Forecast:
    """What it would do to delete these, and then to set those one after the other.

    `parse` makes the workload that a document means, or raises; `text` is how it compares with what is present.
    """
    wanted, refused, hosts = dict(situation.present), dict[str, GatewayError](), dict[str, str]()
    for identity in dict.fromkeys(deletions):
        if wanted.pop(identity, None) is None:
            refused[identity] = _missing(identity)
        _let_go(situation.holders, identity)
    for identity, document in documents.items():
        try:
            workload = parse(identity, document)
            hosts[identity] = _let_in(workload, situation)
            wanted[identity] = text(workload)
        except GatewayError as error:
            refused[identity] = error
    plan = plans.diff(situation.present, wanted)
    moved = {change.name for change in plan} | refused.keys()
    return Forecast(plan, hosts, tuple(identity for identity in documents if identity not in moved), refused)


def _let_in(workload: Workload, situation: Situation) -> str:
    host = admission.check_at_the_door(workload, situation.rules, situation.resolutions)
    admission.check_free(host, workload.id, situation.holders)
    _let_go(situation.holders, workload.id)
    situation.holders[host] = workload.id
    return host


def _let_go(holders: dict[str, str], identity: str) -> None:
    for host in [host for host, holder in holders.items() if holder == identity]:
        del holders[host]


def _missing(identity: str) -> GatewayError:
    try:
        workloads.workload_id(identity)
    except GatewayError as error:
        return error
    return NotFound(f"there is no workload {identity}: nothing would be deleted")
