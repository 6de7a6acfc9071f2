"""The authority under floods against NSD under the same: what becomes of the questions of others.

One core floods, the other serves, and a thousand questions come from networks that ask little, as stub resolvers ask:
again after 200 ms, for a second. Ours limits answers as it does by default, NSD does not. Floods as in the tests, but
as many datagrams as the core can send also from networks that stay within their share, where nobody is limited.
"""

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.peers import authority, floods, nameservers
from tests.peers.authority import APEX
from tests.peers.probers import Probers
from tests.unit.dns_messages import VALUE

_QUESTIONS = 1000
_ENOUGH = 990
_FLOODS = (("valid", 30_000), ("valid", 2000), ("random", 30_000), ("garbage", 30_000))
_SECONDS = 60  # at most: each is ended when all have asked
_NSD, _OURS = "NSD", "ours"


def main() -> int:
    """Print how many were answered and how many tries that took, medians; 1 when ours were not enough."""
    parser = argparse.ArgumentParser(description="DNS authority under floods, against NSD")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    is_missed = False
    with tempfile.TemporaryDirectory(prefix="gw") as name, ExitStack() as stack:
        ports = _start(stack, Path(name))
        for kind, prefixes in _FLOODS:
            flood = (
                f"{kind} questions from {prefixes:,} networks" if kind != "garbage" else f"garbage from {prefixes:,}"
            )
            found = {name: _Found() for name in ports}
            for _ in range(rounds):
                for server, port in ports.items():
                    found[server].add(kind, port, prefixes)
            for server in ports:
                print(f"dns-flood: {flood}: {server}: {found[server].text()}", flush=True)
            enough = found[_OURS].answered() / _ENOUGH
            tries = found[_OURS].per_try() / found[_NSD].per_try()
            print(f"dns-flood: {flood}: answered, ours to 99 of 100: ratio {enough:.2f} (target 1.00)")
            print(f"dns-flood: {flood}: answers to a try, ours to NSD: ratio {tries:.2f} (no target)")
            is_missed |= enough < 1
    return int(is_missed)


def _start(stack: ExitStack, directory: Path) -> dict[str, int]:
    """Both servers, with one value at the apex; each idles while the other is flooded. Name -> port."""
    zone = (
        f"$ORIGIN {APEX}.\n@ 60 IN SOA {authority.DOMAIN}. hostmaster.{authority.DOMAIN}. 1 60 60 3600 1\n"
        f'@ 60 IN NS {authority.DOMAIN}.\n@ 1 IN TXT "{VALUE}"\n'
    )
    nsd = stack.enter_context(nameservers.nsd(directory / "nsd", {APEX: zone}, nameservers.free_port()))
    ours = stack.enter_context(authority.running(directory / "ours", per_second=20))
    authority.present(directory / "ours", APEX, VALUE)
    return {_NSD: nsd, _OURS: authority.port_of(ours)}


class _Found:
    """What became of the questions, round by round."""

    def __init__(self) -> None:
        self._rounds: list[tuple[float, int, float]] = []

    def add(self, kind: str, port: int, prefixes: int) -> None:
        """One round: flood, and ask meanwhile."""
        flood = floods.start(kind, port, _SECONDS, prefixes)
        with Probers(port, _QUESTIONS) as probers:
            pass
        sent = floods.end(flood)
        self._rounds.append((sent / probers.seconds, probers.answered, probers.answered / probers.tries))

    def answered(self) -> float:
        """Of a thousand questions, the median of the rounds."""
        return statistics.median(answered for _, answered, _ in self._rounds)

    def per_try(self) -> float:
        """Answers to each time that one of them was asked, the median of the rounds."""
        return statistics.median(per_try for _, _, per_try in self._rounds)

    def text(self) -> str:
        """For people."""
        rate = statistics.median(rate for rate, _, _ in self._rounds)
        least = min(answered for _, answered, _ in self._rounds)
        return (
            f"{self.answered():g} of {_QUESTIONS:,} answered within a second (least {least}), "
            f"{self.per_try():.2f} answers to a try, beside {rate:,.0f} a second"
        )
