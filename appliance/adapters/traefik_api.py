"""Traefik's API over HTTP on loopback (https://doc.traefik.io/traefik/operations/api/). Keeps `control.ports.Proxy`."""

import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from appliance.model.errors import Unavailable
from appliance.model.steps import Steps, at_once

_TIMEOUT_SECONDS = 5.0
_LONGEST_ANSWER_BYTES = 256 * 1024 * 1024
_EVERYTHING = 1_000_000
"""Traefik's page size has no bound, and a page that begins behind the last entry is an error to it."""
_NOT_FOUND = 404
_BETWEEN_ITEMS = re.compile(r"\s*([\[,\]])\s*")


class TraefikApi:
    """Asks one Traefik. Each thread keeps a connection of its own open."""

    def __init__(self, host: str, port: int, steps: Steps = at_once) -> None:
        self._host = host
        self._port = port
        self._steps = steps
        self._connections = threading.local()

    def router(self, protocol: str, name: str) -> Mapping[str, Any] | None:
        """`GET /api/<protocol>/routers/<name>`; None: there is none. Raises Unavailable."""
        found: Mapping[str, Any] | None = self._get(f"/api/{protocol}/routers/{quote(name, safe='@')}")
        return found

    def service(self, protocol: str, name: str) -> Mapping[str, Any] | None:
        """`GET /api/<protocol>/services/<name>`; None: there is none. Raises Unavailable."""
        found: Mapping[str, Any] | None = self._get(f"/api/{protocol}/services/{quote(name, safe='@')}")
        return found

    def routers(self, protocol: str) -> Mapping[str, Mapping[str, Any]]:
        """All routers of a protocol by name. Raises Unavailable."""
        return self._all(f"/api/{protocol}/routers")

    def services(self, protocol: str) -> Mapping[str, Mapping[str, Any]]:
        """All services of a protocol by name. Raises Unavailable."""
        return self._all(f"/api/{protocol}/services")

    def certified_names(self) -> frozenset[str]:
        """The subject names of all loaded certificates, lower case. Raises Unavailable."""
        found = self._get(f"/api/certificates?per_page={_EVERYTHING}")
        if found is None:  # until its first configuration is in force, Traefik knows no path at all
            raise Unavailable("Traefik does not yet tell its certificates: it is starting")
        names = {name for item in found for name in [item.get("commonName"), *(item.get("sans") or [])] if name}
        return frozenset(name.lower() for name in names)

    def _all(self, path: str) -> Mapping[str, Mapping[str, Any]]:
        return self._get(f"{path}?per_page={_EVERYTHING}", self._by_name) or {}

    def _by_name(self, body: bytes) -> Mapping[str, Mapping[str, Any]]:
        if body.strip() == b"null":  # Go's word for a list without items
            return {}
        return {item["name"]: item for item in self._steps(items_of(body.decode()))}

    def _get(self, path: str, read: Callable[[bytes], Any] = json.loads) -> Any:
        try:
            status, body = self._exchange(path)
        except (http.client.HTTPException, ConnectionError):
            # A kept connection dies with the Traefik it led to; the next one is asked once before giving up.
            self._drop()
            status, body = self._last_try(path)
        except OSError as error:
            self._drop()
            raise self._unavailable(error) from error
        if status == _NOT_FOUND:
            return None
        try:
            if status != http.client.OK:
                raise Unavailable(f"Traefik's API answers {status} to {path}: {body[:200]!r}")
            return read(body)
        except ValueError as error:
            raise Unavailable(f"Traefik's API answers no JSON to {path}: {body[:200]!r}") from error

    def _last_try(self, path: str) -> tuple[int, bytes]:
        try:
            return self._exchange(path)
        except (http.client.HTTPException, OSError) as error:
            self._drop()
            raise self._unavailable(error) from error

    def _exchange(self, path: str) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection | None = getattr(self._connections, "own", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
            self._connections.own = connection
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(_LONGEST_ANSWER_BYTES)

    def _drop(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._connections, "own", None)
        if connection is not None:
            connection.close()
            self._connections.own = None

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"Traefik does not answer on its API at {self._host}:{self._port} ({error}): "
            "it is starting, or see `gateway status` for its state"
        )


def items_of(text: str) -> Iterator[Any]:
    """The items of a JSON list, each read when its turn comes. Raises ValueError where it is none.

    `json.loads` of ten thousand routers would hold the interpreter, and so every other thread, for 40 ms.
    """
    read = json.JSONDecoder().raw_decode
    found = _BETWEEN_ITEMS.match(text)
    if found is None or found[1] != "[":
        raise ValueError("no list")
    is_empty = text.startswith("]", found.end())
    while not is_empty and found[1] != "]":
        item, end = read(text, found.end())
        yield item
        found = _BETWEEN_ITEMS.match(text, end)
        if found is None or found[1] == "[":
            raise ValueError(f"neither comma nor end behind an item, at {end}")
    if text[text.index("]", found.start()) + 1 :].strip():
        raise ValueError("something behind the list")
