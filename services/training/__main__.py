"""`python -m services.training [api] [worker] [relay] [jobs]`: all roles unless some are named."""

from libs.events.runtime import run
from services.training.main import service

run(service)
