"""Tells when something in a directory changes (watchdog).

inotify    the library's seam
watching   which directories, and what its gaps are made up by
"""

from appliance.adapters.watcher.watching import Watcher

__all__ = ["Watcher"]
