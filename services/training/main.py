"""Puts the service together: the only file that knows everybody."""

from functools import partial

from libs.events.access import open_access
from libs.events.batch import Batcher
from libs.events.clock import open_clock
from libs.events.contracts import SelectedInBatch
from libs.events.jobs import Every
from libs.events.programme import load_programmes
from libs.events.runtime import Service
from libs.events.settings import load_settings
from services.training import commands
from services.training.api import create_api
from services.training.domain.purchase import Order, Receipt
from services.training.domain.rating import Rating
from services.training.jobs import revoke_lapsed
from services.training.reactions import on_selected
from services.training.settings import Settings
from services.training.store import Store


def service(settings: Settings | None = None) -> Service:
    """Training, ready to run; settings come from the environment unless given."""
    settings = settings or load_settings(Settings)
    store, programmes, clock = Store(), load_programmes(settings.programmes), open_clock(settings.clock)
    access = open_access(settings.staff_issuer, settings.staff_jwks, settings.citizen_jwks, clock)
    purchases = Batcher[Order, Receipt](partial(commands.purchase, store=store, programmes=programmes))
    ratings = Batcher[Rating, Rating](partial(commands.rate_courses, store=store))
    return Service(
        name="training",
        settings=settings,
        clock=clock,
        api=create_api(store, programmes, access, purchases, ratings),
        reactions={SelectedInBatch: partial(on_selected, store=store, programmes=programmes)},
        jobs=[Every(name="revoke-lapsed", minutes=10, run=partial(revoke_lapsed, store=store, limit=5_000))],
        resources=[purchases, ratings],
    )
