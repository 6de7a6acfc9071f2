"""The settings in force, and the file they come from: taken over when it changes, if it can be.

Knows nothing of the parts that are built from settings.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from appliance import logs, settings
from appliance.adapters import processes
from appliance.model.errors import GatewayError, InvalidSettings
from appliance.settings import Settings, meaning

log = logs.logger(__name__)


class Configuration:
    """Reads the settings; raises GatewayError when there are none to begin with.

    `find` is asked again and again: a settings file may appear later, in a place that goes before.
    """

    def __init__(self, find: Callable[[], Path], environment: Mapping[str, str]) -> None:
        self._find = find
        self._environment = environment
        self.path = find()
        """The file that is read, whether it is there or not."""
        self._signature = _signature(self.path)
        self.settings = settings.load(self.path, environment)
        """What is in force."""
        self.problem: str | None = None
        """Why the file as it is now is not in force; None when it is."""
        self.is_restart_due = False
        """Whether something was changed that is read at the start only."""
        self._is_look_due = False

    def touched(self) -> None:
        """Somebody touched the file: the next `refresh` reads it, even if it looks the same from outside."""
        self._is_look_due = True

    def refresh(self) -> Settings | None:
        """Take a changed file over. The settings that were in force until now, if others are from now on; else None.

        Wrong ones change nothing but `problem`, and are reported.
        """
        path = self._find()
        signature = _signature(path)
        if not self._is_look_due and (path, signature) == (self.path, self._signature):
            return None
        self._is_look_due = False
        self.path, self._signature = path, signature
        try:
            fresh = settings.load(path, self._environment)
            self._check(fresh)
        except GatewayError as error:
            if self.problem != str(error):
                log.error("settings not taken over: the ones before stay in force", reason=str(error))
            self.problem = str(error)
            return None
        self.problem = None
        if fresh == self.settings:
            return None
        # First the one and then the other: `status` looks at any time, and must not praise what is about to go away.
        self.is_restart_due |= meaning.read_once(fresh) != meaning.read_once(self.settings)
        before, self.settings = self.settings, fresh
        return before

    def _check(self, fresh: Settings) -> None:
        """Raise GatewayError when these settings could not be started with: better kept out than found out."""
        meaning.zones(fresh)
        meaning.rate_limit(fresh)
        obstacles = processes.obstacles(processes.listening(fresh), processes.listening(self.settings))
        if obstacles:
            raise InvalidSettings("; ".join(obstacles))


def _signature(path: Path) -> tuple[int, ...] | None:
    """What changes whenever a file does, also where nobody can watch it; None: it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
