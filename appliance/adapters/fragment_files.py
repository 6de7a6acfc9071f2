"""`extra/`, where operators put fragments of their own, and the memory of those that passed a trial.

What is found in `extra/` comes from people and editors; nothing of it is trusted to be a file.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from appliance import atomic, directories, logs
from appliance.model import fragments
from appliance.model.errors import GatewayError, InvalidInput, Unavailable
from appliance.model.fragments import LARGEST_FRAGMENT_BYTES, MOST_FRAGMENTS, SUFFIX, Fragment
from appliance.render import trial

log = logs.logger(__name__)

_MEANT_AS_ONE = (".yml", ".toml", ".json")
"""Endings of files that Traefik, or somebody who knows it, would take for configuration."""


class FragmentFiles:
    """Keeps `control.ports.FragmentStore`. `binary` is the Traefik that runs: what another took counts for nothing."""

    def __init__(self, directory: Path, memory: Path, binary: Path) -> None:
        self._directory = directory
        self._memory = memory
        self._binary = binary

    def load(self) -> Mapping[str, Fragment | GatewayError]:
        """Every `.yaml` file as a fragment, or as the reason why it is none; editors' scratch files are passed over."""
        names = [entry.name for entry in self._entries()]
        meant = [name for name in names if not name.startswith(".") and name.endswith((SUFFIX, *_MEANT_AS_ONE))]
        found = {name.removesuffix(SUFFIX): read(self._directory / name) for name in meant}
        return {directories.printable(name): content for name, content in found.items() if content is not None} | {
            directories.printable(name.removesuffix(SUFFIX)): InvalidInput(
                f"there are more than {MOST_FRAGMENTS} fragments: join some"
            )
            for name in meant[MOST_FRAGMENTS:]
        }

    def _entries(self) -> list[directories.Entry]:
        try:
            if self._directory.is_dir():
                return list(directories.entries(self._directory))
            reason = "it is gone"
        except OSError as error:
            reason = str(error.strerror)
        raise Unavailable(
            f"the directory {self._directory} cannot be read ({reason}): bring it back; "
            "the fragments are kept meanwhile"
        )

    def accepted(self) -> Mapping[str, Fragment]:
        """What was kept last; nothing when it was tried with another Traefik, or cannot be read any more."""
        binary, texts = _remembered(self._memory)
        if binary != signature(self._binary):
            return {}
        found: dict[str, Fragment] = {}
        for name, text in texts.items():
            try:
                found[name] = fragments.parse(name, text.encode())
            except GatewayError as error:
                log.warning("fragment is tried anew: the rules have changed since", fragment=name, reason=str(error))
        return found

    def keep(self, accepted: Mapping[str, Fragment]) -> None:
        """Remember these, and with which Traefik they were tried."""
        texts = {name: fragment.text for name, fragment in accepted.items()}
        content = json.dumps({"binary": signature(self._binary), "fragments": texts})
        atomic.write(self._memory, content)


def read(path: Path) -> Fragment | GatewayError | None:
    """The fragment in a file, or why it is none; None when there is no file."""
    if path.suffix != SUFFIX:
        return InvalidInput(f"rename {path.name} to {path.stem}{SUFFIX}: fragments end in {SUFFIX}, and are YAML")
    try:
        return fragments.parse(directories.printable(path.stem), directories.read_limited(path, LARGEST_FRAGMENT_BYTES))
    except FileNotFoundError:
        return None
    except GatewayError as error:
        return error
    except OSError as error:
        return InvalidInput(f"it cannot be read: {error.strerror}")


def withdraw_untried(proxy: Path, memory: Path, binary: Path) -> None:
    """Take copies of fragments out of `proxy/` that were tried with another Traefik than `binary`.

    At Traefik's start one that it cannot read would mean no routes at all. The control plane tries them within
    seconds, and puts back what is good. Raises OSError.
    """
    known, _ = _remembered(memory)
    if known == signature(binary):
        return
    for path in proxy.glob(trial.file_name("*")):
        path.unlink(missing_ok=True)
        log.info("fragment taken out until it is tried with this Traefik", file=path.name)


def signature(binary: Path) -> str:
    """What tells one Traefik from another without starting it."""
    path = binary.resolve()
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _remembered(memory: Path) -> tuple[str | None, Mapping[str, str]]:
    try:
        content = json.loads(memory.read_bytes())
        return str(content["binary"]), {str(name): str(text) for name, text in content["fragments"].items()}
    except FileNotFoundError:
        return None, {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("the memory of tried fragments is not readable; they are tried anew", error=str(error))
        return None, {}
