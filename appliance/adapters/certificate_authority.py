"""A look at a certificate authority's directory (urllib, ssl): is it there, its clock, what it says of itself.

Redirects are followed, as ACME clients do; nothing is ordered and no account is touched.
"""

import contextlib
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from appliance.model.authorities import Directory

_PATIENCE_SECONDS = 4.0
_LARGEST_BYTES = 64 * 1024
_MOST_NAMES = 32


class CertificateAuthority:
    """The directory at `url`, trusted by the system's roots and those in `ca_certificates`. `clock`: Unix seconds."""

    def __init__(self, url: str, ca_certificates: Sequence[Path] = (), clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._ca_certificates = tuple(ca_certificates)
        self._clock = clock
        self._host = urllib.parse.urlsplit(url).hostname or url

    @property
    def url(self) -> str:
        """Where the directory is."""
        return self._url

    def look(self) -> Directory:
        """Ask for the directory. Never raises: what went wrong is its `problem`."""
        request = urllib.request.Request(self._url, headers={"User-Agent": "gateway-appliance"})  # noqa: S310  https by the settings
        try:
            with self._opener().open(request, timeout=_PATIENCE_SECONDS) as answer:
                asked_at, date = self._clock(), _date(answer.headers)
                return self._read(_body(answer), date, asked_at)
        except urllib.error.HTTPError as error:
            date = _date(error.headers)
            error.close()
            return self._failed(f"it answers HTTP {error.code}", date=date)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return self._failed(_told(error), is_untrusted=_is_untrusted(error))

    def _opener(self) -> urllib.request.OpenerDirector:
        context = ssl.create_default_context()
        for path in self._ca_certificates:
            try:
                context.load_verify_locations(cafile=str(path))
            except OSError as error:
                raise ValueError(f"`acme.ca_certificates`: {path} cannot be used: {error}") from error
        return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    def _read(self, body: bytes, date: float | None, asked_at: float) -> Directory:
        try:
            document = json.loads(body) if len(body) <= _LARGEST_BYTES else None
        except ValueError:
            document = None
        if not isinstance(document, Mapping) or not isinstance(document.get("newOrder"), str):
            return self._failed("what it answers is no ACME directory (it has no newOrder)", date=date)
        meta = document.get("meta")
        meta = meta if isinstance(meta, Mapping) else {}
        return Directory(
            self._url,
            self._host,
            date=date,
            asked_at=asked_at,
            caa_identities=_names(meta.get("caaIdentities")),
            profiles=_names(meta.get("profiles")),
            needs_account_binding=meta.get("externalAccountRequired") is True,
        )

    def _failed(self, problem: str, *, date: float | None = None, is_untrusted: bool = False) -> Directory:
        return Directory(self._url, self._host, problem, is_untrusted=is_untrusted, date=date, asked_at=self._clock())


def _body(answer: http.client.HTTPResponse) -> bytes:
    """What is sent within the patience, and no more than is sensible. Raises TimeoutError."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    body = b""
    while len(body) <= _LARGEST_BYTES and (piece := answer.read1(_LARGEST_BYTES)):
        body += piece
        if time.monotonic() > deadline:
            raise TimeoutError("too slow")
    return body


def _date(headers: Message) -> float | None:
    with contextlib.suppress(TypeError, ValueError):
        return parsedate_to_datetime(headers["Date"]).timestamp()
    return None


def _names(found: Any) -> tuple[str, ...]:
    """The texts in a list, or the keys of a mapping; anything else is none."""
    items = list(found)[:_MOST_NAMES] if isinstance(found, list | Mapping) else []
    return tuple(item for item in items if isinstance(item, str))


def _reason(error: BaseException) -> BaseException:
    inner = getattr(error, "reason", None)
    return inner if isinstance(inner, BaseException) else error


def _is_untrusted(error: Exception) -> bool:
    return isinstance(_reason(error), ssl.SSLCertVerificationError)


def _told(error: Exception) -> str:
    reason = _reason(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return f"no answer within {_PATIENCE_SECONDS:g} s"
    return getattr(reason, "strerror", None) or str(reason)
