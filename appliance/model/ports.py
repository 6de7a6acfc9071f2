"""Who listens where the appliance wants to, and what to do about somebody else.

Facts are found by `adapters.host`; here they become a verdict with the very line that frees the port.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from appliance.model.findings import Finding, Status

Transport = Literal["tcp", "udp"]

_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, not listened on
_STUB = "systemd-resolve"
"""How the kernel abbreviates systemd-resolved's name to 15 characters."""
_PUBLISHER = "docker-proxy"
"""Part of Docker itself: it is the container behind it that has to go."""
_FREE_STUB = (
    "mkdir -p /etc/systemd/resolved.conf.d && "
    "printf '[Resolve]\\nDNSStubListener=no\\n' > /etc/systemd/resolved.conf.d/gateway.conf && "
    "ln -sf /run/systemd/resolve/resolv.conf /etc/resolv.conf && systemctl restart systemd-resolved"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An address the appliance is to listen on, and the setting it comes from. An empty host is every address."""

    setting: str
    host: str
    port: int
    transport: Transport

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{self.transport}/{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who listens. `pid` is None where this user may not see who; `unit` is a systemd unit or container."""

    host: str
    port: int
    transport: Transport
    pid: int | None
    name: str = ""
    unit: str | None = None
    container: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "a process that this user may not see"
        inside = f", unit {self.unit}" if self.unit else f", container {self.container}" if self.container else ""
        return f"{self.name} (pid {self.pid}{inside})"


@dataclass(frozen=True, slots=True)
class Own:
    """The appliance's own processes: none when it does not run."""

    pids: frozenset[int] = frozenset()
    is_settled: bool = True
    """False: it has only just been started, and may not listen everywhere yet."""
    has_ipv6: bool = True
    is_visible: bool = True
    """False: who asks is another user, who may not see whether it runs."""


def finding(wanted: Wanted, holders: Sequence[Holder], own: Own) -> Finding:
    """Whether the appliance has this address, or could have it."""
    identity = f"port:{wanted}"
    there = [holder for holder in holders if _overlap(wanted, holder)]
    ours = [holder for holder in there if holder.pid in own.pids]
    if ours:
        return Finding(identity, Status.OK, f"{wanted} is listened on by {ours[0]}")
    if there:
        return _taken(identity, wanted, there[0], may_be_own=bool(own.pids) or not own.is_visible)
    if not own.pids:
        return Finding(identity, Status.OK, f"{wanted} is free")
    if ":" in wanted.host and not own.has_ipv6:
        return Finding(identity, Status.OK, f"{wanted} is not listened on: this host has no IPv6")
    if not own.is_settled:
        return Finding(identity, Status.UNKNOWN, f"{wanted} is not listened on yet", "look again in a few seconds")
    told = f"the appliance runs, and nobody listens on {wanted} (`{wanted.setting}`)"
    return Finding(identity, Status.FAIL, told, "see which program is missing and why: gateway status")


def _taken(identity: str, wanted: Wanted, holder: Holder, *, may_be_own: bool) -> Finding:
    if holder.pid is None and may_be_own:
        todo = "run `gateway doctor` as root to see who it is"
        return Finding(identity, Status.UNKNOWN, f"somebody listens on {wanted}: {holder}", todo)
    told = f"{wanted} (`{wanted.setting}`) is taken by {holder}"
    return Finding(identity, Status.FAIL, told, f"{_freeing(holder)} (or set `{wanted.setting}` to another address)")


def _freeing(holder: Holder) -> str:
    """The line that frees the port."""
    if holder.name.startswith(_STUB) and holder.port == 53:
        return _FREE_STUB
    if holder.name == _PUBLISHER:
        return f"docker stop $(docker ps -q --filter publish={holder.port})"
    if holder.unit:
        return f"systemctl disable --now {holder.unit}"
    if holder.container:
        return f"docker stop {holder.container}"
    if holder.pid is not None:
        return f"kill {holder.pid}"
    return f"see who it is, as root: ss -lnp 'sport = :{holder.port}'"


def _overlap(wanted: Wanted, holder: Holder) -> bool:
    if (wanted.transport, wanted.port) != (holder.transport, holder.port):
        return False
    if wanted.host in ("", holder.host) or holder.host == "::":
        return True  # an IPv6 socket on every address takes IPv4 too, unless told otherwise, which cannot be seen
    are_alike = (":" in wanted.host) == (":" in holder.host)
    return are_alike and bool({wanted.host, holder.host} & _EVERYWHERE)
