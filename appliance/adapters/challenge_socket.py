"""The challenge socket: where `hooks/dns01` presents and cleans up. One line of JSON in, one out, and closed.

    {"verb": "present", "fqdn": "_acme-challenge.gw.example.com", "value": "..."}     or "cleanup"
    {"ok": true}                                                                      the authority answers it
    {"ok": false, "error": "what is wrong and what to do"}

Why one thread with a selector and not a thread a client: a client that sends nothing, or byte by byte, costs only its
descriptor until its time is up, however many there are. The verbs themselves take a millisecond and run in turn.
Who may: root, the appliance's own user, and configured ones, by the kernel's word for it (SO_PEERCRED, unix(7)).
It knows lines and peers; what a verb does is passed in.
"""

import contextlib
import errno
import json
import os
import selectors
import socket
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

from appliance import logs
from appliance.model.errors import GatewayError, InvalidInput, Unavailable

log = logs.logger(__name__)

Verb = Callable[[str, str, str], None]
"""fqdn, value, by. Raises GatewayError with a message for the caller."""

LARGEST_LINE = 4096
"""Octets. A name has at most 254 and a value 255."""
PATIENCE_SECONDS = 5.0
"""For a whole request, however it arrives; and for taking the answer."""
MOST_CLIENTS = 256
_OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_REST_SECONDS = 0.5
"""Where there are no descriptors or no memory left, and no client that could give any back."""
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_ACL_VERSION = struct.pack("<I", 2)
_ACL_ENTRY = struct.Struct("<HHI")  # tag, permissions, id
_ACL_OWNER, _ACL_USER, _ACL_GROUP, _ACL_MASK, _ACL_OTHERS = 0x01, 0x02, 0x04, 0x10, 0x20
_ACL_NOBODY = 0xFFFF_FFFF


class _Client:
    """A connection whose line is not complete yet."""

    __slots__ = ("deadline", "line", "pid", "sock", "uid")

    def __init__(self, sock: socket.socket, pid: int, uid: int) -> None:
        self.sock = sock
        self.pid = pid
        self.uid = uid
        self.line = b""
        self.deadline = time.monotonic() + PATIENCE_SECONDS


