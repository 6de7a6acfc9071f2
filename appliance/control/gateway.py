"""The use cases of the gateway: one method a verb, under the same name in the API, on the command line, on the bus."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from appliance import logs
from appliance.control.applier import Applier
from appliance.control.challenges import Challenges
from appliance.control.fragments import Fragments
from appliance.control.ports import Authority, Programs, Proxy, StaticConfiguration, WorkloadStore
from appliance.control.traffic import Traffic
from appliance.model import workloads
from appliance.model.errors import InvalidInput, NotFound, Unavailable
from appliance.model.options import NONE
from appliance.model.standings import State, WorkloadView
from appliance.model.workloads import Workload, WorkloadType
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
    ) -> None:
        self._applier = applier
        self._store = store
        self._challenges = challenges
        self._authority = authority
        self._traffic = traffic
        self._fragments = fragments
        self._proxy = proxy
        self._programs = programs
        self._static = static
        self._describe = describe
        self._setting = threading.Lock()
        self._certificates = threading.Lock()
        self._certified: tuple[float, frozenset[str] | None] = (0.0, None)

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

    def set_workload(self, identity: str, document: Mapping[str, Any], timeout_seconds: float = 0.0) -> WorkloadView:
        """Set what a workload document (the keys of its file) says; wait up to `timeout_seconds` until it is final.

        A document that says nothing of `options` keeps those there are: whoever only knows of backends (the message
        bus) must not take a password away. `options: {}` takes them away.

        Raises InvalidInput, Refused, Conflict or NoGateway; the desired state is then as it was. The view that comes
        back may still be `pending`, or `quarantined` by Traefik.
        """
        with self._setting:  # nobody's options are lost between looking at them and writing
            workload = self._with_kept_options(workloads.parse(identity, document), document)
            cycle = self._applier.admit_one(workload, lambda: self._store.put(workload))
        self._applier.wait(workload.id, cycle, time.monotonic() + timeout_seconds)
        return self._applier.board.view_of(workload, self._certified_names())

    def _with_kept_options(self, workload: Workload, document: Mapping[str, Any]) -> Workload:
        if document.get("options") is not None:
            return workload
        present = self._store.read([workload.id])[workload.id]
        content = present.content if present is not None else None
        known = content if isinstance(content, Workload) else self._applier.board.served(workload.id)
        if present is None or known is None or known.options == NONE:
            return workload
        try:
            return workloads.parse(workload.id, workload.document() | {"options": known.options.document()})
        except InvalidInput as error:
            raise InvalidInput(
                f"the workload's present options do not go with this: {error}; "
                "say which `options` are meant from now on ({} for none)"
            ) from error

    def delete_proxy(self, identity: str, *, timeout_seconds: float = 0.0) -> tuple[bool, bool]:
        """Delete a workload of either kind, and wait until Traefik has let go of it.

        Returns whether there was one, and whether Traefik has none of it any more. Raises InvalidInput.
        """
        checked = workloads.workload_id(identity)
        existed, cycle = self._applier.remove_one(checked, lambda: self._store.remove(checked))
        return existed, self._applier.wait(checked, cycle, time.monotonic() + timeout_seconds)

    def prune(self) -> None:
        """Let the routes go whose workload files vanished many at once, and were kept for that."""
        self._applier.prune()

    def workloads(self) -> list[WorkloadView]:
        """Every workload, by id."""
        return self._applier.board.views(self._certified_names())

    def workload(self, identity: str) -> WorkloadView:
        """One workload. Raises NotFound."""
        found = self._applier.board.view(identity, self._certified_names())
        if found is None:
            raise NotFound(f"there is no workload {identity}: `gateway route list` shows those there are")
        return found

    def present(self, fqdn: str, value: str, by: str) -> None:
        """Answer `value` as a TXT record of `fqdn` from now on. Raises Refused, InvalidInput."""
        self._challenges.present(fqdn, value, by)

    def clean_up(self, fqdn: str, value: str, by: str) -> None:
        """No longer answer `value`; one that is not there is fine."""
        self._challenges.clean_up(fqdn, value, by)

    def challenges(self) -> list[dict[str, Any]]:
        """The last challenges, oldest first; times in Unix seconds. What to read when a validation failed."""
        return [asdict(entry) for entry in self._challenges.history()]

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

    def apply_static_configuration(self, text: str) -> None:
        """Give Traefik this static configuration; it is restarted only when that changed."""
        if not self._static.replace(text):
            return
        self._traffic.read()  # the restarted Traefik counts from 0
        try:
            self._programs.restart(TRAEFIK)
        except Unavailable as error:
            log.warning("Traefik could not be restarted for its new static configuration", reason=str(error))
            return
        self._static.restarted()
        log.info("Traefik restarted for its new static configuration")

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
        if described["public"] is None:
            problems.append(f"this host is no gateway yet: write a `public` section into {described['config']}")
        troubles = (self._applier.trouble(), self._challenges.trouble())
        notices += [trouble for trouble in troubles if trouble is not None]
        if described["settings_problem"]:
            notices.append(f"the settings file is not taken over: {described['settings_problem']}")
        if described.get("bus_problem"):
            notices.append(f"no calls from the message bus: {described['bus_problem']}")
        if counts[State.QUARANTINED]:
            notices.append(f"{counts[State.QUARANTINED]} workload(s) in quarantine: `gateway route list` says why")
        notices += self._fragments.notices()
        told = {"healthy": not problems, "problems": problems, "notices": notices}
        dns = self._authority.counters().document()
        return {**told, **described, "programs": programs, "workloads": counts, "dns": dns}

    def _program_states(self, problems: list[str]) -> list[dict[str, Any]]:
        try:
            found = self._programs.programs()
        except Unavailable as error:
            problems.append(str(error))
            return []
        problems += [f"the program {item.name} is in {item.state}" for item in found if item.state in _TROUBLE]
        return [{"name": item.name, "state": item.state, "pid": item.pid} for item in found]

    def _certified_names(self) -> frozenset[str] | None:
        """The names Traefik has certificates for, not older than half a second; None when Traefik does not answer."""
        with self._certificates:
            asked, names = self._certified
            if time.monotonic() - asked > _CERTIFICATES_FRESH_SECONDS:
                try:
                    names = self._proxy.certified_names()
                except Unavailable:
                    names = None
                self._certified = (time.monotonic(), names)
            return names


_TROUBLE = frozenset({"BACKOFF", "FATAL", "EXITED", "STOPPED", "UNKNOWN"})
