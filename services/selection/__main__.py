"""`python -m services.selection [api] [worker] [relay] [jobs]`."""

from libs.events.runtime import run
from services.selection.main import service

run(service)
