"""Traefik's certificate stores as text: read, checked, and written anew as Traefik takes them.

    {"<certificate resolver>": {
        "Account": {"Email", "Registration", "PrivateKey": base64 of PKCS #1, DER},
        "Certificates": [{"domain": {"main", "sans"}, "certificate": base64 of PEM, "key": base64 of PEM, "Store"}]}}

Traefik writes them in place, so a crash leaves a part of one; and it passes over one that it cannot read, with a line
in its log and no other sign. Of a damaged store everything whole is read: no more is lost than was damaged.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.model import certificates
from appliance.model.certificates import StoredCertificate
from appliance.model.errors import InvalidInput

_ENTRY = re.compile(r'\{\s*"domain"\s*:')
_DOMAIN = re.compile(r'"domain"\s*:\s*\{[^}]*')
_NAME = re.compile(r'"((?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)"')
_ACCOUNT = re.compile(r'"Account"\s*:\s*')


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate as it stands in a store, whole or not."""

    asked: tuple[str, ...]
    """The names it was asked for, the main one first; none where that cannot be read."""
    content: Any = field(repr=False)
    certificate: StoredCertificate | None = field(repr=False)
    """None: it is damaged, and `fault` says how."""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """What a store's text holds for one certificate resolver."""

    resolver: str
    entries: tuple[Entry, ...] = ()
    account: Any = field(default=None, repr=False)
    """The account as it stands there, None without one or with a damaged one."""
    fault: str = ""
    """What is wrong with the text as a whole; `entries` are then those that could be read all the same."""
    account_fault: str = ""
    mentioned: frozenset[str] = frozenset()
    """Every name that certificates were asked for, those of damaged ones included."""

    @property
    def certificates(self) -> tuple[StoredCertificate, ...]:
        """Those that are whole."""
        return tuple(entry.certificate for entry in self.entries if entry.certificate is not None)

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is wrong with it, in words; none: it is whole."""
        own = [f"{' and '.join(entry.asked) or 'an entry'}: {entry.fault}" for entry in self.entries if entry.fault]
        return tuple(fault for fault in (self.fault, self.account_fault, *own) if fault)

    def without(self, dropped: frozenset[tuple[str, ...]]) -> "Store":
        """The store without the certificates that were asked for by exactly these names."""
        kept = tuple(entry for entry in self.entries if entry.asked not in dropped)
        return Store(self.resolver, kept, self.account)

    def text(self) -> str:
        """The store as Traefik writes it."""
        entries = [entry.content for entry in self.entries]
        return json.dumps({self.resolver: {"Account": self.account, "Certificates": entries or None}}, indent=2)


def read(raw: bytes, resolver: str, known: Iterable[Entry] = ()) -> Store:
    """What is in a store's text. Never raises: what is wrong stands in the value.

    `known` are entries of the same resolver that were checked before; the same ones are not checked again.
    """
    try:
        document = _document(raw)
        section = _section(document, resolver)
        contents = _list(section.get("Certificates"))
    except InvalidInput as error:
        return _salvaged(raw, resolver, str(error))
    fault = "" if len(document) == 1 else f"it has sections besides `{resolver}`'s"
    account, account_fault = _judged_account(section.get("Account"))
    checked = {entry.asked: entry for entry in known if entry.asked}
    entries = tuple(_entry(content, resolver, checked) for content in contents)
    mentioned = frozenset(name for entry in entries for name in entry.asked)
    return Store(resolver, entries, account, fault, account_fault, mentioned)


def names_in(document: Any) -> tuple[str, ...]:
    """The names that a `domain` of a store asks for, the main one first. Raises InvalidInput."""
    main, sans = _mapping(document, "a domain").get("main"), document.get("sans")
    names = ([main] if main else []) + _list(sans)
    if not names or not all(isinstance(name, str) for name in names):
        raise InvalidInput("it does not say which names it is for")
    return tuple(names)


def _document(raw: bytes) -> Mapping[str, Any]:
    if not raw.strip():
        raise InvalidInput("it is empty")
    try:
        return _mapping(json.loads(raw), "it")
    except (ValueError, RecursionError) as error:
        raise InvalidInput("it is cut off or damaged (no valid JSON)") from error


def _section(document: Mapping[str, Any], resolver: str) -> Mapping[str, Any]:
    if resolver not in document:
        raise InvalidInput(f"it is not the store of `{resolver}`: it has no such section")
    return _mapping(document[resolver], "its section")


def _entry(content: Any, resolver: str, checked: Mapping[tuple[str, ...], Entry] | None = None) -> Entry:
    asked: tuple[str, ...] = ()
    try:
        mapping = _mapping(content, "it")
        asked = names_in(mapping.get("domain"))
        if checked and asked in checked and checked[asked].content == content:
            return checked[asked]
        chain, key = (_base64(mapping.get(name), f"its {name}") for name in ("certificate", "key"))
        return Entry(asked, content, certificates.check(resolver, asked, chain, key))
    except InvalidInput as error:
        return Entry(asked, content, None, str(error))


def _judged_account(found: Any) -> tuple[Any, str]:
    """An account if it is whole, and what is wrong with it. No account yet is fine."""
    if found is None:
        return None, ""
    try:
        certificates.check_account_key(_base64(_mapping(found, "its account").get("PrivateKey"), "its account's key"))
    except InvalidInput as error:
        return None, str(error)
    return found, ""


def _salvaged(raw: bytes, resolver: str, fault: str) -> Store:
    """What is whole in a damaged text, if that was the store of `resolver`."""
    text = raw.decode("utf-8", "replace")
    if not re.match(rf'\s*\{{\s*"{re.escape(resolver)}"\s*:', text):
        return Store(resolver, fault=fault)
    mentioned = frozenset(name for found in _DOMAIN.finditer(text) for name in _NAME.findall(found[0]))
    entries = tuple(_entry(content, resolver) for content in _values(text, _ENTRY, lambda found: found.start()))
    account = next((_judged_account(found)[0] for found in _values(text, _ACCOUNT, lambda found: found.end())), None)
    return Store(resolver, tuple(entry for entry in entries if entry.certificate), account, fault, "", mentioned)


def _values(text: str, pattern: re.Pattern[str], at: Callable[[re.Match[str]], int]) -> Iterator[Any]:
    """The whole JSON values where `pattern` says that one begins."""
    decoder = json.JSONDecoder()
    for found in pattern.finditer(text):
        try:
            yield decoder.raw_decode(text, at(found))[0]
        except (ValueError, RecursionError):
            continue


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} has the wrong form")
    return value


def _list(value: Any) -> list[Any]:
    """A list, which Go writes as null when it is empty."""
    if not isinstance(value, list | None):
        raise InvalidInput("a list in it has the wrong form")
    return value or []


def _base64(value: Any, what: str) -> bytes:
    try:
        return base64.b64decode(value if isinstance(value, str) else "", validate=True) or _nothing(what)
    except binascii.Error as error:
        raise InvalidInput(f"{what} is damaged (no valid base64)") from error


def _nothing(what: str) -> bytes:
    raise InvalidInput(f"{what} is missing")
