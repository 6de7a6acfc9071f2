"""The use cases of the gateway: one method a verb, under the same name in the API, on the command line, on the bus."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from appliance import logs
from appliance.control import measuring
from appliance.control.applier import Applier
from appliance.control.challenges import Challenges
from appliance.control.desired import DesiredState
from appliance.control.events import Events
from appliance.control.forecasts import Forecast
from appliance.control.fragments import Fragments
from appliance.control.measuring import Measuring
from appliance.control.ports import Authority, Programs, Proxy, StaticConfiguration, WorkloadStore
from appliance.control.programs import Measure, ProgramsWatch
from appliance.control.stores import CertificateStores
from appliance.control.traffic import Traffic
from appliance.model import zone_documents
from appliance.model.errors import Unavailable
from appliance.model.listings import Filter, Page
from appliance.model.measures import Family
from appliance.model.standings import State, WorkloadView
from appliance.model.versions import ANYTHING, Precondition
from appliance.model.workloads import WorkloadType
from appliance.render.dns_records import Record
from appliance.render.supervision import TRAEFIK

log = logs.logger(__name__)

_CERTIFICATES_FRESH_SECONDS = 0.5


class Gateway:
    """The control plane's use cases. Safe to call from any thread.

    Every method that changes something may be repeated: the same call again is an update to the same state.
    """

    def __init__(  # noqa: PLR0913  the parts it directs; only the composition root calls this
        self,
        *,
        applier: Applier,
        store: WorkloadStore,
        challenges: Challenges,
        authority: Authority,
        traffic: Traffic,
        fragments: Fragments,
        proxy: Proxy,
        programs: Programs,
        static: StaticConfiguration,
        describe: Callable[[], Mapping[str, Any]],
        stores: CertificateStores | None = None,
        doctor: Callable[[], dict[str, Any]] = lambda: {"checks": []},
        certificates: Callable[[], list[dict[str, Any]]] = list,
        explain: Callable[[str], dict[str, Any]] = lambda _: {},
        events: Events | None = None,
        records: Callable[[], Sequence[Record]] = tuple,
        measure: Measure = lambda _: None,
    ) -> None:
        self._applier = applier
        self._challenges = challenges
        self._authority = authority
        self._traffic = traffic
        self._fragments = fragments
        self._proxy = proxy
        self._programs = programs
        self._static = static
        self._stores = stores
        self._describe = describe
        self._doctor = doctor
        self._inventory = certificates
        self._explain = explain
        self.events = events or Events()
        """What happens, for whoever follows."""
        self.programs_watch = ProgramsWatch(programs, self.events, measure)
        self.measuring = Measuring()
        """The metrics; whoever has some adds a source."""
        self._records = records
        self._desired = DesiredState(applier, store, self._certified_names)
        self._certificates = threading.Lock()
        self._certified: tuple[float, frozenset[str] | None] = (0.0, None)
        for source in (self._counted, self.programs_watch.families, challenges.families):
            self.measuring.add(source)

    def set_named_proxy(
        self,
        identity: str,
        name: str,
        backends: Sequence[str],
        *,
        domain: str | None = None,
        tls_passthrough: bool = False,
        timeout_seconds: float = 0.0,
    ) -> WorkloadView:
        """Route `<name>.<domain>` (the gateway's first domain unless given) to the backends. See `set_workload`."""
        document = {"type": WorkloadType.NAME_PROXY.value, "name": name, "domain": domain}
        rest = {"backends": list(backends), "tls_passthrough": tls_passthrough}
        return self.set_workload(identity, document | rest, timeout_seconds)

    def set_fqdn_proxy(
        self,
        identity: str,
        fqdn: str,
        backends: Sequence[str],
        *,
        tls_passthrough: bool = False,
        timeout_seconds: float = 0.0,
    ) -> WorkloadView:
        """Route `fqdn` to the backends. See `set_workload`."""
        document = {"type": WorkloadType.FQDN_PROXY.value, "fqdn": fqdn, "backends": list(backends)}
        return self.set_workload(identity, document | {"tls_passthrough": tls_passthrough}, timeout_seconds)

    def set_workload(
        self,
        identity: str,
        document: Mapping[str, Any],
        timeout_seconds: float = 0.0,
        presumed: Precondition = ANYTHING,
    ) -> WorkloadView:
        """Set what a workload document (the keys of its file) says; wait up to `timeout_seconds` until it is final.

        A document that says nothing of `options` keeps those there are: whoever only knows of backends (the message
        bus) must not take a password away. `options: {}` takes them away.

        Raises InvalidInput, Refused, Conflict, NoGateway, or Outdated when the present version is not as `presumed`;
        the desired state is then as it was. The view that comes back may still be `pending`, or `quarantined` by
        Traefik.
        """
        return self._desired.set(identity, document, timeout_seconds, presumed)

    def delete_proxy(
        self, identity: str, *, timeout_seconds: float = 0.0, presumed: Precondition = ANYTHING
    ) -> tuple[bool, bool]:
        """Delete a workload of either kind, and wait until Traefik has let go of it.

        Returns whether there was one, and whether Traefik has none of it any more. Raises InvalidInput, and Outdated
        when the present version is not as `presumed`.
        """
        return self._desired.delete(identity, timeout_seconds, presumed)

    def prune(self) -> None:
        """Let the routes go whose workload files vanished many at once, and were kept for that."""
        self._applier.prune()

    def workloads(self) -> list[WorkloadView]:
        """Every workload, by id."""
        return self._applier.board.views(self._certified_names())

    def workload(self, identity: str) -> WorkloadView:
        """One workload, as it was set or found last. Raises NotFound."""
        return self._desired.get(identity)

    def version(self, view: WorkloadView) -> str:
        """The entity tag of a workload as it is shown, which changes with what is desired and not with its state."""
        return self._desired.version(view)

    def workloads_page(self, wanted: Filter, token: str | None, limit: int) -> Page:
        """Up to `limit` of the workloads that fit, by id, after the page whose `next` was `token`.

        Raises InvalidInput for a token of no page.
        """
        return self._desired.page(wanted, token, limit)

    def plan(self, documents: Mapping[str, Any], deletions: Sequence[str]) -> Forecast:
        """What would change if these workloads were deleted and those set, in this order. Changes nothing."""
        return self._desired.forecast(documents, deletions)

    def present(self, fqdn: str, value: str, by: str) -> None:
        """Answer `value` as a TXT record of `fqdn` from now on. Raises Refused, InvalidInput."""
        self._challenges.present(fqdn, value, by)

    def clean_up(self, fqdn: str, value: str, by: str) -> None:
        """No longer answer `value`; one that is not there is fine."""
        self._challenges.clean_up(fqdn, value, by)

    def challenges(self) -> list[dict[str, Any]]:
        """The last challenges, oldest first; times in Unix seconds. What to read when a validation failed."""
        return [asdict(entry) for entry in self._challenges.history()]

    def zones(self) -> list[dict[str, Any]]:
        """What the authority answers for, and what must be created elsewhere so that it is asked.

        `{zone, nameserver, serial, rrsets: [{name, type, ttl, values}], records: [{name, type, content, purpose}]}`.
        """
        return zone_documents.with_records(self._challenges.zones(), [asdict(one) for one in self._records()])

    def ready(self) -> list[str]:
        """The problems that make the appliance unhealthy; none: it is ready."""
        problems: list[str] = self.status()["problems"]
        return problems

    def metrics(self) -> dict[str, dict[str, Any]]:
        """What each workload has carried, by id: see `model.traffic.Account.document`.

        Bytes of bodies where the gateway terminates TLS, of TCP payload with passthrough; `requests` by status class.
        Whatever cannot be measured is None with a `reason`, never 0; `note` says what a number lacks. Deleted
        workloads are there for 30 days, `deleted` being the Unix time.
        """
        return self._traffic.report()

    def extra(self) -> list[dict[str, Any]]:
        """The operator's own fragments, by name: see `model.fragments.FragmentView.document`."""
        return [view.document() for view in self._fragments.views()]

    def doctor(self) -> dict[str, Any]:
        """What the doctor found last, `{checks: [{id, status, evidence, todo}]}`; see `control.doctor`."""
        return self._doctor()

    def certificates(self) -> list[dict[str, Any]]:
        """Every certificate that is wanted or kept, and what is really served: see `model.inventory.Entry.document`."""
        return self._inventory()

    def explain(self, host: str) -> dict[str, Any]:
        """Why a host is not on HTTPS, or that it is: see `model.explanations.Explanation.document`.

        Raises InvalidInput for what is no host name.
        """
        return self._explain(host)

    def apply_static_configuration(self, text: str) -> None:
        """Give Traefik this static configuration; it is restarted only when that changed."""
        if self._static.replace(text) and self.restart_traefik("its new static configuration"):
            self._static.restarted()

    def restart_traefik(self, reason: str) -> bool:
        """Restart Traefik, for a reason that is logged; whether it could be."""
        self._traffic.read()  # the restarted Traefik counts from 0
        try:
            self._programs.restart(TRAEFIK)
        except Unavailable as error:
            log.warning("Traefik could not be restarted", needed_for=reason, reason=str(error))
            return False
        log.info("Traefik restarted", needed_for=reason)
        return True

    def status(self) -> dict[str, Any]:
        """How the appliance is: `{healthy, problems, notices, programs: [{name, state, pid}], workloads, ...}`.

        A problem makes it unhealthy; a notice asks for a look. What a tenant does is never a problem of the appliance.
        `workloads` counts them by state, `dns` what was asked and answered; the rest is what the process says of
        itself.
        """
        described = dict(self._describe())
        problems, notices = list[str](), list[str]()
        programs = self._program_states(problems)
        counts = {state.value: count for state, count in self._applier.board.states().items()}
        if self._certified_names() is None:
            problems.append("Traefik does not answer on its API")
        if (disagreed := self._applier.board.disagreement()) > 0:
            problems.append(f"Traefik does not have {disagreed} route(s) as they were written: its log says why")
        problems += described.get("dns_problems", [])
        if described.pop("is_restarting"):
            problems.append("the control plane restarts for its new settings, within seconds")
        if described["public"] is None:
            problems.append(f"this host is no gateway yet: write a `public` section into {described['config']}")
        troubles = (self._applier.trouble(), self._challenges.trouble())
        notices += [trouble for trouble in troubles if trouble is not None]
        notices += described.get("dns_notices", [])
        if described["settings_problem"]:
            notices.append(f"the settings file is not taken over: {described['settings_problem']}")
        if described.get("bus_problem"):
            notices.append(f"no calls from the message bus: {described['bus_problem']}")
        if described.get("admin_problem"):
            notices.append(f"nobody is let in to the admin API by a token: {described['admin_problem']}")
        if counts[State.QUARANTINED]:
            notices.append(f"{counts[State.QUARANTINED]} workload(s) in quarantine: `gateway route list` says why")
        notices += self._fragments.notices()
        notices += self._stores.notices() if self._stores is not None else []
        told = {"healthy": not problems, "problems": problems, "notices": notices}
        dns = self._authority.counters().document()
        return {**told, **described, "programs": programs, "workloads": counts, "dns": dns}

    def _counted(self) -> Iterable[Family]:
        yield from measuring.appliance(self.status(), self.events.counts())
        yield self._applier.durations()
        yield from measuring.dns(self._authority.counters())
        yield from measuring.traffic(self._traffic.accounts())

    def _program_states(self, problems: list[str]) -> list[dict[str, Any]]:
        try:
            found = self._programs.programs()
        except Unavailable as error:
            problems.append(str(error))
            return []
        problems += [f"the program {item.name} is in {item.state}" for item in found if item.state in _TROUBLE]
        return [{"name": item.name, "state": item.state, "pid": item.pid} for item in found]

    def _certified_names(self) -> frozenset[str] | None:
        """The names Traefik has certificates for, not older than half a second; None while Traefik does not answer."""
        with self._certificates:
            asked, names = self._certified
            if names is None or time.monotonic() - asked > _CERTIFICATES_FRESH_SECONDS:
                try:
                    names = self._proxy.certified_names()
                except Unavailable:
                    names = None
                self._certified = (time.monotonic(), names)
            return names


_TROUBLE = frozenset({"BACKOFF", "FATAL", "EXITED", "STOPPED", "UNKNOWN"})
