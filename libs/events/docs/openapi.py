"""OpenAPI documents of the services, from their FastAPI applications.

An application is made by the service's own `create_api`, without settings, database or network: what a route would use
at work is only handed through when the routes are made. Only who may call is real, since it is part of the document.
"""

import importlib
import inspect
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from unittest.mock import MagicMock

from fastapi import FastAPI

from libs.events.access import Access, open_access
from libs.events.clock import FixedClock
from libs.events.docs.schemas import pretty

ROOT: Final = Path(__file__).parents[3]
FOLDER: Final = ROOT / "docs/api"


def path_of(service: str) -> Path:
    return FOLDER / f"{service}.json"


def document(service: str) -> str:
    """The OpenAPI document of a service. Raises whatever its modules raise when they can not be used."""
    create = importlib.import_module(f"services.{service}.api").create_api
    api: FastAPI = create(
        **{name: _stand_in(p) for name, p in inspect.signature(create, eval_str=True).parameters.items()}
    )
    return pretty(api.openapi())


def _stand_in(parameter: inspect.Parameter) -> Any:
    if parameter.annotation is Access:
        return open_access("", "", "", FixedClock(datetime.fromtimestamp(0, UTC)))
    return MagicMock(name=parameter.name)
