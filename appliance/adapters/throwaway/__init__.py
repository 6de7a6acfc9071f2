"""Throw-away Traefiks, of the very binary that serves.

launching   starts one, bounded, on sockets that are open already; it ends with this process
trial       fragments and routes are tried in one: keeps `control.ports.Trial`
rehearsal   orders are tried by one, at the staging directory: keeps `control.ports_issuance.Understudy`
"""

from appliance.adapters.throwaway.rehearsal import TraefikRehearsal
from appliance.adapters.throwaway.trial import TraefikTrial

__all__ = ["TraefikRehearsal", "TraefikTrial"]
