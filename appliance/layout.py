"""Where everything lies under the root (docs/operations.md, "Files under the root"), and the making of it."""

from dataclasses import dataclass
from pathlib import Path

from appliance.model.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Root:
    """The appliance's directory. Everything below it is the appliance's own user's alone (0700), but for sockets."""

    path: Path

    @property
    def workloads(self) -> Path:
        """Desired state, one file a workload."""
        return self.path / "workloads"

    @property
    def proxy(self) -> Path:
        """Dynamic configuration, watched by Traefik."""
        return self.path / "proxy"

    @property
    def extra(self) -> Path:
        """The operator's own Traefik fragments."""
        return self.path / "extra"

    @property
    def quarantine(self) -> Path:
        """What was found where it did not belong."""
        return self.path / "quarantine"

    @property
    def state(self) -> Path:
        """What must outlive the process."""
        return self.path / "state"

    @property
    def accepted(self) -> Path:
        """The versions of workloads that were let in last."""
        return self.state / "accepted"

    @property
    def fragments(self) -> Path:
        """The fragments that passed their trial, and with which Traefik they did."""
        return self.state / "fragments.json"

    @property
    def alerts(self) -> Path:
        """Alerts that are open, or yet to be delivered."""
        return self.state / "alerts.json"

    @property
    def issuance(self) -> Path:
        """What became of the orders of certificates."""
        return self.state / "issuance.json"

    @property
    def rehearsals(self) -> Path:
        """The accounts at staging directories."""
        return self.state / "rehearsals.json"

    @property
    def staging(self) -> Path:
        """Where files are built before they are renamed into place; on the same filesystem as their places."""
        return self.state / "staging"

    @property
    def format(self) -> Path:
        """The number of the format in which everything here is kept."""
        return self.state / "format"

    @property
    def unfinished_restore(self) -> Path:
        """There while a backup is being put in place: what lies here meanwhile is not whole."""
        return self.path / ".restore-unfinished"

    @property
    def bus_instance(self) -> Path:
        """The name under which this appliance keeps what it took from the message bus."""
        return self.state / "bus-instance"

    @property
    def run(self) -> Path:
        """Sockets, the lock and marks of the running appliance."""
        return self.path / "run"

    @property
    def traefik(self) -> Path:
        """Traefik's certificate stores."""
        return self.path / "traefik"

    @property
    def http_store(self) -> Path:
        """Where Traefik keeps the certificates of FQDN proxies."""
        return self.traefik / "acme.json"

    @property
    def dns_store(self) -> Path:
        """Where Traefik keeps the certificates of gateway domains."""
        return self.traefik / "acme2.json"

    @property
    def snapshots(self) -> Path:
        """Whole certificate stores of earlier, a directory for each store."""
        return self.state / "acme"

    @property
    def restored(self) -> Path:
        """The report of repaired certificate stores."""
        return self.snapshots / "restored.json"

    @property
    def certificates(self) -> Path:
        """Since when which certificates are not used any more."""
        return self.state / "certificates.json"

    @property
    def static_configuration(self) -> Path:
        """Traefik's static configuration."""
        return self.path / "traefik.yaml"

    @property
    def admin_socket(self) -> Path:
        """The admin API."""
        return self.run / "admin.sock"

    @property
    def challenge_socket(self) -> Path:
        """What `hooks/dns01` talks to."""
        return self.run / "challenge.sock"

    @property
    def supervisor_socket(self) -> Path:
        """Supervisord's XML-RPC."""
        return self.run / "supervisor.sock"

    @property
    def supervisor_configuration(self) -> Path:
        """What supervisord is to run."""
        return self.run / "supervisord.conf"

    @property
    def lock(self) -> Path:
        """Held by whoever runs on this root or restores into it. Not in `run`: each container has its own of that."""
        return self.path / "lock"

    @property
    def logs(self) -> Path:
        """The lines that were logged last, and the pipes they come through."""
        return self.run / "log"

    def log_pipe(self, program: str) -> Path:
        """What a program writes goes to the log relay through this."""
        return self.logs / f"{program}.pipe"

    @property
    def rehearsal(self) -> Path:
        """What a throw-away Traefik works with while orders are rehearsed."""
        return self.run / "rehearsal"

    @property
    def restart_mark(self) -> Path:
        """There while Traefik has yet to be restarted for a changed static configuration."""
        return self.run / "static-changed"

    @property
    def fatal_mark(self) -> Path:
        """Left by the guard when Traefik could not be kept running."""
        return self.run / "fatal"

    def create(self) -> None:
        """Make the directories, 0700 (`run` can be entered, for the challenge socket's users). Raises GatewayError."""
        try:
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            private = (self.workloads, self.extra, self.proxy, self.quarantine, self.state, self.traefik)
            for directory in (*private, self.accepted, self.staging):
                directory.mkdir(mode=0o700, exist_ok=True)
                directory.chmod(0o700)  # somebody may have made it before, for everybody to read
            self.run.mkdir(mode=0o711, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            self.logs.chmod(0o700)
        except OSError as error:
            raise GatewayError(
                f"cannot make the directory {error.filename}: {error.strerror}; "
                f"give --root a directory that this user (uid {_user()}) may write to"
            ) from error
        for leftover in self.staging.iterdir():
            leftover.unlink(missing_ok=True)


def _user() -> int:
    """The uid of this process, which the owner of its entry is."""
    return Path("/proc/self").stat().st_uid
