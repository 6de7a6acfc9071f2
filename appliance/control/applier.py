"""Brings the desired state to Traefik: one thread, one cycle.

read what changed -> judge it -> write the difference -> ask Traefik whether it serves it

Every cause (a changed file, a call, an answer from a name server) only asks for a cycle, so causes that come together
are one cycle. The first change after a quiet time is written at once; while Traefik still works on the last write,
changes gather, because each write costs it a reload of everything. Now and then all is compared with all, so a lost
event costs a delay, never a state.
"""

import threading
import time
from collections.abc import Callable, Iterable

from appliance import logs
from appliance.control.accepted import AcceptedVersions
from appliance.control.board import Board, Certified
from appliance.control.chronicle import Chronicle
from appliance.control.confirmation import Answers, Confirmation
from appliance.control.decisions import Decisions, certificates_for
from appliance.control.events import Events
from appliance.control.intake import Intake
from appliance.control.issuance import Issuance
from appliance.control.lookups import Watch
from appliance.control.pace import Pace
from appliance.control.ports import AcceptedStore, Additions, Proxy, RouteFiles, Trial, WorkloadStore
from appliance.control.reading import Reading
from appliance.control.rejections import Rejections
from appliance.control.routes import Routes
from appliance.control.traffic import Traffic
from appliance.model import admission
from appliance.model.admission import Gateway
from appliance.model.issuance import WILDCARD
from appliance.model.measures import Family
from appliance.model.register import Register
from appliance.model.standings import WorkloadView
from appliance.model.steps import Steps
from appliance.model.workloads import Workload

log = logs.logger(__name__)

_RECHECK_SECONDS = 60.0
_RECHECK_SECONDS_PER_ROUTE = 0.03
"""How often everything is compared again although nothing asked for it: less often where it is much."""
_RETRY_SECONDS = 2.0
"""How soon what could not be written is tried again."""


