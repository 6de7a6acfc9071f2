"""Whether port 80 of an address can be reached, as far as can be told from this very host (HTTP-01, RFC 8555 §8.3)."""

from dataclasses import dataclass
from enum import StrEnum

from appliance.model.findings import Finding, Status


class Outcome(StrEnum):
    """What became of one request."""

    ANSWERED = "answers"
    REFUSED = "refuses connections"
    SILENT = "does not answer"
    UNREACHABLE = "cannot be reached from here"
    RUBBISH = "answers with something that is not HTTP"


@dataclass(frozen=True, slots=True)
class Reply:
    """What an address said to a request for a challenge that does not exist. `status` is the HTTP status."""

    outcome: Outcome
    status: int | None = None
    detail: str = ""


_STATUSES = {
    Outcome.ANSWERED: Status.OK,
    Outcome.REFUSED: Status.FAIL,
    Outcome.RUBBISH: Status.FAIL,
    Outcome.SILENT: Status.UNKNOWN,
    Outcome.UNREACHABLE: Status.UNKNOWN,
}
_TODO = {
    Outcome.REFUSED: "start the appliance (`gateway run`), and see who holds port 80: ss -lntp 'sport = :80'",
    Outcome.RUBBISH: "see who holds port 80: ss -lntp 'sport = :80'",
    Outcome.SILENT: "let TCP port 80 through to this host, and ask from another one: curl -sI http://{address}/",
    Outcome.UNREACHABLE: "ask from another host: curl -sI http://{address}/",
}


def finding(address: str, reply: Reply) -> Finding:
    """The verdict on one address. Silence may only mean that this host cannot see itself from outside (hairpin NAT)."""
    shown = f" ({reply.detail})" if reply.detail else ""
    host = f"[{address}]" if ":" in address else address
    told = f"port 80 of {address} {reply.outcome.value}{shown}"
    return Finding(
        f"web.port80:{address}", _STATUSES[reply.outcome], told, _TODO.get(reply.outcome, "").format(address=host)
    )
