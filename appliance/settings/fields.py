"""The kinds of values settings are made of: written as an operator writes them, checked with a message that helps."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from appliance.model import brokers, hosts
from appliance.model.backends import Network
from appliance.model.errors import InvalidInput

_ZONE_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _host(text: str) -> str:
    try:
        return hosts.host(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _zone_name(text: str) -> str:
    plain = text.lower().removesuffix(".")
    if len(plain) > 253 or not all(_ZONE_LABEL.fullmatch(part) for part in plain.split(".")):
        raise ValueError(f"{text[:80]!r} is not a DNS name of letters, digits, hyphens and underscores")
    return plain


def _name_server(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not split_endpoint(text)[0]:
            raise ValueError(f"{text[:80]!r} is not an address like 9.9.9.9 or 9.9.9.9:53") from None
    return text


def _endpoint(text: str) -> str:
    split_endpoint(text)
    return text


def _broker(text: str) -> str:
    try:
        brokers.parse(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    return text


def _written_out(value: object) -> object:
    """Addresses are text: `ipaddress` would take the number 10 for 0.0.0.10, and `false` for 0.0.0.0."""
    if isinstance(value, int | float | list | tuple):
        raise ValueError("write an address as text, like 10.1.2.3, 2001:db8::1 or 10.0.0.0/8")  # noqa: TRY004
    return value


def _duration(value: object) -> float:
    text = str(value)
    unit = _DURATION_UNITS.get(text[-1:])
    number = text[:-1] if unit else text
    try:
        seconds = float(number) * (unit or 1)
    except ValueError as error:
        raise ValueError("write a duration like 20s, 5m, 1h or 2d") from error
    if not 0 <= seconds < 10**9:
        raise ValueError("write a duration between 0s and 10000d")
    return seconds


def split_endpoint(text: str) -> tuple[str, int]:
    """`host:port` or `[ipv6]:port` or `:port` (every address) as a pair. Raises ValueError saying the right form."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdigit() or int(port) > 65535 or (":" in bare and not host.startswith("[")):
        raise ValueError(f"{text[:80]!r} is not an address and port like 0.0.0.0:53 or [::]:53")
    if bare:
        ipaddress.ip_address(bare)
    return bare, int(port)


AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]  # Traefik, which reads them, runs in the root
Host = Annotated[str, AfterValidator(_host)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
ServerId = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,64}$")]
ZoneName = Annotated[str, AfterValidator(_zone_name)]
NameServer = Annotated[str, AfterValidator(_name_server)]
BrokerUrl = Annotated[str, AfterValidator(_broker)]
IPv4 = Annotated[ipaddress.IPv4Address, BeforeValidator(_written_out)]
IPv6 = Annotated[ipaddress.IPv6Address, BeforeValidator(_written_out)]
NetworkText = Annotated[Network, BeforeValidator(_written_out)]
Seconds = Annotated[float, BeforeValidator(_duration)]
