"""A throw-away Traefik in which fragments are tried. Keeps `control.ports.Trial`.

It gets an empty environment, a temporary directory, and no certificate resolver.
"""

import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.adapters.throwaway import launching
from appliance.adapters.throwaway.launching import Launch
from appliance.model.errors import Unavailable
from appliance.model.fragments import Complaint, Fragment
from appliance.render import dynamic
from appliance.render import trial as texts

_SECONDS = 10.0
_POLL_SECONDS = 0.02
_NOTHING_READ = "Cannot start the provider *file.Provider"


class TraefikTrial:
    """Tries fragments with `binary`. `working_directory` is Traefik's own: relative paths are read from there."""

    def __init__(self, binary: Path, working_directory: Path | None = None) -> None:
        self._binary = binary
        self._working_directory = working_directory

    def complaints(self, fragments: Sequence[Fragment]) -> list[Complaint]:
        """What Traefik has against these together. Raises Unavailable when it does not come up within 10 s."""
        deadline = time.monotonic() + _SECONDS
        try:
            directory = Path(tempfile.mkdtemp(prefix="gateway-trial-"))
        except OSError as error:
            raise Unavailable(f"fragments cannot be tried without a temporary directory: {error}") from error
        try:
            proxy = directory / "proxy"
            _fill(proxy, fragments)
            static = directory / "traefik.json"
            static.write_text(texts.static(str(proxy)), encoding="utf-8")
            log = directory / "log"
            with self._running(static, log) as (program, port):
                reported = _reported(program, port, log, deadline)
            return texts.complaints(fragments, launching.said(log), reported)
        except OSError as error:
            raise Unavailable(f"fragments cannot be tried: {error}") from error
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    @contextmanager
    def _running(self, static: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """The program, and the port of its API."""
        sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in texts.ENTRY_POINTS}
        port: int = sockets[texts.API].getsockname()[1]
        launch = Launch(self._binary, static, log, sockets, working_directory=self._working_directory)
        with launching.running(launch) as program:
            yield program, port


def _fill(proxy: Path, fragments: Sequence[Fragment]) -> None:
    """The directory as Traefik would find it: each file as it will be sealed, and the one that uses everything."""
    proxy.mkdir(mode=0o700)
    for fragment in fragments:
        path = proxy / texts.file_name(fragment.name)
        path.write_text(dynamic.sealed(texts.body(fragment)), encoding="utf-8", newline="")
    (proxy / texts.EXERCISE_FILE).write_text(texts.exercise(fragments), encoding="utf-8")


def _reported(program: subprocess.Popen[bytes], port: int, log: Path, deadline: float) -> Any:
    """Everything that Traefik's API reports once it has read all files; None: it will not read them."""
    while time.monotonic() < deadline:
        if _get(port, f"/api/http/routers/{texts.MARK}@file", deadline) is not None:
            return _get(port, "/api/rawdata", deadline)
        if _NOTHING_READ in launching.said(log):
            return None
        if program.poll() is not None:
            said = launching.said(log)[-500:].strip() or "without a word"
            raise Unavailable(f"the Traefik for the trial ended at once: {said}")
        time.sleep(_POLL_SECONDS)
    raise Unavailable(f"the Traefik for the trial was not done within {_SECONDS:g} s: it is tried again later")


def _get(port: int, path: str, deadline: float) -> Any:
    """What the API says; None while it does not know, or does not answer yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=max(0.1, deadline - time.monotonic()))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return json.loads(body) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
