"""Tallies: what was asked and answered, counted without a lock and without a lookup for each question.

A ready-made reply carries its cell, so counting is one addition. Only the thread they are for adds to its cells.
"""

from collections.abc import Mapping

from appliance.model.answers import Rcode

Cell = list[int]
"""One counter."""

_TYPE_NAMES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 15: "MX", 16: "TXT", 28: "AAAA", 43: "DS", 48: "DNSKEY", 65: "HTTPS",
    251: "IXFR", 252: "AXFR", 255: "ANY", 257: "CAA",
}  # fmt: skip

_WINDOW_SECONDS = 0.02
_FORGOTTEN_SECONDS = 1.0


class Tallies:
    """The counters of one thread, by query type and rcode; types outside the list are counted as `other`."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.dropped = 0
        """Questions left without an answer by rate limiting."""
        self.slipped = 0
        """Questions answered with TC=1 by rate limiting."""
        self.seconds = 0.0
        """Time between the arrival of questions at this process and the departure of their answers, summed."""
        self.timed = 0
        """How many questions that is the sum over."""
        self.slowest_seconds = 0.0
        self._window_began = 0.0
        self._in_window = 0
        self._per_second = 0.0
        self._cells: dict[tuple[str, str], Cell] = {}

    def cell(self, qtype: int, rcode: Rcode) -> Cell:
        """The counter for answers of this kind. As many as there are names: nobody fills memory by asking."""
        return self._cells.setdefault((_TYPE_NAMES.get(qtype, "other"), rcode.name), [0])

    def took(self, started: float, ended: float, questions: int) -> None:
        """`questions` were answered together between these moments (monotonic)."""
        seconds = ended - started
        self.seconds += seconds * questions
        self.timed += questions
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        self._in_window += questions
        lasted = ended - self._window_began
        if lasted >= _WINDOW_SECONDS:
            self._per_second, self._window_began, self._in_window = self._in_window / lasted, ended, 0

    def per_second(self, now: float) -> float:
        """About how many questions came a second lately; `now` is monotonic."""
        return self._per_second if now - self._window_began < _FORGOTTEN_SECONDS else 0.0

    def queries(self) -> Mapping[tuple[str, str, str], int]:
        """(query type, rcode, transport) -> number of answers."""
        return {(qtype, rcode, self.transport): cell[0] for (qtype, rcode), cell in list(self._cells.items())}
