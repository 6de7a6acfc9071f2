"""Which hosts a router's rule is bound to (https://doc.traefik.io/traefik/routing/routers/#rule).

Somebody who writes a rule of their own may not take hosts away from others by it, so it must be plain from the rule
alone which hosts it can match at most. What cannot be read here is not guessed at.

    rule    or
    or      and { "||" and }
    and     not { "&&" not }
    not     "!" not | "(" or ")" | Name "(" [ text { "," text } ] ")"
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.model import hosts
from appliance.model.errors import InvalidInput

_LONGEST_RULE = 4096
_DEEPEST = 32
_TOKEN = re.compile(r"\s*(?:(&&|\|\||[!(),])|([A-Za-z]+)|(`[^`]*`|\"(?:[^\"\\]|\\[\\\"])*\")|(\S))")
_HOST = frozenset({"host", "hostsni"})
_REGEXP = frozenset({"hostregexp", "hostsniregexp"})
_LITERAL_END = re.compile(r"(?:\\\.[A-Za-z0-9-]+){2,}\$")


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One host, or (`is_below`) every host below one."""

    host: str
    is_below: bool = False

    def __str__(self) -> str:
        return f"*.{self.host}" if self.is_below else self.host

    def touches(self, domain: str) -> bool:
        """Whether it can match `domain` or anything below it."""
        below_it = hosts.lies_under(self.host, domain)
        return below_it or (self.is_below and hosts.lies_under(domain, self.host))

    def matches(self, host: str) -> bool:
        """Whether it matches this one host."""
        return host.endswith("." + self.host) if self.is_below else host == self.host


Bound = frozenset[HostPattern] | None
"""The hosts a rule can match at most; None: any."""


def bound(rule: str) -> Bound:
    """The hosts that `rule` can match at most. Raises InvalidInput when it cannot be read, saying where."""
    if len(rule) > _LONGEST_RULE:
        raise InvalidInput(f"it has {len(rule)} characters: at most {_LONGEST_RULE} are read")
    reader = _Reader(rule)
    found = _either(reader, 0)
    reader.take("")
    return found


class _Reader:
    """The tokens of a rule, one after another."""

    def __init__(self, rule: str) -> None:
        self._tokens = [(match[0].strip(), match.end() - len(match[0].strip())) for match in _TOKEN.finditer(rule)]
        self._tokens.append(("", len(rule)))
        self._next = 0

    @property
    def word(self) -> str:
        return self._tokens[self._next][0]

    def accept(self, word: str) -> bool:
        if self.word != word:
            return False
        self._next += bool(word)
        return True

    def take(self, word: str) -> None:
        if not self.accept(word):
            raise self.unexpected(f"`{word}`" if word else "its end")

    def take_any(self) -> str:
        word = self.word
        self._next += bool(word)
        return word

    def unexpected(self, wanted: str) -> InvalidInput:
        word, at = self._tokens[self._next]
        found = repr(word[:40]) if word else "the end"
        return InvalidInput(f"it has {found} at character {at + 1}, where {wanted} is expected")


def _either(reader: _Reader, depth: int) -> Bound:
    if depth > _DEEPEST:
        raise InvalidInput(f"it nests deeper than {_DEEPEST} levels")
    parts = [_all(reader, depth)]
    while reader.accept("||"):
        parts.append(_all(reader, depth))
    known = [part for part in parts if part is not None]
    return frozenset[HostPattern]().union(*known) if len(known) == len(parts) else None


def _all(reader: _Reader, depth: int) -> Bound:
    parts = [_one(reader, depth)]
    while reader.accept("&&"):
        parts.append(_one(reader, depth))
    known = [part for part in parts if part is not None]
    return frozenset[HostPattern]().union(*known) if known else None


def _one(reader: _Reader, depth: int) -> Bound:
    if reader.accept("!"):
        _one_deeper(reader, depth)
        return None
    if reader.accept("("):
        found = _either(reader, depth + 1)
        reader.take(")")
        return found
    return _matcher(reader)


def _one_deeper(reader: _Reader, depth: int) -> None:
    if depth > _DEEPEST:
        raise InvalidInput(f"it nests deeper than {_DEEPEST} levels")
    _one(reader, depth + 1)


def _matcher(reader: _Reader) -> Bound:
    if not reader.word.isalpha():
        raise reader.unexpected("a matcher like Host(`www.example.org`)")
    name = reader.take_any().lower()
    reader.take("(")
    texts = list(_texts(reader))
    if name in _HOST:
        return _hosts(texts)
    if name in _REGEXP:
        return frozenset(HostPattern(_literal_end(text), is_below=True) for text in texts)
    return None


def _texts(reader: _Reader) -> Iterable[str]:
    while not reader.accept(")"):
        if not reader.word.startswith(("`", '"')):
            raise reader.unexpected("text in back-ticks")
        quoted = reader.take_any()
        inner = quoted[1:-1]
        yield re.sub(r"\\(.)", r"\1", inner) if quoted.startswith('"') else inner
        if not reader.accept(",") and reader.word != ")":
            raise reader.unexpected("`)`")


def _hosts(texts: list[str]) -> Bound:
    patterns = set[HostPattern]()
    for text in texts:
        plain = text.strip().lower().removesuffix(".")
        if plain == "*":
            return None
        below = plain.startswith("*.")
        patterns.add(HostPattern(plain.removeprefix("*."), is_below=below))
    return frozenset(patterns)


def _literal_end(pattern: str) -> str:
    r"""The domain in which every match of a regular expression ends (`^[a-z]+\.example\.org$` -> `example.org`).

    Raises InvalidInput when it does not end in one. Nothing is ever matched here: expressions that take for ever on
    some host exist, and Traefik's engine knows none of them.
    """
    end = _LITERAL_END.search(pattern)
    if end is None or end.end() != len(pattern) or _has_alternatives(pattern):
        raise InvalidInput(
            f"the regular expression {pattern[:80]!r} does not end in the domain it is for: "
            r"write it like `^[a-z0-9-]+\.example\.org$`"
        )
    return end[0].removesuffix("$").replace("\\.", ".").removeprefix(".").lower()


def _has_alternatives(pattern: str) -> bool:
    """Whether a `|` stands outside all parentheses, or a flag or quotation changes what characters mean."""
    depth, in_class = 0, False
    for sign in re.findall(r"\\.|\(\?:|\(\?|[\[\]()|]|[^\\\[\]()|]+", pattern, re.DOTALL):
        if sign in ("\\Q", "\\E", "(?") or (sign == "|" and not in_class and depth == 0):
            return True
        if sign == "[":
            in_class = True
        elif sign == "]":
            in_class = False
        elif not in_class:
            depth += sign.startswith("(") - (sign == ")")
    return False
