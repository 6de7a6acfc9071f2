"""Remembers the version of each workload that Traefik served last: it is the one to fall back to (decision 0006)."""

import contextlib
import itertools
import threading
from collections.abc import Collection

from appliance import logs
from appliance.control.ports import AcceptedStore
from appliance.model.errors import Unavailable
from appliance.model.register import Register

log = logs.logger(__name__)

_AT_ONCE = 50


class AcceptedVersions:
    """Keeps the store in step with the register. Used under the applier's lock, but for `remember_rest`."""

    def __init__(self, store: AcceptedStore, register: Register) -> None:
        self._store = store
        self._register = register

    def restore(self) -> None:
        """Give the hosts to who had them last. Before anything else."""
        accepted = self._store.load()
        self._register.restore(accepted, accepted.keys())

    def remember_some(self, identities: Collection[str]) -> None:
        """Traefik serves the versions of these that are live now. Of many, `remember_rest` is for the rest."""
        for identity in itertools.islice(identities, _AT_ONCE):
            self._remember(identity)

    def remember_rest(self, identities: Collection[str], lock: threading.Condition) -> None:
        """Remember those of the same `identities` that `remember_some` has not.

        Takes `lock` for a few at a time: at a first start these are all there are, each is a file, and nobody waits for
        them.
        """
        left = itertools.islice(identities, _AT_ONCE, None)
        while portion := tuple(itertools.islice(left, _AT_ONCE)):
            with lock:
                self.remember_some(portion)

    def _remember(self, identity: str) -> None:
        route = self._register.routes.get(identity)
        if route is None or self._store.get(identity) == route.workload:
            return
        try:
            self._store.put(route.workload)
        except Unavailable as error:
            log.warning("accepted version not remembered", workload=identity, reason=str(error))

    def forget(self, identity: str) -> None:
        """The workload is gone."""
        if self._store.get(identity) is not None:
            with contextlib.suppress(Unavailable):  # it is left out at the next start, for its file is gone
                self._store.remove(identity)
