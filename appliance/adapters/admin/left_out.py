"""Parts of FastAPI and uvicorn that come with every import of them, and that nothing here uses.

They would take five megabytes for as long as the control plane runs. Whoever has loaded one before keeps it.
"""

import sys
from types import ModuleType

from pydantic import BaseModel


def leave_out() -> None:
    """To be called before FastAPI and uvicorn are imported."""
    # FastAPI asks of each model whether it is one of pydantic's first version, and where that is missing it is none.
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]  # an import of it fails
    sys.modules.setdefault("uvicorn.main", _empty("uvicorn.main", "Server", "main", "run"))
    _defer_the_documents_models()


def _defer_the_documents_models() -> None:
    """FastAPI's models of the OpenAPI document itself are built when somebody asks for the document."""
    BaseModel.model_config["defer_build"] = True
    try:
        import fastapi.openapi.models  # noqa: F401, PLC0415
    finally:
        del BaseModel.model_config["defer_build"]


def _empty(name: str, *names: str) -> ModuleType:
    """In place of uvicorn's command line, which brings click and multiprocessing along."""
    module = ModuleType(name)
    module.__dict__.update(dict.fromkeys(names))
    return module
