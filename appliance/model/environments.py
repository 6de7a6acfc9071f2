"""Which part of the appliance's environment Traefik may see, the throw-away ones included."""

from collections.abc import Mapping

_PASSED_ON = frozenset(
    {"PATH", "GATEWAY_ROOT", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
)


def for_traefik(environment: Mapping[str, str]) -> dict[str, str]:
    """What Traefik may see: never the appliance's secrets, which may stand in `GATEWAY__*` variables."""
    return {key: value for key, value in environment.items() if key in _PASSED_ON or key.startswith("EXEC_")}
