"""The config manager's work on 10,000 workloads, over and over: what the authority shares its process with at worst.

`python -m tests.peers.planning` does it in a process of its own until it is ended; `lowest` behind it: at the lowest
priority.
"""

import itertools
import os
import sys
import time
from typing import Any

from appliance.model import workloads
from appliance.model.admission import Desired, Gateway
from appliance.model.backends import BackendPolicy
from appliance.model.register import Register
from appliance.model.steps import Steps, at_once
from appliance.render.dynamic import Decision
from appliance.render.layouts import Tree

DOMAIN = "gw.example.com"


class Planner:
    """A gateway's register and its layout. `plan` validates, admits and renders `count` workloads, each one edited."""

    def __init__(self, count: int = 10_000, steps: Steps = at_once) -> None:
        self._ids = [f"1-{number}-w" for number in range(count)]
        self._steps = steps
        rules = Gateway(public=True, addresses=frozenset(), domains=(DOMAIN,), policy=BackendPolicy())
        self._register = Register(rules, steps=steps)
        self._tree = Tree(steps)

    def plan(self, port: int) -> int:
        """With backends at this port; how many octets of configuration that makes."""
        through = self._steps
        desired = {it: Desired(it, workloads.parse(it, _document(it, port)), 0.0) for it in through(self._ids)}
        self._register.update(desired)
        routes = self._register.routes
        files = self._tree.update({it: Decision(routes[it], orders_certificate=True) for it in through(self._ids)})
        return sum(len(text or "") for text in files.values())


def plan_for_ever(steps: Steps = at_once) -> None:
    """The same again and again, with pauses as short as nobody would make them."""
    planner = Planner(steps=steps)
    for round_number in itertools.count():
        planner.plan(1024 + round_number % 2)
        time.sleep(0.01)


def _document(identity: str, port: int) -> dict[str, Any]:
    number = int(identity.split("-")[1])
    backend = f"http://10.{number >> 16}.{number >> 8 & 255}.{number & 255}:{port}"
    return {"type": "gateway-name-proxy", "name": f"w{number}", "backends": [backend]}


if __name__ == "__main__":
    if sys.argv[1:] == ["lowest"]:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    plan_for_ever()
