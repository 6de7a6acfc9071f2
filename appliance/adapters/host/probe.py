"""Everything about this host and one root, as the doctor asks for it."""

from collections.abc import Iterable, Sequence

from appliance.adapters.host import limits, listeners, programs, rooms
from appliance.layout import Root
from appliance.model.accounts import Account
from appliance.model.host import Files, Filesystem, Inotify, Privileges
from appliance.model.ports import Holder, Own


class HostProbe:
    """Looks at the host that it runs on. Keeps `control.outside.Host`."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def holders(self, ports: Iterable[int]) -> Sequence[Holder]:
        """See `Host.holders`."""
        return listeners.holders(ports)

    def own(self) -> Own:
        """See `Host.own`."""
        return listeners.own(self._root)

    def filesystem(self) -> Filesystem:
        """See `Host.filesystem`."""
        return rooms.filesystem(self._root)

    def files(self) -> Files:
        """See `Host.files`."""
        return rooms.files(self._root)

    def inotify(self) -> Inotify:
        """See `Host.inotify`."""
        return limits.inotify()

    def privileges(self) -> Privileges:
        """See `Host.privileges`."""
        return limits.privileges(self._root)

    def traefik_version(self, name: str) -> tuple[str | None, str | None]:
        """See `Host.traefik_version`."""
        return programs.traefik_version(name)

    def account(self, resolver: str) -> Account | None:
        """See `Host.account`."""
        store = {"resolver": "acme.json"}.get(resolver, "acme2.json")
        return programs.account(self._root.traefik / store, resolver)

    def workloads(self) -> int:
        """See `Host.workloads`."""
        try:
            return sum(path.suffix == ".yaml" for path in self._root.workloads.iterdir())
        except OSError:
            return 0

    def mend(self) -> Sequence[str]:
        """See `Host.mend`."""
        return rooms.mend(self._root)
