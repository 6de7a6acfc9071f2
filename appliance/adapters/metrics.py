"""Traefik's metrics page over HTTP on loopback. Keeps `control.ports.ServiceCounters`.

The page grows with the number of services (2 kB for each), so it is read as a stream and never held whole. A page that
breaks off is no page: what was missing from it would look like counters that were reset.
"""

import http.client
import time
from collections.abc import Iterator

from appliance.model import exposition
from appliance.model.errors import InvalidInput, Unavailable
from appliance.model.traffic import Scrape

_LONGEST_SECONDS = 20.0
_LARGEST_BYTES = 512 * 1024 * 1024
_LONGEST_LINE_BYTES = 64 * 1024
_BLOCK_BYTES = 256 * 1024


class TraefikMetrics:
    """Reads the metrics entry point of one Traefik; each reading on a connection of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def scrape(self, patience_seconds: float) -> Scrape:
        """The counters now. `patience_seconds` bounds each wait. Raises Unavailable."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=patience_seconds)
        try:
            connection.request("GET", "/metrics", headers={"Accept": "text/plain;version=0.0.4"})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise Unavailable(f"Traefik's metrics answer {answer.status}: {answer.read(200)!r}")
            return exposition.parse(_lines(answer, time.monotonic() + _LONGEST_SECONDS))
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"Traefik does not answer on its metrics at {self._host}:{self._port} ({error!r}): "
                "it is starting, or see `gateway status` for its state"
            ) from error
        except InvalidInput as error:
            raise Unavailable(f"Traefik's metrics cannot be used: {error}") from error
        finally:
            connection.close()


def _lines(answer: http.client.HTTPResponse, deadline: float) -> Iterator[str]:
    """The lines of a whole body, as they arrive. Raises Unavailable when it is too long or takes too long."""
    rest, size = b"", 0
    while block := answer.read(_BLOCK_BYTES):
        size += len(block)
        *whole, rest = (rest + block).split(b"\n")
        if size > _LARGEST_BYTES or len(rest) > _LONGEST_LINE_BYTES:
            raise Unavailable(f"Traefik's metrics are longer than can be meant ({size} bytes)")
        if time.monotonic() > deadline:
            raise Unavailable(f"Traefik's metrics did not end within {_LONGEST_SECONDS:g} s")
        for line in whole:
            yield line.decode("utf-8", errors="replace")
    # Reading in blocks, `http.client` takes the end of the connection for the end of the body: it is asked here.
    if rest or not (answer.chunked or answer.length == 0):
        raise Unavailable("Traefik's metrics break off before their end")
