"""`python -m services.disbursement [api] [worker] [relay] [jobs]`: all roles unless some are named."""

from libs.events.runtime import run
from services.disbursement.main import service

run(service)
