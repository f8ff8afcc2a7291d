"""Puts selection together. The only file that knows everybody."""

from functools import partial
from pathlib import Path
from typing import Final

from libs.events.access import open_access
from libs.events.clock import open_clock
from libs.events.contracts import ApplicationWithdrawn, Applied, IntakeClosed, MembershipRevoked
from libs.events.programme import load_programmes
from libs.events.runtime import Service
from libs.events.settings import load_settings
from services.selection.api import create_api
from services.selection.beacon_client import BeaconClient
from services.selection.domain.quotas import parse_provinces
from services.selection.draws import Machine
from services.selection.jobs import jobs
from services.selection.pool_store import PoolStore
from services.selection.reactions import on_applied, on_intake_closed, on_revoked, on_withdrawn
from services.selection.settings import Settings
from services.selection.signing import load_signer
from services.selection.store import Store

PROVINCES: Final = Path(__file__).parent / "data" / "provinces_2020.csv"


def service(settings: Settings | None = None) -> Service:
    """Selection, ready to run."""
    settings = settings or load_settings(Settings)
    clock = open_clock(settings.clock)
    store, pools = Store(), PoolStore()
    programmes, provinces = load_programmes(settings.programmes), parse_provinces(PROVINCES.read_text())
    machine = Machine(
        store=store,
        pools=pools,
        programmes=programmes,
        beacon=BeaconClient(settings.beacon_urls, settings.beacon_chain),
        signer=load_signer(settings.draw_key_file),
        clock=clock,
    )
    access = open_access(settings.staff_issuer, settings.staff_jwks, settings.citizen_jwks, clock)
    return Service(
        name="selection",
        settings=settings,
        clock=clock,
        api=create_api(store, pools, programmes, provinces, access, machine.signer.public_key),
        reactions={
            Applied: partial(on_applied, store=store),
            ApplicationWithdrawn: partial(on_withdrawn, store=store),
            IntakeClosed: partial(on_intake_closed, store=store),
            MembershipRevoked: partial(on_revoked, store=store),
        },
        jobs=jobs(machine),
    )
