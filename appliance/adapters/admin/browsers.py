"""What browsers may do over the unix socket.

Whoever reaches the unix socket may do everything, and a browser reaches it through a forwarded port
(`ssh -L 8080:.../admin.sock`). So must no page from elsewhere: neither by a request of its own across origins, nor
under a host name that was made to lead here (DNS rebinding). A token over TCP needs no such rule: no other page has it.
"""

import ipaddress
from collections.abc import Sequence

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def refusal(method: str, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Why a request over the unix socket is not from where it may come from; None: it is."""
    host = _value(headers, b"host")
    if not _is_local(_name(host)):
        return f"this socket is not known as {_name(host)[:100]!r}: use http://localhost:PORT/ with a forwarded port"
    origin = _value(headers, b"origin")
    if origin and method not in _SAFE and origin.partition("://")[2] != host:
        return "a page from elsewhere may change nothing here"
    return None


def _value(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1").lower() for key, value in headers if key == name), "")


def _name(host: str) -> str:
    """The host without its port (RFC 9110 §7.2)."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _is_local(name: str) -> bool:
    """No name of the DNS: nobody can make it lead here."""
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
