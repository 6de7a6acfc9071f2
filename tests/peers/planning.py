"""The config manager's work on 10,000 workloads, over and over: what the authority shares its process with at worst.

`python -m tests.peers.planning` does it in a process of its own, until it is ended.
"""

import time

from appliance.model import workloads
from appliance.model.admission import Desired, Gateway
from appliance.model.backends import BackendPolicy
from appliance.model.register import Register
from appliance.render.dynamic import Decision
from appliance.render.layouts import Tree

DOMAIN = "gw.example.com"


def plan(count: int = 10_000) -> int:
    """Validate, admit and render `count` workloads from nothing; how many octets that makes."""
    documents = {
        f"1-{number}-w": {
            "type": "gateway-name-proxy",
            "name": f"w{number}",
            "backends": [f"http://10.{number >> 16}.{number >> 8 & 255}.{number & 255}:80"],
        }
        for number in range(count)
    }
    register = Register(Gateway(public=True, addresses=frozenset(), domains=(DOMAIN,), policy=BackendPolicy()))
    register.update(
        {
            identity: Desired(identity, workloads.parse(identity, document), 0.0)
            for identity, document in documents.items()
        }
    )
    files = Tree().update(
        {identity: Decision(route, orders_certificate=True) for identity, route in register.routes.items()}
    )
    return sum(len(text or "") for text in files.values())


def plan_for_ever() -> None:
    """The same again and again, with pauses as short as nobody would make them."""
    while True:
        plan()
        time.sleep(0.01)


if __name__ == "__main__":
    plan_for_ever()
