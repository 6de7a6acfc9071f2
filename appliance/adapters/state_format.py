"""The file `state/format`: checked before anything else under the root is read, written at the first start."""

import os
from pathlib import Path

from appliance import atomic, logs
from appliance.layout import Root
from appliance.model import state_formats
from appliance.model.errors import GatewayError, InvalidInput, Refused

log = logs.logger(__name__)

_LONGEST_BYTES = 64


def check(root: Root) -> int:
    """The format of what lies there. Raises GatewayError, in one line, when this version cannot use it."""
    if _is_there(root.unfinished_restore):
        raise Refused(f"a restore into {root.path} was interrupted: give `gateway restore FILE` once more")
    try:
        found = state_formats.parse(_read(root.format))
        state_formats.steps(found)
    except InvalidInput as error:
        raise GatewayError(f"{root.format}: {error}") from error
    except Refused as error:
        raise Refused(f"{root.path}: {error}") from error
    return found


def bring_up_to_date(root: Root) -> None:
    """Note the current format, after the steps from the one that is there. Raises GatewayError.

    There is one format so far, so nothing has to be changed on the way.
    """
    found = check(root)
    for step in state_formats.steps(found):
        log.info("state brought to a newer format", format=step)
    if not root.format.exists() or found != state_formats.CURRENT:
        try:
            atomic.write(root.format, f"{state_formats.CURRENT}\n")
        except OSError as error:
            raise GatewayError(f"cannot write {root.format}: {error.strerror}") from error


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise _unreadable(path.parent, error) from error


def _unreadable(path: Path, error: OSError) -> GatewayError:
    hint = f": make it readable for this user (uid {os.geteuid()})" if isinstance(error, PermissionError) else ""
    return GatewayError(f"cannot read {path}: {error.strerror}{hint}")
