"""Several sources of files that are wanted in Traefik's directory beside the routes', as one."""

from collections.abc import Mapping
from types import MappingProxyType

from appliance.control.ports import Additions

Files = Mapping[str, str]


class Together:
    """Keeps `control.ports.Additions`. Of two files of one name the first source's counts."""

    def __init__(self, *sources: Additions) -> None:
        self._sources = sources
        self._parts: tuple[Files, ...] = ()
        self._files: Files = {}

    def files(self) -> Files:
        """See `Additions.files`."""
        parts = tuple(source.files() for source in self._sources)
        if [id(part) for part in parts] != [id(part) for part in self._parts]:
            self._parts = parts
            self._files = MappingProxyType({name: text for part in reversed(parts) for name, text in part.items()})
        return self._files

    def written(self, files: Files) -> None:
        """See `Additions.written`."""
        if files is self._files:
            for source, part in zip(self._sources, self._parts, strict=True):
                source.written(part)
