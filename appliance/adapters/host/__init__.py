"""What there is to know about this host: who listens where, disk, files, kernel limits, programs (psutil, /proc).

listeners  sockets and the processes behind them, with their systemd unit or container
rooms      filesystem, files under the root, and what is safe to mend of them
limits     kernel limits and privileges
programs   Traefik's version, the account in its stores
probe      all of it together: keeps `control.outside.Host`
"""

from appliance.adapters.host.probe import HostProbe

__all__ = ["HostProbe"]
