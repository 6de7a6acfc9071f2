"""The message bus: zbus, remote calls over lists in Redis, as the original's callers speak it.

server       the module on the bus: start, stop, and what happens to a request in between
queues       one list of requests: taken, answered once, given back; nothing is lost
instance     which appliance this is among all that use the broker
workers      so many calls at once, in order where order matters
connections  redis-py, and what is said when it fails
calls        a call from its arguments to its answer; the methods
wire, values, packing   octets to values and back, pure
"""

from appliance.adapters.zbus.instance import name_in
from appliance.adapters.zbus.server import BusServer

__all__ = ["BusServer", "name_in"]
