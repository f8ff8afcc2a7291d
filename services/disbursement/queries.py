"""The named queries of this service, read once."""

from pathlib import Path
from typing import Any, Final

from libs.events.database import load_queries

QUERIES: Final[Any] = load_queries(Path(__file__).with_name("queries.sql"))
