"""The use case of `gateway check`: what would become of files, by the very rules that apply them.

Nothing is written and nobody is told. A workload is judged among the workloads there are, a fragment among the
accepted ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.control.lookups import look_up
from appliance.control.ports import Lookups, Trial
from appliance.control.settling import settle
from appliance.model import fragments
from appliance.model.admission import Desired, Gateway
from appliance.model.errors import GatewayError
from appliance.model.fragments import Fragment, Surroundings
from appliance.model.register import Register


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of one file. `reason` is empty when it is good."""

    name: str
    kind: str
    """`workload` or `fragment`."""
    reason: str


def workloads(found: Iterable[Desired], register: Register, lookups: Lookups) -> list[Verdict]:
    """Let workloads into a register that holds the others already, and say what keeps them out."""
    desired = {item.id: item for item in found}
    register.update(desired)
    hosts = register.backend_hosts()
    if hosts:
        register.resolve({host: look_up(lookups, host) for host in hosts}, hosts)
    return [Verdict(name, "workload", str(register.refused.get(name, ""))) for name in sorted(desired)]


def register_of(existing: Iterable[Desired], rules: Gateway) -> Register:
    """A register with the workloads there are."""
    register = Register(rules)
    register.update({item.id: item for item in existing})
    return register


def try_fragments(
    found: Mapping[str, Fragment | GatewayError], kept: Mapping[str, Fragment], around: Surroundings, trial: Trial
) -> list[Verdict]:
    """Judge fragments, and try the good ones together with those in `kept`. Raises Unavailable."""
    reasons = {name: reason for name, it in found.items() if (reason := _fault(it, around))}
    good = {name: it for name, it in found.items() if isinstance(it, Fragment) and name not in reasons}
    reasons |= settle({name: it for name, it in kept.items() if name not in found}, good, trial.complaints).refused
    return [Verdict(name, "fragment", reasons.get(name, "")) for name in sorted(found)]


def _fault(content: Fragment | GatewayError, around: Surroundings) -> str:
    if isinstance(content, GatewayError):
        return str(content)
    try:
        fragments.check(content, around)
    except GatewayError as error:
        return str(error)
    return ""
