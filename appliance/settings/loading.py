"""Settings from their sources: the file, then the `GATEWAY__*` variables over it, checked as a whole."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from appliance.model import documents
from appliance.model.errors import InvalidInput, InvalidSettings
from appliance.settings.sections import Settings

DEFAULT_FILE = Path("/etc/gateway/gateway.yaml")
_LARGEST_FILE_BYTES = 1024 * 1024
_ENVIRONMENT_PREFIX = "GATEWAY__"


def find(root: Path, environment: Mapping[str, str], explicit: Path | None = None) -> Path:
    """The settings file: `--config`, `GATEWAY_CONFIG`, /etc/gateway/gateway.yaml if it is there, else the root's."""
    if explicit is not None:
        return explicit
    if environment.get("GATEWAY_CONFIG"):
        return Path(environment["GATEWAY_CONFIG"])
    return DEFAULT_FILE if DEFAULT_FILE.exists() else root / "gateway.yaml"


def load(path: Path, environment: Mapping[str, str]) -> Settings:
    """The settings in `path` (a missing file is an empty one), overlaid with the `GATEWAY__*` variables.

    Raises InvalidSettings, one line a fault, each naming its key and what to do.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raw = b""
    except OSError as error:
        raise InvalidSettings(f"cannot read the settings file {path}: {error.strerror}") from error
    return parse(raw, path, environment)


def parse(raw: bytes, path: Path, environment: Mapping[str, str]) -> Settings:
    """`load` of a text that is, or is going to be, in `path`. Raises InvalidSettings."""
    try:
        document = documents.parse(raw, _LARGEST_FILE_BYTES)
        values = documents.mapping(document if document is not None else {}, "the settings file")
    except InvalidInput as error:
        raise InvalidSettings(f"{path}: {error}") from error
    try:
        return Settings.model_validate(_overlaid(values, environment))
    except ValidationError as error:
        faults = "\n".join(f"{path}: {_fault(item)}" for item in error.errors(include_url=False))
        raise InvalidSettings(faults) from error


def _overlaid(values: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    for variable, text in sorted(environment.items()):
        if not variable.startswith(_ENVIRONMENT_PREFIX):
            continue
        *sections, key = variable.removeprefix(_ENVIRONMENT_PREFIX).lower().split("__")
        section: dict[str, Any] | None = values
        for depth, name in enumerate(sections):
            section = None if section is None else _inner(section, name, sections[:depth])
        if section is not None:
            section[key] = _from_environment(text)
    return values


def _inner(section: dict[str, Any], name: str, path: list[str]) -> dict[str, Any] | None:
    """What is below `name` in a section, for a variable to write into.

    None: it is switched off, and stays so; or it is no section, which whoever checks the whole will say.
    """
    inner = section.get(name)
    if inner is None:
        if name in section and _is_on_by_itself(path, name):
            return None
        inner = {}
    if not isinstance(inner, dict):
        return None
    made: dict[str, Any] = dict(inner)
    section[name] = made
    return made


def _is_on_by_itself(path: list[str], name: str) -> bool:
    """Whether null means "off" for this section, and not just that nothing is said."""
    model = _model_at(path)
    field = model.model_fields.get(name) if model else None
    return field is not None and field.default is not None and type(None) in get_args(field.annotation)


def _from_environment(text: str) -> Any:
    """JSON where it is JSON of a shape no plain string has (lists, mappings, true, null); else the text itself."""
    if text[:1] in ("[", "{", '"') or text in ("true", "false", "null"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _fault(item: Any) -> str:
    path = [str(part) for part in item["loc"]]
    where = ".".join(path) or "the settings"
    if item["type"] == "extra_forbidden":
        return f"{where}: {documents.unknown_key(path[-1], _known_keys(path[:-1]))}"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}"


def _known_keys(path: list[str]) -> list[str]:
    model = _model_at(path)
    return list(model.model_fields) if model else []


def _model_at(path: list[str]) -> type[BaseModel] | None:
    """The section that these keys lead to; None: there is no such section."""
    model: type[BaseModel] | None = Settings
    for part in path:
        field = model.model_fields.get(part) if model else None
        candidates = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)), None)
    return model
