"""The use cases about what is desired: set, delete, show and list workloads, and say what a change would do.

Two callers who change one workload are kept apart here: each change looks at what lies there, judges, and writes, and
nobody else does meanwhile. What an editor does to the files goes unhindered.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.control import forecasts
from appliance.control.applier import Applier
from appliance.control.board import Certified
from appliance.control.forecasts import Forecast, Situation
from appliance.control.ports import WorkloadStore
from appliance.model import versions, workloads
from appliance.model.errors import InvalidInput, NotFound
from appliance.model.listings import Filter, Page
from appliance.model.options import NONE
from appliance.model.standings import WorkloadView
from appliance.model.versions import ANYTHING, Precondition
from appliance.model.workloads import Workload

_KEY_BYTES = 32


class DesiredState:
    """Workloads as they are wished for. Safe to call from any thread; `certified` tells the certificates there are."""

    def __init__(self, applier: Applier, store: WorkloadStore, certified: Callable[[], Certified]) -> None:
        self._applier = applier
        self._store = store
        self._certified = certified
        self._changing = threading.Lock()
        self._key = secrets.token_bytes(_KEY_BYTES)

    def set(
        self, identity: str, document: Mapping[str, Any], timeout_seconds: float, presumed: Precondition = ANYTHING
    ) -> WorkloadView:
        """See `Gateway.set_workload`."""
        with self._changing:  # nobody's options are lost between looking at them and writing
            workload = self._meant(identity, document)
            self._check(identity, presumed)
            cycle = self._applier.admit_one(workload, lambda: self._store.put(workload))
        deadline = time.monotonic() + timeout_seconds
        return self._applier.wait_for_view(workload, cycle, deadline, self._certified())

    def delete(self, identity: str, timeout_seconds: float, presumed: Precondition = ANYTHING) -> tuple[bool, bool]:
        """See `Gateway.delete_proxy`."""
        checked = workloads.workload_id(identity)
        with self._changing:
            self._check(checked, presumed)
            existed, cycle = self._applier.remove_one(checked, lambda: self._store.remove(checked))
        return existed, self._applier.wait(checked, cycle, time.monotonic() + timeout_seconds)

    def get(self, identity: str) -> WorkloadView:
        """One workload, as of the last change, whether or not a cycle has seen it. Raises NotFound."""
        board, certified = self._applier.board, self._certified()
        if workloads.is_id(identity):
            present = self._store.read([identity])[identity]
            if present is not None and isinstance(present.content, Workload):
                return board.view_of(present.content, certified)
            if present is None and not self._applier.is_held(identity):
                raise _not_found(identity)
        found = board.view(identity, certified)
        if found is None:
            raise _not_found(identity)
        return found

    def version(self, view: WorkloadView) -> str:
        """The entity tag of what a view shows."""
        return versions.tag(view.content, self._key)

    def page(self, wanted: Filter, token: str | None, limit: int) -> Page:
        """A part of all workloads, by id. Raises InvalidInput for a token of no page."""
        return self._applier.board.page(self._certified(), wanted, token, limit)

    def forecast(self, documents: Mapping[str, Any], deletions: Sequence[str]) -> Forecast:
        """What it would do to delete these, and then to set those one after the other. Changes nothing."""
        rules, resolutions, holders = self._applier.board.rules()
        named = {identity for identity in (*documents, *deletions) if workloads.is_id(identity)}
        found = {identity: item for identity, item in self._store.read(named).items() if item is not None}
        present = {identity: _text(item.content) for identity, item in found.items()}
        situation = Situation(rules, resolutions, holders, present)
        return forecasts.forecast(documents, deletions, situation, self._meant, _text)

    def _meant(self, identity: str, document: Any) -> Workload:
        """The workload that a document means, with the options it has when the document says nothing of them."""
        return self._with_kept_options(workloads.parse(identity, document), document)

    def _check(self, identity: str, presumed: Precondition) -> None:
        if not presumed.is_empty:
            found = self._store.read([identity])[identity]
            content = found.content if found is not None and isinstance(found.content, Workload) else None
            presumed.check(identity, None if found is None else versions.tag(content, self._key))

    def _with_kept_options(self, workload: Workload, document: Mapping[str, Any]) -> Workload:
        if document.get("options") is not None:
            return workload
        present = self._store.read([workload.id])[workload.id]
        content = present.content if present is not None else None
        known = content if isinstance(content, Workload) else self._applier.board.served(workload.id)
        if present is None or known is None or known.options == NONE:
            return workload
        try:
            return workloads.parse(workload.id, workload.document() | {"options": known.options.document()})
        except InvalidInput as error:
            raise InvalidInput(
                f"the workload's present options do not go with this: {error}; "
                "say which `options` are meant from now on ({} for none)"
            ) from error


def _text(content: Workload | InvalidInput) -> str:
    """What a workload compares by; nothing is like a file that cannot be read."""
    return json.dumps(content.document(), sort_keys=True) if isinstance(content, Workload) else ""


def _not_found(identity: str) -> NotFound:
    return NotFound(f"there is no workload {identity}: `gateway route list` shows those there are")
