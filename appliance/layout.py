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
    def staging(self) -> Path:
        """Where files are built before they are renamed into place; on the same filesystem as their places."""
        return self.state / "staging"

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
        except OSError as error:
            raise GatewayError(
                f"cannot make the directory {error.filename}: {error.strerror}; "
                f"give --root a directory that this user may write to"
            ) from error
        for leftover in self.staging.iterdir():
            leftover.unlink(missing_ok=True)
