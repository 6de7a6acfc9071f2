"""The ledger of traffic in one JSON file, `state/traffic.json`. Keeps `control.ports.TrafficStore`.

It is synced to the disk before it takes the old one's place: totals are what somebody is billed by, and must survive a
host that loses power. A file that cannot be read is set aside, so that a person can look at it and counting goes on.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from appliance import atomic, logs
from appliance.model.errors import InvalidInput, Unavailable
from appliance.model.traffic import Account, Carried, Former, Ledger
from appliance.model.workloads import workload_id

log = logs.logger(__name__)

FORMAT = 1
"""Version of the format. A file of another one is set aside like a corrupt one, not guessed at."""


class TrafficFiles:
    """Keeps the ledger in `path`, mode 0600; what cannot be read goes to `quarantine`."""

    def __init__(self, path: Path, quarantine: Path) -> None:
        self._path = path
        self._quarantine = quarantine
        self._told: Mapping[str, Account] = {}
        self._texts: dict[str, str] = {}
        """Each account as it was `told` last."""

    def load(self) -> tuple[Ledger, float | None]:
        """The ledger and when it was saved (Unix time); an empty one and None without a usable file.

        Raises Unavailable when the disk refuses.
        """
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return Ledger(), None
        except OSError as error:
            raise Unavailable(f"cannot read {self._path}: {error.strerror}") from error
        try:
            return _parse(raw)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidInput) as error:
            self._set_aside(error)
            return Ledger(), None

    def save(self, ledger: Ledger, now: float) -> None:
        """Replace what is stored, atomically and synced. Raises Unavailable when the disk refuses."""
        document = {
            "format": FORMAT,
            "saved": now,
            "process": ledger.process,
            "kernel": ledger.kernel,
            "flows": {str(cookie): _shown(carried) for cookie, carried in ledger.flows.items()},
            "former": [[*endpoint, one.identity, one.until] for endpoint, one in ledger.former.items()],
        }
        try:
            atomic.write(self._path, f'{_json(document)[:-1]},"accounts":{self._accounts(ledger)}}}')
            atomic.sync_directory(self._path.parent)
        except OSError as error:
            raise Unavailable(f"cannot write {self._path}: {error.strerror}") from error

    def _accounts(self, ledger: Ledger) -> str:
        """The accounts as JSON. One that did not change is not told anew: there may be ten thousand."""
        before, accounts = self._told, ledger.accounts
        for identity in [it for it, account in accounts.items() if before.get(it) is not account]:
            self._texts[identity] = f"{_json(identity)}:{_json(_shown(accounts[identity]))}"
        for identity in before.keys() - accounts.keys():
            del self._texts[identity]
        self._told = accounts
        return "{" + ",".join(self._texts.values()) + "}"

    def _set_aside(self, reason: Exception) -> None:
        try:
            target = atomic.set_aside(self._path, self._quarantine)
        except OSError as error:
            raise Unavailable(f"cannot set the unreadable {self._path} aside: {error.strerror}") from error
        log.error(
            "the traffic totals could not be read and were set aside; counting begins anew",
            moved_to=str(target),
            reason=repr(reason),
        )


def _parse(raw: bytes) -> tuple[Ledger, float]:
    document = json.loads(raw)
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}, this version reads {FORMAT}")
    process = document["process"]
    ledger = Ledger(
        accounts={workload_id(identity): _account(entry) for identity, entry in document["accounts"].items()},
        process=None if process is None else _moment(process),
        kernel=_text(document["kernel"]),
        flows={_count(int(cookie)): _carried(entry) for cookie, entry in document["flows"].items()},
        former={
            (_text(address), _count(port)): Former(_text(identity), _moment(until))
            for address, port, identity, until in document["former"]
        },
    )
    return ledger, _moment(document["saved"])


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _shown(value: Account | Carried) -> dict[str, Any]:
    """The fields as they are: `asdict` would copy them deeply, which costs more than all the rest."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _account(entry: Mapping[str, Any]) -> Account:
    deleted = entry["deleted"]
    return Account(
        host=_text(entry["host"]),
        tls_passthrough=bool(entry["tls_passthrough"]),
        request_bytes=_count(entry["request_bytes"]),
        response_bytes=_count(entry["response_bytes"]),
        requests={_text(name): _count(value) for name, value in entry["requests"].items()},
        seen={_text(name): _count(value) for name, value in entry["seen"].items()},
        unmeasured=_text(entry["unmeasured"]),
        incomplete=_text(entry["incomplete"]),
        deleted=None if deleted is None else _moment(deleted),
    )


def _carried(entry: Mapping[str, Any]) -> Carried:
    gone = entry["gone"]
    return Carried(
        _text(entry["identity"]),
        _count(entry["sent_bytes"]),
        _count(entry["received_bytes"]),
        None if gone is None else _moment(gone),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _moment(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no moment")
    return float(value)
