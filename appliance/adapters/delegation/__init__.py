"""What the DNS says about this gateway's names, asked at the servers themselves (dnspython).

asking       one question to one server, bounded in time
resolvers    one question to whichever recursive resolver answers
parents      what the servers of the parent zone say
delegations  everything about a zone, a domain, a host's CAA records: keeps `control.outside.Delegations`
"""

from appliance.adapters.delegation.delegations import Delegations

__all__ = ["Delegations"]
