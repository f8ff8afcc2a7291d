"""Finance, put together. The only file that knows all its parts."""

from functools import partial

from libs.events.access import open_access
from libs.events.clock import open_clock
from libs.events.jobs import Every
from libs.events.runtime import Service
from libs.events.settings import load_settings
from services.finance.api import create_api
from services.finance.domain.books import MOVES
from services.finance.jobs import prove
from services.finance.reactions import record
from services.finance.settings import Settings
from services.finance.store import Store
from services.finance.windows_client import WindowsClient


def service(settings: Settings | None = None) -> Service:
    """Finance from its settings; without any given, from the environment."""
    settings = settings or load_settings(Settings)
    clock = open_clock(settings.clock)
    store, windows = Store(), WindowsClient(settings.windows_url)
    access = open_access(settings.staff_issuer, settings.staff_jwks, settings.citizen_jwks, clock)
    return Service(
        name="finance",
        settings=settings,
        clock=clock,
        api=create_api(store, access, windows),
        reactions=dict.fromkeys(MOVES, partial(record, store=store)),
        jobs=[Every(name="prove-books", minutes=10, run=partial(prove, store=store, limit=20))],
        resources=[windows],
    )
