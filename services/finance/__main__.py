"""`python -m services.finance [api] [worker] [relay] [jobs]`: all roles unless some are named."""

from libs.events.runtime import run
from services.finance.main import service

run(service)