class ChallengeSocket:
    """Serves `present` and `clean_up` at the unix socket `path`, mode 0660, to root, our own uid and `uids`.

    `failed` is told when its thread ends by surprise.
    """

    def __init__(
        self,
        path: Path,
        present: Verb,
        clean_up: Verb,
        uids: Iterable[int] = (),
        *,
        failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._verbs: dict[object, Verb] = {"present": present, "cleanup": clean_up}
        self._uids = frozenset((0, os.geteuid(), *uids))
        self._failed = failed
        self._clients: OrderedDict[int, _Client] = OrderedDict()  # by descriptor, oldest first
        self._thread: threading.Thread | None = None
        self._alarm: socket.socket | None = None

    def start(self) -> None:
        """Listen; requests are taken from now on. A socket left by a dead process is replaced.

        Raises Unavailable when the path cannot be had. (One appliance to a root is the lock's business.)
        """
        if self._thread is not None:
            return
        listener = _listen(self._path, self._uids - {0, os.geteuid()})
        self._alarm, wake = socket.socketpair()
        self._thread = threading.Thread(target=self._guard, args=(listener, wake), name="challenge-socket", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests; returns when the thread has ended. May be repeated."""
        if self._thread is None or self._alarm is None:
            return
        self._alarm.close()  # the other end becomes readable
        self._thread.join()
        self._thread = self._alarm = None
        self._path.unlink(missing_ok=True)

    def _guard(self, listener: socket.socket, wake: socket.socket) -> None:
        try:
            self._run(listener, wake)
        except Exception as error:
            log.exception("challenge socket ended by surprise")
            self._failed(error)

    def _run(self, listener: socket.socket, wake: socket.socket) -> None:
        with listener, wake, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            while self._turn(selector, listener, wake):
                pass
            for client in list(self._clients.values()):
                self._close(selector, client)

    def _turn(self, selector: selectors.BaseSelector, listener: socket.socket, wake: socket.socket) -> bool:
        """Wait for events and see to them; False when it is time to stop."""
        ready = selector.select(self._patience())
        now = time.monotonic()  # before the verbs take theirs: who has sent a line meanwhile is not late
        for key, _ in ready:
            if key.fileobj is wake:
                return False
            if key.fileobj is listener:
                self._accept(selector, listener)
            elif key.fd in self._clients:
                self._read(selector, self._clients[key.fd])
        while self._clients and (oldest := next(iter(self._clients.values()))).deadline <= now:
            self._finish(selector, oldest, "no complete line within 5 s: send one line of JSON")
        return True

    def _patience(self) -> float | None:
        oldest = next(iter(self._clients.values()), None)
        return None if oldest is None else max(0.0, oldest.deadline - time.monotonic())

    def _accept(self, selector: selectors.BaseSelector, listener: socket.socket) -> None:
        if len(self._clients) >= MOST_CLIENTS:
            self._finish(
                selector, next(iter(self._clients.values())), "too many open connections: send the line at once"
            )
        try:
            sock, _ = listener.accept()
        except OSError as error:
            # The listener stays ready: without room made, or a rest, this would be tried without end.
            if error.errno in (errno.EMFILE, errno.ENFILE) and self._clients:
                self._close(selector, next(iter(self._clients.values())))
            elif error.errno in _OUT_OF_RESOURCES:
                time.sleep(_REST_SECONDS)
            log.warning("challenge socket could not accept", reason=str(error))
            return
        sock.setblocking(False)
        pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        selector.register(sock, selectors.EVENT_READ)
        self._clients[sock.fileno()] = _Client(sock, pid, uid)

    def _read(self, selector: selectors.BaseSelector, client: _Client) -> None:
        try:
            chunk = client.sock.recv(LARGEST_LINE + 1)
        except BlockingIOError:
            return
        except OSError:
            self._close(selector, client)
            return
        client.line += chunk
        if b"\n" in client.line[: LARGEST_LINE + 1]:
            self._finish(selector, client, self._obey(client))
        elif len(client.line) > LARGEST_LINE:
            self._finish(selector, client, f"the line is longer than {LARGEST_LINE} octets")
        elif not chunk:
            self._close(selector, client)

    def _obey(self, client: _Client) -> str | None:
        """Carry out the line; None when it is done, else what is wrong."""
        if client.uid not in self._uids:  # told only now: an answer ahead of the line would be lost with it
            log.warning("challenge socket refused a user", uid=client.uid, pid=client.pid)
            return f"uid {client.uid} may not present challenges: add it to challenge.uids"
        try:
            request = _Request.of(client.line.partition(b"\n")[0])
            self._verbs[request.verb](request.fqdn, request.value, f"uid {client.uid} pid {client.pid}")
        except GatewayError as error:
            return str(error)
        except Exception:
            log.exception("challenge request failed", uid=client.uid, pid=client.pid)
            return "internal error: see the appliance's log"
        return None

    def _finish(self, selector: selectors.BaseSelector, client: _Client, error: str | None) -> None:
        """Answer and close. The answer is one short line into an empty socket buffer, so it never waits."""
        answer: dict[str, Any] = {"ok": True} if error is None else {"ok": False, "error": error}
        with contextlib.suppress(OSError):
            client.sock.send(json.dumps(answer).encode("ascii") + b"\n")
        self._close(selector, client)

    def _close(self, selector: selectors.BaseSelector, client: _Client) -> None:
        del self._clients[client.sock.fileno()]
        selector.unregister(client.sock)
        client.sock.close()


class _Request(NamedTuple):
    """What a line asks for."""

    verb: str
    fqdn: str
    value: str

    @classmethod
    def of(cls, line: bytes) -> "_Request":
        """Raises InvalidInput for a line that is no request."""
        try:
            document = json.loads(line)
            request = cls(document["verb"], document["fqdn"], document["value"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidInput('a request is one line {"verb": ..., "fqdn": ..., "value": ...}') from error
        if request.verb not in ("present", "cleanup") or not all(isinstance(text, str) for text in request):
            raise InvalidInput("the verb is present or cleanup; fqdn and value are texts")
        return request


def _admit(path: Path, uids: AbstractSet[int]) -> None:
    """Let these users connect: an access control list in the kernel's form (acl(5), linux/posix_acl_xattr.h)."""
    entries = [(_ACL_OWNER, 6, _ACL_NOBODY), *((_ACL_USER, 6, uid) for uid in sorted(uids))]
    entries += [(_ACL_GROUP, 6, _ACL_NOBODY), (_ACL_MASK, 6, _ACL_NOBODY), (_ACL_OTHERS, 0, _ACL_NOBODY)]
    try:
        os.setxattr(
            path, "system.posix_acl_access", b"".join([_ACL_VERSION, *(_ACL_ENTRY.pack(*it) for it in entries)])
        )
    except OSError as error:
        log.warning("challenge.uids cannot be let in: the filesystem knows no access lists", reason=error.strerror)


def _listen(path: Path, uids: AbstractSet[int]) -> socket.socket:
    """A listening socket that appears at `path` with its mode and ready to accept, in one step.

    `uids` may connect to it too, by an access control list.
    """
    fresh = path.with_name(".new.sock")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        fresh.unlink(missing_ok=True)
        sock.bind(str(fresh))
        fresh.chmod(0o660)
        if uids:
            _admit(fresh, uids)
        sock.listen(MOST_CLIENTS)
        sock.setblocking(False)
        fresh.replace(path)
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot listen on the challenge socket {path}: {error}") from error
    return sock
