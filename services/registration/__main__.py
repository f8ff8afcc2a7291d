"""`python -m services.registration [api] [worker] [relay] [jobs]`: all roles unless some are named."""

from libs.events.runtime import run
from services.registration.main import service

run(service)
