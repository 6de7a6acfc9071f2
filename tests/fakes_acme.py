"""A fake of the Protocol in `control/ports_acme.py`."""

from collections.abc import Callable

from appliance.model.acme_log import Event


class FakeOrderLog:
    """An order log that says what it is told to, on the caller's thread."""

    def __init__(self) -> None:
        self.unreadable = 0
        self._kept: list[Event] = []
        self._on_event: Callable[[Event], None] | None = None

    def start(
        self, on_event: Callable[[Event], None], on_failure: Callable[[BaseException], None], since: float = 0.0
    ) -> None:
        for event in self._kept:
            if event.at >= since:
                on_event(event)
        self._on_event = on_event

    def stop(self) -> None:
        self._on_event = None

    def say(self, event: Event) -> None:
        """What Traefik's log holds from now on."""
        self._kept.append(event)
        if self._on_event is not None:
            self._on_event(event)
