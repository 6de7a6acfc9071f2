"""lego's own command line: an ACME client that is not Traefik, with the hook or over HTTP-01."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509

from tests.peers import addresses
from tests.peers.launching import Launched, PeerError
from tests.peers.pebble import Pebble

HOOK: Final = Path(__file__).parents[2] / "hooks" / "dns01"
_FAST: Final = {"EXEC_POLLING_INTERVAL": "1", "EXEC_SEQUENCE_INTERVAL": "0", "EXEC_PROPAGATION_TIMEOUT": "30"}


class Lego:
    """An ACME account of its own in `directory`. Every method returns the certificate or fails with lego's output."""

    def __init__(self, directory: Path, ca: Pebble) -> None:
        self._directory = directory
        self._ca = ca

    def dns01(
        self, *names: str, hook: Path = HOOK, environment: Mapping[str, str] | None = None, raw: bool = False
    ) -> x509.Certificate:
        """Issue for `names` with the hook; lego checks the propagation through the namespace's resolver first."""
        mode = {"EXEC_MODE": "RAW"} if raw else {}
        settings = _FAST | {"EXEC_PATH": str(hook)} | mode | dict(environment or {})
        return self._run(names, ["--dns", "exec", "--dns.resolvers", f"{addresses.RESOLVER}:53"], settings)

    def http01(self, *names: str, port: int = 80) -> x509.Certificate:
        """Issue for `names` by answering on the gateway's address."""
        return self._run(names, ["--http", "--http.port", f"{addresses.GATEWAY}:{port}"], {})

    def _run(self, names: Sequence[str], challenge: list[str], settings: dict[str, str]) -> x509.Certificate:
        domains = [argument for name in names for argument in ("--domains", name)]
        argv = ["lego", "--server", self._ca.url, "--email", "ops@gw.test", "--accept-tos"]
        argv += ["--path", str(self._directory), "--key-type", "ec256", *challenge, *domains, "run"]
        environment = os.environ | {"LEGO_CA_CERTIFICATES": str(self._ca.tls_ca)} | settings
        program = Launched(argv, self._directory / "lego.log", environment=environment)
        try:
            code = program.wait(seconds=60)
        finally:
            program.kill()
        if code != 0:
            raise PeerError(f"lego ended with {code}\n{program.end_of_log()}")
        stored = self._directory / "certificates" / f"{names[0].replace('*', '_')}.crt"
        return x509.load_pem_x509_certificate(stored.read_bytes())
