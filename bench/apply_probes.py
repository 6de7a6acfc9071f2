"""What `apply` looks with: the first 200 of a name, the 200s of many, requests per second, reloads of Traefik."""

import contextlib
import functools
import http.client
import re
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence

from tests.peers import addresses, https

_LONGEST_SECONDS = 180.0
_PAUSE_SECONDS = 0.01
_HTTPS = f"https://{addresses.GATEWAY}/ping"
_LOAD_SECONDS = 3


def name(number: int) -> str:
    """Names as orchestrators make them: hexadecimal and evenly spread."""
    return f"w{number * 2654435761 % 2**32:08x}"


def host(label: str) -> str:
    """The host of a name proxy."""
    return f"{label}.{addresses.DOMAIN}"


def until(condition: Callable[[], object], *, pause_seconds: float = _PAUSE_SECONDS) -> None:
    """Ask again and again, at an even pace: a pause that grows would be part of the figure."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the bench does not go on: not within {_LONGEST_SECONDS:g} s")
        time.sleep(pause_seconds)


def until_served(label: str, trusted: str | None) -> None:
    """Until a new connection gets a 200, with a certificate of `trusted` (PEM) if given."""
    context = https.trusting(trusted)

    def is_served() -> bool:
        with contextlib.suppress(OSError), https.connected(host(label), context=context) as secure:
            connection = http.client.HTTPConnection(host(label))
            connection.sock = secure
            return _is_ok(connection, host(label))
        return False

    until(is_served)


def until_all_served(labels: Sequence[str], trusted: str | None) -> None:
    """Ask for one after the other over one connection: a handshake for each would be measured too."""
    context = https.trusting(trusted)
    with https.connected(host(labels[0]), context=context) as secure:
        connection = http.client.HTTPConnection(host(labels[0]))
        connection.sock = secure
        for label in labels:
            until(functools.partial(_is_ok, connection, host(label)))


def _is_ok(connection: http.client.HTTPConnection, asked: str) -> bool:
    connection.request("GET", "/ping", headers={"Host": asked})
    with connection.getresponse() as answer:
        answer.read()
        return answer.status == http.client.OK


def requests_per_second(size: int) -> float:
    """The mean over three names, spread over the routes, with keep-alive and small answers."""
    return statistics.mean(_requests_per_second(name(number)) for number in (0, size // 2, size - 1))


def _requests_per_second(label: str) -> float:
    done = subprocess.run(
        ["wrk", "-t1", "-c16", f"-d{_LOAD_SECONDS}s", "-H", f"Host: {host(label)}", _HTTPS],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
    if found is None or "Non-2xx" in done.stdout:
        raise RuntimeError(done.stdout)
    return float(found[1])


def reloads() -> int:
    """How often the appliance's Traefik has loaded a new configuration."""
    with urllib.request.urlopen("http://127.0.0.1:8082/metrics", timeout=60) as answer:
        page = answer.read().decode()
    found = re.search(r"^traefik_config_reloads_total(?:\{[^}]*\})? ([0-9.e+]+)", page, re.MULTILINE)
    return int(float(found[1])) if found else 0
