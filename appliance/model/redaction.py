"""Takes secrets out of text that goes into a log, whoever wrote it.

Our own lines hold none to begin with. Others' may: a certificate authority repeats the key authorization it expected, a
client library the address it called with the password in it. Works on the raw line, before it is parsed, so a secret is
found in any field of it and in any depth; what it puts in keeps a JSON line a JSON line.
"""

import re

REDACTED = "[redacted]"

_QUOTE = r"""\\*["']?"""
_IS = rf"{_QUOTE}\s*[:=]\s*\[?{_QUOTE}"
_VALUE = r"""[^\s"'\\,;&}\])]+"""

_HINTS = ("authorization", "bearer", "basic", "hmac", "passw", "secret", "token", "api", "private", "@", "$")
_HINT_OF_KEY_AUTHORIZATION = re.compile(r"\.[A-Za-z0-9_-]{43}")
_HINT_OF_PEM = re.compile(r"[A-Za-z0-9+/=]{60,80}")

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A header, in whatever notation: its scheme is told, its credentials are not. Only what looks like credentials is
    # taken for them, for certificate authorities write "invalid authorization: " before their reasons.
    (re.compile(rf"(authorization{_IS}(?:bearer|basic|digest|negotiate|token)\s+){_VALUE}", re.IGNORECASE), r"\1"),
    (re.compile(rf"(authorization\\*[\"']{_QUOTE}\s*[:=]\s*\[?{_QUOTE}){_VALUE}", re.IGNORECASE), r"\1"),
    (re.compile(r"(authorization\s*[:=]\s*)[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE), r"\1"),
    (re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), r"\1"),
    # A key that says what its value is.
    (
        re.compile(
            r"((?:hmac(?:[_-]?(?:encoded|key))?|passw(?:or)?d|secret|(?:client|webhook)[_-]?secret|api[_-]?key"
            rf"|(?:access|admin|api|auth|id|refresh)[_-]?token|private[_-]?key){_IS}){_VALUE}",
            re.IGNORECASE,
        ),
        r"\1",
    ),
    # What stands before the host of an address: redis://:password@host, tcp://password@host.
    (re.compile(r"(://)[^/\s\"'?#<>]+(?=@)"), r"\1"),
    # A key authorization, RFC 8555 section 8.1: token "." base64url(SHA-256), which has 43 characters.
    (re.compile(r"((?<![A-Za-z0-9_-])[A-Za-z0-9_-]{20,255}\.)[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-]|\.[A-Za-z0-9])"), r"\1"),
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[^\"]*"), r"\1"),
    (re.compile(r"^()[A-Za-z0-9+/=]{60,80}$"), r"\1"),  # a line of a PEM block
    (re.compile(r"(\$(?:2[abxy]?|apr1|1|5|6)\$)[./A-Za-z0-9$=,]{8,}"), r"\1"),  # a password hash
)


def redacted(text: str) -> str:
    """`text` with `[redacted]` in place of every secret that can be told to be one."""
    if not _is_suspicious(text):
        return text
    for pattern, kept in _SECRETS:
        text = pattern.sub(kept + REDACTED, text)
    return text


def _is_suspicious(text: str) -> bool:
    """Whether to look more closely. Most lines are not worth it, and this is done for every one."""
    lower = text.lower()
    return (
        any(hint in lower for hint in _HINTS)
        or _HINT_OF_KEY_AUTHORIZATION.search(text) is not None
        or _HINT_OF_PEM.fullmatch(text) is not None
    )
