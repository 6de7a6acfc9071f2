"""Fakes of what the issuance governor stands on."""

from collections.abc import Iterable, Mapping

from appliance.control.lookups import Watch
from appliance.control.ports_issuance import Circumstances
from appliance.model import resolution
from appliance.model.backends import Address
from appliance.model.issuance import WILDCARD, Record


class FakePreflights:
    """Looks at addresses only; `obstacles` (subject -> why) stand against an order whatever the addresses say."""

    def __init__(self, watch: Watch | None = None, here: frozenset[Address] = frozenset()) -> None:
        self._watch = watch
        self._here = here
        self.obstacles: dict[str, str] = {}
        self.is_certain = True
        self.seen = "all is well"
        self.checked: list[str] = []
        self.doubts = 0

    def check(self, subject: str) -> Circumstances:
        self.checked.append(subject)
        obstacle = self.obstacles.get(subject)
        is_certain = obstacle is None or self.is_certain
        if obstacle is None and self._watch is not None and not subject.startswith(WILDCARD):
            answer = self._watch.answer(subject)
            obstacle = resolution.obstacle(subject, answer, self._here)
            is_certain = answer is not None and answer.is_certain
        return Circumstances(obstacle, is_certain, obstacle or self.seen)

    def doubt_authority(self) -> None:
        self.doubts += 1


class FakeIssuanceStore:
    """In memory."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.spent: tuple[float, ...] = ()

    def load(self) -> tuple[dict[str, Record], tuple[float, ...]]:
        return dict(self.records), self.spent

    def save(self, records: Mapping[str, Record], spent: tuple[float, ...]) -> None:
        self.records, self.spent = dict(records), spent


class FakeRehearsals:
    """Remembers who is to be rehearsed."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, subjects: Iterable[str]) -> None:
        self.asked += subjects
