"""Builds what the doctor looks at, for the control plane and for `gateway doctor` without one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from appliance import settings
from appliance.adapters import processes
from appliance.adapters.certificate_authority import CertificateAuthority
from appliance.adapters.delegation import Delegations
from appliance.adapters.host import HostProbe
from appliance.adapters.web_probe import WebProbe
from appliance.control.examinations import Outside, Surroundings
from appliance.layout import Root
from appliance.model.errors import GatewayError
from appliance.model.ports import Wanted
from appliance.settings import Settings, meaning

Status = Callable[[], Mapping[str, Any] | None]


def surroundings(root: Root, config: Path, environment: Mapping[str, str], status: Status) -> Surroundings:
    """For a settings file that is yet to be read, and may be unusable."""
    try:
        loaded = settings.load(config, environment)
        return of_settings(root, config, loaded, None, status)
    except GatewayError as error:
        return Surroundings(str(config), str(error), None, HostProbe(root), status)


def of_settings(root: Root, config: Path, loaded: Settings, problem: str | None, status: Status) -> Surroundings:
    """For settings that are in force; `problem`: why the file as it is now is not. Raises InvalidInput."""
    return Surroundings(str(config), problem, _outside(loaded), HostProbe(root), status)


def _outside(loaded: Settings) -> Outside:
    zones = meaning.zones(loaded)
    addresses = loaded.public.addresses if loaded.public else frozenset()
    listen = meaning.dns_listen(loaded)
    return Outside(
        settings=loaded,
        zones=zones,
        wanted=[Wanted(it.setting, it.host, it.port, it.transport) for it in processes.listening(loaded)],
        local=frozenset(filter(processes.has_address, addresses)),
        web_port=settings.split_endpoint(loaded.entrypoints.web)[1],
        delegations=Delegations(meaning.resolvers(loaded), listen, addresses, zones, processes.has_address),
        authority=CertificateAuthority(loaded.acme.directory, loaded.acme.ca_certificates),
        web=WebProbe(),
    )
