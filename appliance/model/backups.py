"""What a backup may hold, and how each part of it is judged before any of it is believed.

A backup is a plain tar file: `manifest.json` first, then the parts that it names with size and digest. Nothing of a
backup is trusted because of where it comes from: a name that is not in the table below is refused, and so is content
that the running appliance would not take from anybody else.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.model import certificate_stores, documents, fragments, state_formats, workloads
from appliance.model.errors import GatewayError, InvalidInput, Refused

FORMAT = 1
MANIFEST = "manifest.json"
SETTINGS = "gateway.yaml"
LARGEST_BYTES = 512 * 1024 * 1024
"""Of a whole backup: what fits into memory while it is checked."""
MOST_MEMBERS = 100_000
_KIND = "gateway-appliance-backup"
_LARGEST_STORE_BYTES = 128 * 1024 * 1024
_LARGEST_SETTINGS_BYTES = 1024 * 1024
_RESOLVERS = {"traefik/acme.json": "resolver", "traefik/acme2.json": "dnsresolver"}


@dataclass(frozen=True, slots=True)
class Part:
    """A kind of member: what it is called in plain words, which names it has, how large it may be, who judges it.

    `check` is given the name's own part (between folder and ending) and the content; it raises GatewayError.
    """

    kind: str
    name: re.Pattern[str]
    largest_bytes: int
    check: Callable[[str, bytes], object]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `members`: name -> (bytes, SHA-256 in hex)."""

    state_format: int
    version: str
    created: str
    members: Mapping[str, tuple[int, str]]


def manifest(contents: Mapping[str, bytes], *, version: str, created: str) -> bytes:
    """The manifest over these members, as it stands in the backup."""
    return json.dumps(
        {
            "kind": _KIND,
            "format": FORMAT,
            "state_format": state_formats.CURRENT,
            "version": version,
            "created": created,
            "members": {
                name: {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()} for name, raw in contents.items()
            },
        },
        indent=1,
    ).encode()


def parse_manifest(raw: bytes) -> Manifest:
    """What a manifest says. Raises InvalidInput or Refused when it is none, or newer than this version."""
    document = _json_object(raw, MANIFEST)
    if document.get("kind") != _KIND:
        raise InvalidInput(f"{MANIFEST} is not that of a backup of a gateway")
    if document.get("format") != FORMAT:
        raise InvalidInput(
            f"the backup has format {str(document.get('format'))[:20]!r}, and this version of the appliance reads "
            f"{FORMAT}: restore it with the version that made it"
        )
    try:
        found = Manifest(
            state_format=state_formats.parse(str(document["state_format"])),
            version=str(document["version"])[:100],
            created=str(document["created"])[:100],
            members={
                str(name): (int(item["bytes"]), str(item["sha256"])) for name, item in document["members"].items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{MANIFEST} cannot be read: {error!r}") from error
    try:
        state_formats.steps(found.state_format)
    except Refused as error:
        raise Refused(f"the backup: {error}") from error
    return found


def part_of(name: str) -> Part:
    """The kind of a member. Raises InvalidInput for a name that no backup holds."""
    for part in PARTS:
        if part.name.fullmatch(name):
            return part
    raise InvalidInput(f"the backup holds {name[:120]!r}, which is no part of a gateway: it was not made by `backup`")


def check_content(name: str, raw: bytes) -> None:
    """Judge a member as the running appliance would. Raises InvalidInput, naming the member."""
    part = part_of(name)
    own = name.rpartition("/")[2].removesuffix(".yaml")
    try:
        if len(raw) > part.largest_bytes:
            raise InvalidInput(f"it has {len(raw)} bytes: at most {part.largest_bytes} are taken")
        part.check(own, raw)
    except GatewayError as error:
        raise InvalidInput(f"{name}: {error}") from error


def check_whole(found: Manifest, contents: Mapping[str, bytes]) -> None:
    """Hold the members against the manifest. Raises InvalidInput for what is missing, too much or damaged."""
    for name in found.members.keys() ^ contents.keys():
        where = "is missing from" if name in found.members else "is not in the manifest of"
        raise InvalidInput(f"{name[:120]!r} {where} the backup: it was cut off or changed")
    for name, raw in contents.items():
        if (len(raw), hashlib.sha256(raw).hexdigest()) != found.members[name]:
            raise InvalidInput(f"{name} is not as it was backed up: the backup is damaged")


def certificates(contents: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """(first name, serial number in hex) of every certificate in the stores among checked members."""
    found = (certificate_stores.read(raw, _RESOLVERS[name]) for name, raw in contents.items() if name in _RESOLVERS)
    return [(item.main, item.serial) for store in found for item in store.certificates]


def without_programs(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings without those that name a program to run, and the keys that were taken out.

    Whoever can hand an operator a backup must not thereby choose what runs on the host.
    """
    kept, taken = dict(settings), list[str]()
    for section, key in (("traefik", "binary"), ("alerts", "command")):
        inner = kept.get(section)
        if isinstance(inner, dict) and key in inner:
            kept[section] = {name: value for name, value in inner.items() if name != key}
            taken.append(f"{section}.{key}")
    return kept, taken


def _check_workload(identity: str, raw: bytes) -> None:
    workloads.parse(identity, documents.parse(raw))


def _check_settings(_: str, raw: bytes) -> None:
    documents.mapping(documents.parse(raw, _LARGEST_SETTINGS_BYTES) or {}, "the settings file")


def _check_store(own: str, raw: bytes) -> None:
    faults = certificate_stores.read(raw, _RESOLVERS[f"traefik/{own}"]).faults
    if faults:
        raise InvalidInput(faults[0])


def _check_totals(_: str, raw: bytes) -> None:
    accounts = _object(_json_object(raw, "the ledger").get("accounts"), "`accounts`")
    for identity in accounts:
        workloads.workload_id(identity)


def _check_notes(_: str, raw: bytes) -> None:
    """What the appliance noted for itself; it judges the rest when it reads it, and starts anew without."""
    _json_object(raw, "the file")


def _json_object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        return _object(json.loads(raw), what)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not whole JSON") from error


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} is {documents.kind(value)}: it must be a mapping")
    return value


PARTS = (
    Part("settings", re.compile(re.escape(SETTINGS)), _LARGEST_SETTINGS_BYTES, _check_settings),
    Part(
        "workloads",
        re.compile(r"workloads/[A-Za-z0-9][A-Za-z0-9_-]{0,199}\.yaml"),
        documents.LARGEST_DOCUMENT_BYTES,
        _check_workload,
    ),
    Part(
        "accepted versions",
        re.compile(r"state/accepted/[A-Za-z0-9][A-Za-z0-9_-]{0,199}\.yaml"),
        documents.LARGEST_DOCUMENT_BYTES,
        _check_workload,
    ),
    Part(
        "own Traefik files",
        re.compile(r"extra/[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.yaml"),
        fragments.LARGEST_FRAGMENT_BYTES,
        fragments.parse,
    ),
    Part("certificate stores", re.compile(r"traefik/acme2?\.json"), _LARGEST_STORE_BYTES, _check_store),
    Part(
        "notes on certificates",
        re.compile(r"state/(issuance|certificates)\.json"),
        _LARGEST_STORE_BYTES,
        _check_notes,
    ),
    Part("traffic totals", re.compile(r"state/traffic\.json"), _LARGEST_STORE_BYTES, _check_totals),
)
"""Everything that a backup may hold beside its manifest."""
