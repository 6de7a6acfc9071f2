"""The files of the dashboard, and the headers that keep a browser from doing anything else with them.

They are read once, when the process starts: nothing that a request says ever becomes a path.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePath

PAGE = "/"
ASSETS = "/dashboard/"
_PAGE_FILE = "index.html"
_MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Nothing from elsewhere, nothing inline, in nobody's frame; markup cannot be made from text even by mistake."""


_KNOWN, _UNKNOWN = b'<html lang="en">', b'<html lang="en" data-caller="unknown">'


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    content: bytes
    media_type: str


def _files() -> dict[str, File]:
    found = {}
    for one in resources.files(__package__).joinpath("page").iterdir():
        if media_type := _MEDIA_TYPES.get(PurePath(one.name).suffix):
            found[PAGE if one.name == _PAGE_FILE else ASSETS + one.name] = File(one.read_bytes(), media_type)
    return found


def page(*, is_known: bool) -> File:
    """The page; for a caller who is not known it says so, and then begins by asking for a token."""
    file = FILES[PAGE]
    return file if is_known else File(file.content.replace(_KNOWN, _UNKNOWN, 1), file.media_type)


FILES: Mapping[str, File] = _files()
"""Path -> file."""
