"""Whether a challenge zone's delegation leads to this gateway.

observations  what was seen of a zone: values
links         from what was seen to findings, link by link
"""

from appliance.model.delegation.links import broken_link, doubt, findings
from appliance.model.delegation.observations import (
    Cut,
    Observation,
    Outcome,
    Own,
    ParentAnswer,
    Recursion,
    Reply,
    Server,
    Soa,
    Target,
)

__all__ = [
    "Cut",
    "Observation",
    "Outcome",
    "Own",
    "ParentAnswer",
    "Recursion",
    "Reply",
    "Server",
    "Soa",
    "Target",
    "broken_link",
    "doubt",
    "findings",
]
