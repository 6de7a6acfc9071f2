"""Pebble, the ACME CA: issues for whoever proves a name over DNS-01 or HTTP-01, and forgets everything when it ends.

Validation is real (names are asked through the namespace's Unbound) but without Pebble's artificial delays, nonce
rejections and reused authorizations, so that a run is the same every time.
"""

import json
import os
import re
import ssl
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Final

import trustme
from cryptography import x509

from tests.peers import addresses
from tests.peers.launching import Launched

FIVE_YEARS: Final = 157_766_400
_PORT: Final = 14000
_MANAGEMENT_PORT: Final = 15000
_STEADY: Final = {"PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}


class Pebble:
    """A CA of its own: a new root, no accounts. `tls_ca` is a file with the root of its *server* certificate."""

    def __init__(
        self,
        directory: Path,
        *,
        validity_seconds: int = FIVE_YEARS,
        hesitates_seconds: int | None = None,
        address: str = addresses.CA,
    ) -> None:
        """`hesitates_seconds`: every look at a challenge is put off by a random number of seconds below this one."""
        self.url = f"https://{address}:{_PORT}/dir"
        self._management = f"https://{address}:{_MANAGEMENT_PORT}"
        self.tls_ca = directory / "server-ca.pem"
        self._configuration = directory / "pebble.json"
        self._log = directory / "pebble.log"
        self._counted_from = 0
        hesitation = (
            {"PEBBLE_VA_SLEEPTIME": str(hesitates_seconds)} if hesitates_seconds else {"PEBBLE_VA_NOSLEEP": "1"}
        )
        self._environment = os.environ | _STEADY | hesitation
        authority = trustme.CA(organization_name="Pebble's own server certificate")
        authority.cert_pem.write_to_path(self.tls_ca)
        server = authority.issue_cert(address)
        server.private_key_pem.write_to_path(directory / "server.key")
        server.cert_chain_pems[0].write_to_path(directory / "server.pem")
        pebble = {
            "listenAddress": f"{address}:{_PORT}",
            "managementListenAddress": f"{address}:{_MANAGEMENT_PORT}",
            "certificate": str(directory / "server.pem"),
            "privateKey": str(directory / "server.key"),
            "httpPort": 80,
            "tlsPort": 443,
            "certificateValidityPeriod": validity_seconds,
        }
        self._configuration.write_text(json.dumps({"pebble": pebble}), encoding="ascii")
        self.start()

    def start(self) -> None:
        """Start it (again): accounts and the issuing root are new, the server certificate stays."""
        argv = ["pebble", "-config", str(self._configuration), "-dnsserver", f"{addresses.RESOLVER}:53"]
        self.program = Launched(argv, self._log, environment=self._environment)
        self.program.until(lambda: self.root_pem() and self._get(self.url), "Pebble answers at both of its ports")

    def stop(self) -> None:
        """End it."""
        self.program.stop()

    def root_pem(self) -> str:
        """The root that issues: what a client must trust to accept the certificates."""
        return self._get(f"{self._management}/roots/0").decode("ascii")

    def issuer(self) -> str:
        """The subject of the intermediate that signs certificates."""
        pem = self._get(f"{self._management}/intermediates/0")
        return x509.load_pem_x509_certificate(pem).subject.rfc4514_string()

    def orders(self) -> int:
        """How many orders were placed since `count_from_here`, finished or not."""
        return len(re.findall(r'Added order "', self._counted_log()))

    def validations(self) -> Counter[str]:
        """How often a challenge was offered for validation, by name (a wildcard counts as its parent)."""
        return Counter(re.findall(r'Pulled a task .*?Value:"([^"]+)"', self._counted_log()))

    def validated(self) -> int:
        """How many challenges were found to be met."""
        return len(re.findall(r" set VALID by ", self._counted_log()))

    def issued(self) -> list[tuple[str, ...]]:
        """The names of every certificate issued, in order of issue."""
        serials = re.findall(r"Issued certificate serial ([0-9a-f]+) ", self._counted_log())
        return [self._names(serial) for serial in serials]

    def count_from_here(self) -> None:
        """Let the three counts begin anew."""
        self._counted_from = len(self.program.log_text())

    def until_issued(self, *names: str, seconds: float = 40) -> None:
        """Wait until there is a certificate for exactly these names."""
        wanted = tuple(sorted(names))
        self.program.until(lambda: wanted in self.issued(), f"a certificate for {wanted} is issued", seconds=seconds)

    def _counted_log(self) -> str:
        return self.program.log_text()[self._counted_from :]

    def _names(self, serial: str) -> tuple[str, ...]:
        status = json.loads(self._get(f"{self._management}/cert-status-by-serial/{serial}"))
        certificate = x509.load_pem_x509_certificate(status["Certificate"].encode("ascii"))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(sorted(names.get_values_for_type(x509.DNSName)))

    def _get(self, url: str) -> bytes:
        context = ssl.create_default_context(cafile=str(self.tls_ca))
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            return bytes(answer.read())
