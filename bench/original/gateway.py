"""The original system's arrangement, for comparison: plain Traefik with the documented configuration and the script.

What the old gateway wrote and nothing it did not: no propagation block, no account key beforehand, every default of
Traefik and lego. Only the CA (and the trust in it) is the test's own.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Final

import yaml

from tests.peers import addresses
from tests.peers.appliance import TRAEFIK
from tests.peers.launching import Launched
from tests.peers.pebble import Pebble

SCRIPT: Final = Path(__file__).with_name("cert.sh")


class Original:
    """Traefik and the script on an empty root, with one name proxy whose certificate has the apex and the wildcard."""

    def __init__(self, directory: Path, ca: Pebble, name: str, backend: str, domain: str = addresses.DOMAIN) -> None:
        self._script_run = directory / "script"
        for part in ("proxy", "traefik"):
            (directory / part).mkdir()
        _write(directory / "config.yaml", _static(directory, ca))
        _write(directory / "proxy" / "1-1-bench.yaml", _route("1-1-bench", f"{name}.{domain}", backend, domain))
        argv = [str(TRAEFIK), "--configfile", str(directory / "config.yaml")]
        environment = os.environ | {"EXEC_PATH": str(SCRIPT), "CERT_RUN": str(self._script_run)}
        self.program = Launched(argv, directory / "traefik.log", environment=environment)

    def kill(self) -> None:
        """End Traefik, and a dnsmasq that the script left running."""
        self.program.kill()
        pid_file = self._script_run / "dnsmasq.pid"
        if pid_file.exists():
            os.kill(int(pid_file.read_text()), 9)
            shutil.rmtree(self._script_run)


def _static(root: Path, ca: Pebble) -> dict[str, Any]:
    account = {"email": "ops@gw.test", "caServer": ca.url, "caCertificates": [str(ca.tls_ca)]}
    return {
        "global": {"checkNewVersion": False},
        "entryPoints": {
            "web": {
                "address": f"{addresses.GATEWAY}:80",
                "http": {"redirections": {"entryPoint": {"to": "web-secure", "scheme": "https"}}},
            },
            "web-secure": {"address": f"{addresses.GATEWAY}:443"},
            "metrics": {"address": "127.0.0.1:8082"},
        },
        "metrics": {"prometheus": {"entryPoint": "metrics"}},
        "providers": {"file": {"directory": str(root / "proxy"), "watch": True}},
        "certificatesResolvers": {
            "resolver": {
                "acme": account | {"storage": str(root / "traefik/acme.json"), "httpChallenge": {"entryPoint": "web"}}
            },
            "dnsresolver": {
                "acme": account | {"storage": str(root / "traefik/acme2.json"), "dnsChallenge": {"provider": "exec"}}
            },
        },
    }


def _route(identity: str, host: str, backend: str, domain: str) -> dict[str, Any]:
    tls = {"certResolver": "dnsresolver", "domains": [{"main": domain, "sans": [f"*.{domain}"]}]}
    router = {"rule": f"Host(`{host}`)", "service": identity, "tls": tls}
    service = {"loadbalancer": {"servers": [{"url": backend}]}}
    return {"http": {"routers": {f"{identity}-route": router}, "services": {identity: service}}}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
