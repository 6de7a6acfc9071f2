"""Fakes of the Protocols about fragments: the same promises, kept in memory."""

import threading
from collections.abc import Callable, Mapping, Sequence

from appliance.model import fragments
from appliance.model.errors import GatewayError, Unavailable
from appliance.model.fragments import Complaint, Fragment


class FakeFragmentStore:
    """`extra/` in a dict of texts; `kept` outlives a restart."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.kept: dict[str, Fragment] = {}

    def load(self) -> Mapping[str, Fragment | GatewayError]:
        return {name: _read(name, text) for name, text in sorted(self.texts.items())}

    def accepted(self) -> Mapping[str, Fragment]:
        return dict(self.kept)

    def keep(self, accepted: Mapping[str, Fragment]) -> None:
        self.kept = dict(accepted)


class FakeTrial:
    """A Traefik that finds fault by a function of the names and texts it is given; `asked` are the names, in order."""

    def __init__(self, fault: Callable[[Mapping[str, str]], Sequence[Complaint]] = lambda _: ()) -> None:
        self.fault = fault
        self.asked: list[tuple[str, ...]] = []
        self.silent = False
        self._lock = threading.Lock()

    def complaints(self, fragments: Sequence[Fragment]) -> Sequence[Complaint]:
        with self._lock:
            self.asked.append(tuple(sorted(fragment.name for fragment in fragments)))
        if self.silent:
            raise Unavailable("the trial does not answer (it is a fake that was told to be silent)")
        return self.fault({fragment.name: fragment.text for fragment in fragments})


def _read(name: str, text: str) -> Fragment | GatewayError:
    try:
        return fragments.parse(name, text.encode())
    except GatewayError as error:
        return error
