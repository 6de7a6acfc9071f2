"""Counts the answers of the admin API, as one of its metrics."""

import threading
from collections import Counter
from collections.abc import Iterable

from appliance.model.measures import Family, Sample

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})


class Tallies:
    """Answers by method and status. Safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, int]] = Counter()

    def answered(self, method: str, status: int) -> None:
        """Count one. Methods that nobody knows count as one, so that strangers cannot make up series."""
        with self._lock:
            self._counts[method if method in _METHODS else "other", status] += 1

    def families(self) -> Iterable[Family]:
        """The answers as a metric."""
        with self._lock:
            counts = sorted(self._counts.items())
        samples = (Sample(count, {"method": method, "code": str(code)}) for (method, code), count in counts)
        return [Family("gateway_admin_requests_total", tuple(samples))]
