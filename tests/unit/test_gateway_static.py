"""Traefik is restarted for a changed static configuration, and for nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.render import static
from tests.plane import Plane


@pytest.fixture
def plane() -> Iterator[Plane]:
    made = Plane()
    made.start()
    yield made
    made.stop()


def test_a_change_restarts_traefik_once(plane: Plane) -> None:
    plane.gateway.apply_static_configuration("log: {level: INFO}\n")
    plane.gateway.apply_static_configuration("log: {level: INFO}\n")
    assert plane.programs.restarts == ["traefik"]
    plane.gateway.apply_static_configuration("log: {level: DEBUG}\n")
    assert plane.programs.restarts == ["traefik", "traefik"]


def test_a_restart_that_failed_is_made_up_for(plane: Plane) -> None:
    plane.programs.silent = True
    plane.gateway.apply_static_configuration("log: {level: INFO}\n")
    assert plane.programs.restarts == []
    plane.programs.silent = False
    plane.gateway.apply_static_configuration("log: {level: INFO}\n")
    assert plane.programs.restarts == ["traefik"]


def test_the_hook_neither_waits_before_the_first_check_nor_between_two_challenges() -> None:
    environment = static.hook_environment(Path("/opt/dns01"), Path("/srv/gateway"))
    assert environment == {
        "EXEC_PATH": "/opt/dns01",
        "EXEC_POLLING_INTERVAL": "0",
        "EXEC_SEQUENCE_INTERVAL": "0",
        "EXEC_PROPAGATION_TIMEOUT": "60",
        "GATEWAY_ROOT": "/srv/gateway",
    }
