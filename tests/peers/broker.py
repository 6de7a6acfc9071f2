"""A real Redis: over TCP, on a unix socket, with a password, stopped, killed, started again and full at will."""

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.peers.launching import Launched, await_result

REDIS_SERVER: Final = "/usr/bin/redis-server"
_ADDRESS: Final = "127.0.0.1"


class Broker:
    """redis-server in `directory` (a short path: the socket lies in it). Persistent unless told otherwise.

    Persistent means the append-only file, written with every command: what Redis confirmed is there after a restart.
    With `tls` the port speaks TLS, by `cert.pem`, `key.pem` and `ca.pem` in the directory.
    """

    def __init__(
        self,
        directory: Path,
        *,
        password: str | None = None,
        persistent: bool = True,
        tls: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.password = password
        self.port = _free_port()
        self._persistent = persistent
        self._options = dict(options or {}) | (_tls(directory, self.port) if tls else {})
        self._program: Launched | None = None
        self.start()

    @property
    def unix_url(self) -> str:
        """The address of the socket, in the form of the original's start line."""
        secret = f"{quote(self.password, safe='')}@" if self.password else ""
        return f"unix://{secret}{self.socket}"

    @property
    def tcp_url(self) -> str:
        """The TCP address, with the password where the original's callers put it."""
        secret = f"{quote(self.password, safe='')}@" if self.password else ""
        return f"tcp://{secret}{_ADDRESS}:{self.port}"

    @property
    def redis_url(self) -> str:
        """The TCP address as other programs write it, database 0."""
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{secret}{_ADDRESS}:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A new client of the administrator's. It repeats nothing by itself, so whatever is there was said once."""
        never = Retry(NoBackoff(), 0)
        return redis.Redis(unix_socket_path=str(self.socket), password=self.password, socket_timeout=10, retry=never)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        values = {
            "port": str(self.port),
            "bind": _ADDRESS,
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "save": '""',
            "appendonly": "yes" if self._persistent else "no",
            "appendfsync": "always",
            **({"requirepass": self.password} if self.password else {}),
        }
        file = self.directory / "redis.conf"
        lines = [f"{key} {value}\n" for key, value in (values | self._options).items()]
        file.write_text("".join(lines), encoding="utf-8")
        self._program = Launched([REDIS_SERVER, str(file)], self.directory / "redis.log")
        self._program.until(self._answers, "redis answers")

    def stop(self) -> None:
        """SIGTERM, as an init system stops it. May be repeated."""
        if self._program is not None:
            self._program.stop()

    def kill(self) -> None:
        """SIGKILL."""
        if self._program is not None:
            self._program.kill()

    def freeze(self, *, thaw: bool = False) -> None:
        """Let it answer nothing, with all its connections open; or answer again."""
        if self._program is not None:
            os.kill(self._program.process.pid, signal.SIGCONT if thaw else signal.SIGSTOP)

    def change_password(self, password: str) -> None:
        """Another password from now on, also for connections that are there."""
        with self.client as admin:
            admin.config_set("requirepass", password)
            self.password = password
        with self.client as admin:
            admin.client_kill_filter(_type="normal", skipme=True)

    def until_empty(self, key: str, *, seconds: float = 30) -> None:
        """Wait until a list has nothing in it."""
        with self.client as admin:
            await_result(lambda: admin.llen(key) == 0, f"{key} is empty", seconds=seconds)

    def _answers(self) -> bool:
        try:
            with self.client as admin:
                return bool(admin.ping())
        except redis.RedisError as error:
            raise OSError(str(error)) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def _tls(directory: Path, port: int) -> dict[str, str]:
    files = {f"tls-{what}-file": str(directory / f"{name}.pem") for what, name in _PEM_FILES}
    return {"port": "0", "tls-port": str(port), "tls-auth-clients": "no", **files}


_PEM_FILES: Final = (("cert", "cert"), ("key", "key"), ("ca-cert", "ca"))
