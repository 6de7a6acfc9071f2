"""Takes in what has changed since the last cycle, whoever said so: files, look-ups, verdicts, rules, rejections.

It collects causes and brings them into the register when a cycle begins. Used under the applier's lock.
"""

from collections.abc import Iterable

from appliance.control.chronicle import Chronicle
from appliance.control.decisions import Decisions
from appliance.control.lookups import Watch
from appliance.control.reading import Reading
from appliance.control.rejections import Rejections
from appliance.model.admission import Gateway
from appliance.model.register import Register


class Intake:
    """Keeps what is yet to be taken in."""

    def __init__(
        self,
        *,
        register: Register,
        reading: Reading,
        rejections: Rejections,
        decisions: Decisions,
        watch: Watch,
        chronicle: Chronicle,
    ) -> None:
        self._register = register
        self._reading = reading
        self._rejections = rejections
        self._decisions = decisions
        self._watch = watch
        self._chronicle = chronicle
        self._moved_hosts: set[str] = set()
        self._judged_subjects: set[str] = set()
        self._new_rules: Gateway | None = None

    @property
    def rules(self) -> Gateway:
        """The rules of admission, those included that no cycle has seen yet."""
        return self._new_rules or self._register.gateway

    def reconfigure(self, gateway: Gateway) -> None:
        """Admit by these rules from the next cycle on."""
        if gateway != self._register.gateway or self._new_rules is not None:
            self._new_rules = gateway

    def moved(self, hosts: Iterable[str]) -> None:
        """These hosts resolve to something else now."""
        self._moved_hosts.update(hosts)

    def judged(self, subjects: Iterable[str]) -> None:
        """The verdict about these certificates is another one now."""
        self._judged_subjects.update(subjects)

    def take(self) -> set[str]:
        """Everything that changed, into the register; the ids to decide about anew."""
        register = self._register
        touched = self._rejections.take()
        if self._new_rules is not None:
            touched |= register.reconfigure(self._new_rules)
            self._new_rules = None
        if self._moved_hosts:
            touched |= register.resolve(self._watch.known(), self._moved_hosts)
            self._moved_hosts.clear()
        if self._judged_subjects:
            touched |= self._decisions.users(self._judged_subjects)
            self._judged_subjects.clear()
        before = dict(register.refused)
        touched |= register.update(self._reading.take(register.desired, register.routes.keys()))
        self._chronicle.judged(before, register.refused)
        self._chronicle.taken_in(touched)
        return touched
