"""Backends: where a workload's traffic may go, and where it never may.

A tenant chooses backend addresses; the gateway sits inside somebody's network. So an address is judged after it has
been reduced to what would really be dialled (IPv4-mapped and NAT64 forms unwrapped), against a list that no setting
opens: see docs/architecture.md, "Backends".
"""

import functools
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from appliance.model import hosts
from appliance.model.errors import InvalidInput, Refused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Scheme = Literal["http", "https"]

_FORM = re.compile(r"(?:(?P<scheme>[A-Za-z]+)://)?(?P<host>\[[^\]]*\]|[^:/\[\]@?#]+)(?::(?P<port>[0-9]{1,5}))?/?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
_LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
_NEVER: tuple[tuple[Network, str], ...] = (
    (IPv4Network("0.0.0.0/8"), "this-network addresses reach the gateway itself"),
    (IPv4Network("169.254.0.0/16"), "link-local addresses hold cloud metadata services"),
    (IPv4Network("224.0.0.0/4"), "multicast addresses are no servers"),
    (IPv4Network("240.0.0.0/4"), "reserved addresses are no servers"),
    (IPv6Network("::/128"), "the unspecified address reaches the gateway itself"),
    (IPv6Network("fe80::/10"), "link-local addresses hold cloud metadata services"),
    (IPv6Network("fd00:ec2::254/128"), "it is a cloud metadata service"),
    (IPv6Network("ff00::/8"), "multicast addresses are no servers"),
)


@dataclass(frozen=True, slots=True)
class Backend:
    """One server of a workload. `scheme` is None for a bare `host:port` (TLS passthrough only)."""

    scheme: Scheme | None
    host: str
    """An IP address in its shortest form without brackets, or a host name (lower case)."""
    port: int

    @property
    def address(self) -> Address | None:
        """The IP address, or None where a host name was given."""
        return _address(self.host)

    @property
    def socket_address(self) -> str:
        """`ip:port`, IPv6 in brackets: the form of a Traefik TCP server."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.socket_address}" if self.scheme else self.socket_address


@functools.lru_cache(maxsize=16384)
def _address(host: str) -> Address | None:
    """The address that a host is; None: it is a name. Each is asked for more than once, and there may be thousands."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def parse(text: str, *, tls_passthrough: bool) -> Backend:
    """A backend as it is written in a workload.

    With passthrough `https://ip:port` and `ip:port`; else `http://ip[:port]` and `https://ip[:port]`. A host name may
    stand for the address (whether it may be used is the policy's answer). Raises InvalidInput.
    """
    shown = f"the backend {text[:120]!r}"
    wanted = "https://ip:port or ip:port" if tls_passthrough else "http://ip:port or https://ip:port"
    match = _FORM.fullmatch(text) if len(text) <= 400 else None
    if match is None:
        raise InvalidInput(f"{shown} is not of the form {wanted} (IPv6 in brackets; no path, user or query)")
    scheme = _scheme(match["scheme"], shown, wanted, tls_passthrough=tls_passthrough)
    if match["port"] is None and (tls_passthrough or scheme is None):
        raise InvalidInput(f"{shown} has no port: write {wanted}")
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme or "http"]
    if not 0 < port < 65536:
        raise InvalidInput(f"{shown} has the port {port}: ports are 1 to 65535")
    return Backend(scheme, _host(match["host"], shown), port)


def _scheme(text: str | None, shown: str, wanted: str, *, tls_passthrough: bool) -> Scheme | None:
    match text.lower() if text else None:
        case None if tls_passthrough:
            return None
        case "https":
            return "https"
        case "http" if not tls_passthrough:
            return "http"
        case "http":
            raise InvalidInput(f"{shown} speaks plain HTTP, but with TLS passthrough it must speak TLS: write {wanted}")
        case None:
            raise InvalidInput(f"{shown} has no scheme: write {wanted}")
        case other:
            raise InvalidInput(f"{shown} has the scheme {other!r}: write {wanted}")


def _host(text: str, shown: str) -> str:
    bare = text.removeprefix("[").removesuffix("]")
    address = _address(bare)
    if address is None:
        if text.startswith("["):
            raise InvalidInput(f"{shown} has no valid IPv6 address in its brackets")
        if re.fullmatch(r"[0-9.]+", text) or "%" in text:
            raise InvalidInput(f"{shown} has no valid IP address")
        return hosts.host(text) if "." in text else hosts.label(text)
    if text.startswith("[") != isinstance(address, IPv6Address) or getattr(address, "scope_id", None):
        raise InvalidInput(f"{shown}: write an IPv6 address in brackets and without a zone, IPv4 without brackets")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.compressed  # what is dialled; Pythons differ in how they write the mapped form
    return address.compressed


@dataclass(frozen=True, slots=True)
class BackendPolicy:
    """Which addresses workloads may name.

    `own` are the gateway's public and listening addresses (a route to them would loop), `broker` the bus's addresses.
    `deny` refuses further networks; `allow`, when not empty, refuses everything outside it. Neither opens what is
    never allowed; loopback alone can be opened, by `allow_loopback`.
    """

    own: frozenset[Address] = frozenset()
    broker: frozenset[Address] = frozenset()
    allow_loopback: bool = False
    allow_hostnames: bool = False
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = field(default=())

    def check(self, backend: Backend) -> None:
        """Raise Refused, saying why, when the backend may not be used. A host name is judged by its kind alone."""
        address = backend.address
        if address is not None:
            self.check_address(address, str(backend))
        elif not self.allow_hostnames:
            raise Refused(
                f"the backend {backend} is a host name: give its IP address, "
                "or let the operator set `backends.allow_hostnames: true`"
            )

    def check_address(self, address: Address, shown: str) -> None:
        """Raise Refused when traffic may not go to `address` (`shown` is how the tenant wrote it)."""
        reason = self._forbidden(unwrapped(address))
        if reason:
            raise Refused(f"the backend {shown} is not allowed: {reason}")

    def _forbidden(self, address: Address) -> str | None:
        if address in self.own:
            return "it is the gateway's own address, and the route would loop; use the workload's own address"
        if address in self.broker:
            return "it is the address of the message bus"
        for network, reason in _NEVER:
            if address in network:
                return reason
        if not self.allow_loopback and _in_any(address, _LOOPBACK):
            return "loopback is the gateway host itself; the operator can set `backends.allow_loopback: true`"
        if _in_any(address, self.deny):
            return "the operator's `backends.deny` lists it"
        if self.allow and not _in_any(address, self.allow):
            return "the operator's `backends.allow` does not list it"
        return None


def unwrapped(address: Address) -> Address:
    """The address that is really dialled: IPv4-mapped, IPv4-compatible, NAT64 and 6to4 forms become IPv4."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (int(address) >> 16 > 0 and int(address) >> 32 == 0):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _in_any(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
