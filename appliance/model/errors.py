"""The one tree of errors. What is raised names what was wrong and says what to do about it.

    GatewayError
    ├── InvalidInput        what was given breaks a rule; the message names the key and the mend
    │   └── InvalidSettings the settings file or the environment
    ├── Refused             well-formed, but this gateway will not take it
    │   ├── Conflict        somebody else holds the host
    │   └── NoGateway       the `public` section (or a domain in it) is missing
    ├── NotFound            no such workload
    ├── Outdated            a workload is not the version the caller named
    └── Unavailable         a peer (Traefik, supervisord, the control plane, a name server) did not answer

Library errors are translated where the library is used, with the cause chained.
"""


class GatewayError(Exception):
    """Anything this project raises on purpose."""


class InvalidInput(GatewayError):
    """Breaks a rule of the format. The message says which, and what would be right."""


class InvalidSettings(InvalidInput):
    """The settings file or the environment cannot be used."""


class Refused(GatewayError):
    """Well-formed, but not taken by this gateway as it is set up now."""


class Conflict(Refused):
    """Another workload holds the host. The message names it."""


class NoGateway(Refused):
    """There is no `public` section, or it lacks what this kind of workload needs."""


class NotFound(GatewayError):
    """There is no workload of this id."""


class Outdated(GatewayError):
    """Somebody else changed the workload first. The message says which presumption failed."""


class Unavailable(GatewayError):
    """A peer did not answer in time, or answered rubbish."""
