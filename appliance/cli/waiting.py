"""Waiting for a workload: until Traefik serves it, or until it has its certificate; and what is awaited, in words.

The words are the API's: the states of a workload and of its certificate, with their reasons.
"""

import argparse
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum, auto
from typing import Any, Final
from urllib.parse import quote

from appliance.cli.client import AdminClient
from appliance.cli.progress import Progress
from appliance.model.errors import GatewayError, NotFound, Unavailable

EXIT_NOT_APPLIED = 1
EXIT_NOT_YET = 3
_LOOK_SECONDS: Final = 0.5
_LONGEST_CALL_SECONDS: Final = 600.0
_PATIENCE_SECONDS: Final = {NotFound: 10.0, Unavailable: 30.0}
"""A file that was written just now may not have been seen yet, and a control plane may be starting again."""


class Goal(StrEnum):
    """What is waited for."""

    APPLIED = "applied"
    CERTIFICATE = "certificate"


class Verdict(Enum):
    """Whether there is anything left to wait for."""

    REACHED = auto()
    REFUSED = auto()
    AWAITED = auto()


_SECONDS: Final = {Goal.APPLIED: 30.0, Goal.CERTIFICATE: 300.0}
"""How long, unless told: a certificate may wait for people who change DNS records."""
_OF_STATE: Final = {"quarantined": Verdict.REFUSED, "pending": Verdict.AWAITED}
_OF_CERTIFICATE: Final = {"withheld": Verdict.AWAITED, "pending": Verdict.AWAITED}


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """For a verb that waits for either goal."""
    told = f"seconds to wait (default {_SECONDS[Goal.APPLIED]:g}; {_SECONDS[Goal.CERTIFICATE]:g} for the certificate)"
    parser.add_argument("--timeout", type=float, default=None, help=told)


def seconds(options: Namespace, goal: Goal = Goal.APPLIED) -> float:
    """How long to wait."""
    return _SECONDS[goal] if options.timeout is None else max(options.timeout, 0.0)


def path(identity: str) -> str:
    """Where the API has a workload."""
    return f"/v1/workloads/{quote(identity, safe='')}"


def query(wait_seconds: float) -> str:
    """Asks the API to answer when Traefik serves it, or will not, or the time is over."""
    return f"?wait=applied&timeout={min(wait_seconds, _LONGEST_CALL_SECONDS)}"


def verdict(found: Mapping[str, Any], goal: Goal) -> Verdict:
    """What a workload, as the API shows it, means to somebody who waits for `goal`."""
    of_state = _OF_STATE.get(found["state"], Verdict.REACHED)
    if of_state is not Verdict.REACHED or goal is Goal.APPLIED:
        return of_state
    return _OF_CERTIFICATE.get(found["certificate"]["state"], Verdict.REACHED)


def awaited(found: Mapping[str, Any]) -> str:
    """How far it is, in words: `applied; certificate withheld: ...`."""
    if found["state"] != "applied":
        return with_reason(found["state"], found["reason"])
    certificate = found["certificate"]
    return f"applied; certificate {with_reason(certificate['state'], certificate['reason'])}"


def with_reason(state: str, reason: str) -> str:
    """A state, and why."""
    return f"{state}: {reason}" if reason else state


def now(client: AdminClient, identity: str) -> str:
    """How far a workload is that is being set, in words."""
    try:
        return awaited(client.call("GET", path(identity)))
    except GatewayError:
        return "the control plane has not accepted it yet"


def until(
    client: AdminClient,
    identity: str,
    goal: Goal,
    wait_seconds: float,
    progress: Progress,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """The workload once there is nothing left to wait for, or the time is over. Raises NotFound, Unavailable."""
    known = clock()
    deadline = known + wait_seconds
    while True:
        try:
            found: dict[str, Any] = client.call("GET", path(identity))
            known = clock()
            if verdict(found, goal) is not Verdict.AWAITED or known >= deadline:
                return found
            progress.tell(awaited(found))
        except (NotFound, Unavailable) as error:
            if clock() >= min(deadline, known + _PATIENCE_SECONDS[type(error)]):
                raise
            progress.tell(str(error))
        sleep(min(_LOOK_SECONDS, max(deadline - clock(), 0.0)))


def exit_code(found: Mapping[str, Any], goal: Goal, wait_seconds: float) -> int:
    """What waiting came to; why it was in vain is told."""
    how = verdict(found, goal)
    if how is Verdict.REACHED:
        return 0
    if how is Verdict.REFUSED:
        print(f"gateway: {found['reason']}", file=sys.stderr)
        return EXIT_NOT_APPLIED
    if found["state"] != "applied":
        print(f"gateway: not applied within {wait_seconds:g} s: {found['reason']}", file=sys.stderr)
    else:
        print(f"gateway: not on HTTPS within {wait_seconds:g} s: {awaited(found)}", file=sys.stderr)
    return EXIT_NOT_YET
