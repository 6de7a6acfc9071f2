"""What the operator's own fragments have taken: no workload that comes later gets it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.model.errors import Conflict
from appliance.model.rules import HostPattern


@dataclass(frozen=True, slots=True)
class Reservations:
    """Names and hosts of accepted fragments, each with the file that has it."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Whatever may not become a workload's id."""
    hosts: Mapping[HostPattern, str] = field(default_factory=dict)

    def check(self, identity: str, host: str) -> None:
        """Raise Conflict, naming the fragment, when a workload's id or host is taken."""
        holder = self.names.get(identity)
        if holder is not None:
            raise Conflict(f"the id {identity} is a name in the operator's fragment {holder}: rename it there")
        for pattern, file in self.hosts.items():
            if pattern.matches(host):
                raise Conflict(
                    f"{host} is served by the operator's fragment {file} ({pattern}): "
                    "choose another host, or take the router out there"
                )
