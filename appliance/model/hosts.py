"""Host names: what a host is, and which host lies under which.

A host is kept as its A-labels in lower case without the trailing dot (RFC 1034 §3.5, RFC 5891); two spellings of one
host are therefore one value.
"""

import re

import idna

from appliance.model.errors import InvalidInput

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_HOST = 253
_LONGEST_INPUT = 1000


def label(text: str) -> str:
    """`text` as one host label (A-label, lower case).

    Raises InvalidInput when it is not one: empty, over 63 octets, with a dot, or with characters no host has.
    """
    plain = text if "." in text else _a_labels(text, f"the name {_shown(text)}")
    if "." in plain:  # other scripts have full stops of their own, which become dots in A-labels (RFC 5895 §2)
        raise InvalidInput(f"the name {_shown(text)} has a dot: a name proxy's name is one label, like `blog`")
    return plain


def host(text: str) -> str:
    """`text` as a fully qualified host of at least two labels (A-labels, lower case, no trailing dot).

    Raises InvalidInput when it is not one, or is an IP address.
    """
    shown = f"the host {_shown(text)}"
    plain = _a_labels(text.removesuffix("."), shown)
    labels = plain.split(".")
    if len(labels) < 2:
        raise InvalidInput(f"{shown} has no dot: give the fully qualified name, like `shop.example.com`")
    if labels[-1].isdigit():
        raise InvalidInput(f"{shown} ends in a number: give a host name, not an address")
    return plain


def lies_under(name: str, domain: str) -> bool:
    """Whether `name` is `domain` or below it, compared label by label (RFC 1034 §3.1)."""
    return name == domain or name.endswith("." + domain)


def _a_labels(text: str, shown: str) -> str:
    if not text or len(text) > _LONGEST_INPUT:
        raise InvalidInput(f"{shown} is empty or too long: a host has 1 to {_LONGEST_HOST} characters")
    try:
        plain = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise InvalidInput(f"{shown} is not a valid internationalised name: {error}") from error
    if len(plain) > _LONGEST_HOST:
        raise InvalidInput(f"{shown} is too long: a host has at most {_LONGEST_HOST} characters")
    for part in plain.split("."):
        if not _LABEL.fullmatch(part):
            raise InvalidInput(
                f"{shown} has the label {_shown(part)}: a label is 1 to 63 letters, digits and hyphens, "
                "and neither starts nor ends with a hyphen"
            )
        if part.startswith("xn--"):
            _check_a_label(part, shown)
    return plain


def _check_a_label(part: str, shown: str) -> None:
    try:
        idna.decode(part)
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidInput(f"{shown} has the label {part}, which is no valid A-label: {error}") from error


def _shown(text: str) -> str:
    """Foreign text, quoted and cut so that a message or log line stays one short line."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