class Applier:
    """The desired state's way to Traefik. `start()` returns after the first cycle; `stop()` joins."""

    def __init__(  # noqa: PLR0913  the parts it directs; only the composition root calls this
        self,
        *,
        workloads: WorkloadStore,
        accepted: AcceptedStore,
        files: RouteFiles,
        proxy: Proxy,
        watch: Watch,
        traffic: Traffic,
        issuance: Issuance,
        trial: Trial,
        gateway: Gateway,
        steps: Steps,
        additions: Additions | None = None,
        events: Events | None = None,
    ) -> None:
        self._watch = watch
        self._traffic = traffic
        self._issuance = issuance
        self._steps = steps
        self._routes = Routes(files, additions, steps)
        self._register = Register(gateway, steps=steps)
        self._accepted = AcceptedVersions(accepted, self._register)
        self._decisions = Decisions(self._register, self._routes, issuance)
        self._confirmation = Confirmation(proxy, steps=steps)
        self._changed = threading.Condition()
        self.board = Board(self._changed, self._register, self._confirmation, self._decisions.withheld)
        self._chronicle = Chronicle(events or Events())
        self._rejections = Rejections(
            lock=self._changed,
            register=self._register,
            accepted=accepted,
            confirmation=self._confirmation,
            routes=self._routes,
            trial=trial,
        )
        self._reading = Reading(workloads)
        self._intake = Intake(
            register=self._register,
            reading=self._reading,
            rejections=self._rejections,
            decisions=self._decisions,
            watch=watch,
            chronicle=self._chronicle,
        )
        self._requested = 1
        self._finished = 0
        self._pace = Pace()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self, on_failure: Callable[[BaseException], None]) -> None:
        """Do a first cycle, then go on in a thread; `on_failure` is told when that thread ends unexpectedly."""
        self._accepted.restore()
        self._cycle()
        self._rejections.start(on_failure)
        self._thread = threading.Thread(target=self._run, args=(on_failure,), name="applier", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the cycle under way and end. May be called again."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=30)
        self._rejections.stop()

    def request(self, identities: Iterable[str] | None = None) -> int:
        """Ask for a cycle that looks at these workloads' files, or (None) at everything.

        Returns the cycle's number, for `wait`.
        """
        with self._changed:
            if identities is not None:
                identities = frozenset(identities)
                self._chronicle.asked(identities)
                logs.ask_for(identities)
            self._reading.request(identities)
            return self._ask()

    def request_route_files(self, names: Iterable[str]) -> None:
        """Look at these entries of Traefik's directory at once: somebody else may have touched them.

        What is wrong there may freeze every route, so this waits for nothing, and is no cycle.
        """
        self._routes.suspect(names)
        with self._changed:
            self._changed.notify_all()

    def request_hosts(self, hosts: Iterable[str]) -> None:
        """Ask for a cycle because these hosts resolve to something else now."""
        with self._changed:
            self._intake.moved(hosts)
            self._ask()

    def request_certificates(self, subjects: Iterable[str]) -> None:
        """Ask for a cycle because the verdict about these certificates is another one now."""
        with self._changed:
            self._intake.judged(subjects)
            self._ask()

    def prune(self) -> int:
        """Believe that files which vanished are meant to be gone. Returns the cycle's number."""
        with self._changed:
            self._reading.believe()
            return self._ask()

    def is_held(self, identity: str) -> bool:
        """Whether a workload's file vanished together with many others, and its route is kept for that."""
        with self._changed:
            return self._reading.is_held(identity)

    def durations(self) -> Family:
        """How long it took until workloads were applied."""
        with self._changed:
            return self._chronicle.durations()

    def trouble(self) -> str | None:
        """Why the desired state is not taken over as it lies there, and what to do; None when it is."""
        return self._reading.trouble() or self._routes.trouble() or self._rejections.trouble()

    def reconfigure(self, gateway: Gateway) -> None:
        """Admit by these rules from now on."""
        with self._changed:
            self._intake.reconfigure(gateway)
            self._ask()

    def admit_one(self, workload: Workload, write: Callable[[], None]) -> int:
        """Let one workload in at the door and `write` it, or raise why not; nobody else is admitted meanwhile.

        Returns the number of the cycle to wait for. Raises Refused, Conflict or NoGateway.
        """
        with self._changed:
            register = self._register
            host = admission.check_at_the_door(workload, self._intake.rules, register.resolutions)
            admission.check_free(host, workload.id, register.holders)
            write()
            register.claim(host, workload.id)
            return self.request([workload.id])

    def remove_one(self, identity: str, remove: Callable[[], bool]) -> tuple[bool, int]:
        """`remove` a workload's file on purpose: it does not count as vanished. Whether it was there, and the cycle."""
        with self._changed:
            existed = remove()
            self._register.release(identity)
            self._accepted.forget(identity)
            self._reading.expect_gone(identity)
            return existed, self.request([identity])

    def wait_for_view(self, workload: Workload, cycle: int, deadline: float, certified: Certified) -> WorkloadView:
        """`wait`, and how the workload stood at that very moment: the next cycle may write its route anew."""
        with self._changed:
            self.wait(workload.id, cycle, deadline)
            return self.board.view_of(workload, certified)

    def wait(self, identity: str, cycle: int, deadline: float) -> bool:
        """Wait until `cycle` is done and the workload not pending; False when `deadline` (monotonic) passes."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._finished >= cycle and self.board.is_final(identity), max(0.0, deadline - time.monotonic())
            )

    def _ask(self) -> int:
        self._requested += 1
        self._changed.notify_all()
        return self._requested

    def _run(self, on_failure: Callable[[BaseException], None]) -> None:
        try:
            while self._await_cause():
                self._cycle()
                self._confirm()
        except BaseException as error:  # noqa: BLE001  whatever it was, a dead applier must not look alive
            on_failure(error)

    def _await_cause(self) -> bool:
        """Wait for a request that may be carried out now, confirming what is unconfirmed meanwhile. False: stop."""
        recheck = time.monotonic() + self._patience()
        while True:
            with self._changed:
                pause = min(self._confirmation.pause(), self._rejections.pause(), recheck - time.monotonic())
                pause = min(pause, self._pace.pause() or pause)  # whoever asks while writes rest waits for its end
                self._changed.wait_for(self._is_called, max(0.0, pause))
                if self._stopping or self._is_due():
                    return not self._stopping
                if time.monotonic() >= recheck:
                    self._doubt_everything()
                    return True
            if self._routes.is_suspicious():
                self._mend()
                recheck = min(recheck, time.monotonic() + self._patience())
            self._confirm()

    def _patience(self) -> float:
        """Seconds until everything is compared anew: soon, when something could not be read or written."""
        if self._reading.is_blocked() or self._routes.trouble():
            return _RETRY_SECONDS
        return max(_RECHECK_SECONDS, _RECHECK_SECONDS_PER_ROUTE * len(self._register.routes))

    def _is_called(self) -> bool:
        return self._stopping or self._is_due() or self._routes.is_suspicious()

    def _mend(self) -> None:
        """Undo what somebody did in Traefik's directory, and doubt what was known of Traefik before."""
        if self._routes.mend():
            with self._changed:
                self._confirmation.doubt_all()

    def _is_due(self) -> bool:
        """Whether there is something to do, and Traefik is done with the last write (or has had its time).

        What it will not have is taken out without waiting for it: it may be what it does not get done with.
        """
        if self._rejections.is_due():
            return True
        if self._requested <= self._finished:
            return False
        if not self._confirmation.is_working():
            self._pace.settled()
        return self._pace.is_free()

    def _doubt_everything(self) -> None:
        self._reading.request(None)
        self._routes.doubt_all()
        self._confirmation.doubt_all()

    def _cycle(self) -> None:
        with self._changed:
            cycle = self._requested
            touched = self._intake.take()
            self._confirmation.supersede(self._decisions.superseded(self._steps(touched)))
            routes, existing = dict(self._register.routes), frozenset(self._register.desired)
            hosts = self._register.backend_hosts()
        subjects = certificates_for(routes)
        hosts |= {subject for subject in subjects if not subject.startswith(WILDCARD)}
        self._issuance.follow(subjects)
        with self._changed:
            decisions = {identity: self._decisions.decide(identity) for identity in self._steps(touched)}
        self._watch.watch(hosts, self._register.gateway.addresses)
        self._traffic.follow(routes, existing, touched)
        with logs.on_behalf_of(*logs.askers(touched)):
            expected = self._routes.write(decisions)
        with self._changed:
            if expected:
                self._confirmation.expect(expected)
            self._pace.looked(has_written=bool(expected))
            self._forget(touched)
            self._finished = cycle
            self._chronicle.look(touched, self.board.standing)
            self._changed.notify_all()

    def _forget(self, touched: Iterable[str]) -> None:
        """Let go of the remembered versions of workloads that are gone."""
        for identity in touched:
            if identity in self._register.desired:
                continue
            self._rejections.forget(identity)
            self._accepted.forget(identity)

    def _confirm(self) -> None:
        answers = self._confirmation.ask(self._changed, self._heed)
        self._accepted.remember_rest(answers.applied, self._changed)

    def _heed(self, answers: Answers) -> None:
        """Whoever sees a workload applied also sees what follows from it: so under the lock of the answers."""
        if not self._confirmation.is_working():
            self._pace.settled()
        for identity in answers.applied:
            self._rejections.forget(identity)
        self._accepted.remember_some(answers.applied)
        self._rejections.note(answers.rejected)
        self._rejections.look()
        self._chronicle.look(answers.news, self.board.standing)
        if answers.is_news:
            self._changed.notify_all()
