"""The change from `gateway run`, which prepares, to supervisord, which stays: in the same process, with the same pid.

What the preparation has imported is twice of what supervisord needs, and Python gives nothing of it back. So the
process replaces its program by a small one. Signals that come meanwhile wait until supervisord listens to them.
"""

import os
import signal
import sys
from typing import Final, NoReturn

from appliance.layout import Root

EXIT_FATAL: Final = 70
LOCK_DESCRIPTOR: Final = 3
"""supervisord closes descriptors from 5 up when it reloads on SIGHUP; the lock must survive that, and the change."""
TEXT: Final = "--text"
_FRUGAL: Final = {"MALLOC_ARENA_MAX": "1"}
"""For all programs but Traefik, which has no use for it. Of all threads one at a time runs Python: heaps of their own
would let none of them go faster, and leave gaps in each.
"""
_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})
"""What supervisord has handlers for."""


def become_supervisord(root: Root, *, is_text: bool) -> NoReturn:
    """Everything is prepared, and the lock held on `LOCK_DESCRIPTOR`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    os.set_inheritable(LOCK_DESCRIPTOR, True)
    options = [TEXT] if is_text else []
    arguments = [sys.executable, "-P", "-m", "appliance.launch", str(root.path), *options]
    os.execve(sys.executable, arguments, {**_FRUGAL, **os.environ})


def take_signals() -> bool:
    """Now that supervisord listens: what came meanwhile comes now. Whether it is an end."""
    is_end = not signal.sigpending().isdisjoint(_SIGNALS - {signal.SIGHUP})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    return is_end
