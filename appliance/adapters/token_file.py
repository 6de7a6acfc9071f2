"""The file of tokens for the admin API over TCP: read again whenever it changes, so that tokens rotate at once.

It holds digests only, but whoever could write it would be let in, and whoever can read it learns who is; so one that
anybody else may touch is refused whole.
"""

import fcntl
import json
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance import atomic, logs
from appliance.model import documents, tokens
from appliance.model.errors import InvalidInput, NotFound, Unavailable
from appliance.model.tokens import Role, Token, Tokens

log = logs.logger(__name__)

_LARGEST_BYTES = 64 * 1024
_Signature = tuple[int, ...]


class TokenFile:
    """One token file. Safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[_Signature, Tokens | Unavailable] | None = None

    def find(self, text: str) -> Token | None:
        """The token that `text` is, or None. Raises Unavailable while the file cannot be used."""
        return tokens.find(self.tokens(), text)

    def tokens(self) -> Tokens:
        """The tokens as the file has them now; none when it is not there. Raises Unavailable, saying what to mend."""
        with self._lock:
            try:
                status = self._path.stat()
            except FileNotFoundError:
                return ()
            except OSError as error:
                raise _unusable(self._path, f"it cannot be read: {error.strerror}") from error
            signature = _signature(status)
            if self._read is None or self._read[0] != signature:
                self._read = (signature, self._load(status))
            found = self._read[1]
        if isinstance(found, Unavailable):
            raise found
        return found

    def trouble(self) -> str | None:
        """Why nobody is let in by a token; None when they are."""
        try:
            found = self.tokens()
        except Unavailable as error:
            return str(error)
        return None if found else f"there is no token in {self._path}: make one with `gateway token new`"

    def create(self, name: str, role: Role) -> str:
        """Make a token and keep its digest. Returns its text, which nobody can tell again.

        Raises Conflict, InvalidInput, or Unavailable when the file cannot be used or written.
        """
        text = tokens.text_of(secrets.token_bytes(tokens.SECRET_BYTES))
        made = Token(name, role, tokens.digest(text), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        with self._changing():
            self._save(tokens.with_new(self.tokens(), made))
        return text

    def revoke(self, name: str) -> None:
        """Forget a token: it is of no use from now on. Raises NotFound, or Unavailable."""
        if not self._path.exists():
            raise NotFound(f"there is no token {name}, for there is no {self._path}")
        with self._changing():
            self._save(tokens.without(self.tokens(), name))

    def _load(self, status: os.stat_result) -> Tokens | Unavailable:
        try:
            _check(self._path, status)
            with self._path.open("rb") as file:
                found = tokens.parse(documents.parse(file.read(_LARGEST_BYTES + 1), _LARGEST_BYTES))
        except (InvalidInput, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            log.error("the token file is refused: nobody is let in by a token", path=str(self._path), reason=reason)
            return _unusable(self._path, str(reason))
        log.info("tokens read", path=str(self._path), tokens=len(found))
        return found

    def _save(self, found: Tokens) -> None:
        try:
            atomic.write(self._path, json.dumps(tokens.document(found), indent=1) + "\n")  # JSON is YAML, too
        except OSError as error:
            raise Unavailable(f"cannot write {self._path}: {error.strerror}; the tokens are as they were") from error

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Nobody else changes the file by this class meanwhile, in whichever process."""
        try:
            descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"cannot use {self._path.parent}: {error.strerror}; make the directory first") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput("it is no file")
    if status.st_mode & 0o077:
        raise InvalidInput(f"others may use it: `chmod 600 {path}`, and make new tokens if somebody may have written")
    if status.st_uid not in (0, os.geteuid()):
        raise InvalidInput(f"it belongs to uid {status.st_uid}: `chown {os.geteuid()} {path}`")


def _unusable(path: Path, reason: str) -> Unavailable:
    return Unavailable(f"the token file {path} cannot be used: {reason}")


def _signature(status: os.stat_result) -> _Signature:
    """What changes whenever the file does, its mode and owner included."""
    return (
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
        status.st_ino,
        status.st_mode,
        status.st_uid,
    )
