"""Puts registration together: the only file that knows everybody."""

from datetime import timedelta
from functools import partial

from libs.events.access import open_access
from libs.events.citizen_tokens import CitizenTokens
from libs.events.clock import open_clock
from libs.events.contracts import (
    AppealDecided,
    AppealLodged,
    Event,
    IncentiveFailed,
    IncentivePaid,
    IncentiveReturned,
    IncentiveSubmitted,
    MembershipRevoked,
    MoneyReserved,
    NotSelected,
    ReservationReleased,
    SelectedInBatch,
    TrainingCompleted,
    TrainingRated,
    WaveAnnounced,
    WaveClosed,
    WaveCommitted,
    WaveDrawn,
    WaveDrawSetAside,
    WaveOpened,
    WavePublished,
    WaveRescheduled,
    WaveVoided,
)
from libs.events.jobs import Errand
from libs.events.ordering import Reaction
from libs.events.programme import load_programmes
from libs.events.runtime import Service
from libs.events.settings import load_settings
from services.registration import jobs, reactions
from services.registration.api import create_api
from services.registration.hot import open_hot
from services.registration.outside import CivilRegistry, Gateway
from services.registration.seal import Sealer
from services.registration.settings import Settings
from services.registration.store import Store
from services.registration.store_due import DueStore
from services.registration.store_waves import WaveStore
from services.registration.vault import open_vault

MOVED = (WaveOpened, WaveCommitted, WaveDrawn, WaveDrawSetAside, WavePublished)
TOLD = (
    AppealLodged,
    AppealDecided,
    MoneyReserved,
    TrainingCompleted,
    TrainingRated,
    IncentiveSubmitted,
    IncentivePaid,
    IncentiveFailed,
    IncentiveReturned,
    ReservationReleased,
)


def service(settings: Settings | None = None) -> Service:
    """Registration, ready to run. Raises ValueError where a key file holds something else."""
    settings = settings or load_settings(Settings)
    clock, programmes = open_clock(settings.clock), load_programmes(settings.programmes)
    store, due, vault = Store(), DueStore(), open_vault(settings.identity_keys_file)
    registry, gateway = CivilRegistry(settings.civil_registry_url), Gateway(settings.messages_url)
    hot = open_hot(store, vault, programmes)
    return Service(
        name="registration",
        settings=settings,
        clock=clock,
        api=create_api(
            store=store,
            vault=vault,
            hot=hot,
            access=open_access(settings.staff_issuer, settings.staff_jwks, settings.citizen_jwks, clock),
            tokens=CitizenTokens(settings.citizen_key_file, clock),
            sealer=Sealer("disbursement", settings.disbursement_jwk_file),
            programmes=programmes,
            token_lifetime=timedelta(days=settings.citizen_token_days),
        ),
        reactions=reactions_of(store, WaveStore()),
        jobs=[
            Errand(
                name="check-identities",
                seconds=5,
                run=partial(jobs.check_identities, due=due, store=store, vault=vault, registry=registry),
            ),
            Errand(
                name="send-messages", seconds=2, run=partial(jobs.send_messages, due=due, vault=vault, gateway=gateway)
            ),
        ],
        resources=[registry, gateway, *hot.all()],
    )


def reactions_of(store: Store, waves: WaveStore) -> dict[type[Event], Reaction]:
    """Every event registration reacts to. Its own need no reaction: they are in the timeline already."""
    moved: Reaction = partial(reactions.on_wave_moved, waves=waves)
    told: Reaction = partial(reactions.on_told, store=store)
    return {
        WaveAnnounced: partial(reactions.on_wave_announced, waves=waves),
        WaveRescheduled: partial(reactions.on_wave_rescheduled, waves=waves),
        WaveClosed: partial(reactions.on_wave_closed, waves=waves),
        WaveVoided: partial(reactions.on_wave_voided, waves=waves),
        SelectedInBatch: partial(reactions.on_selected, store=store, waves=waves),
        NotSelected: partial(reactions.on_not_selected, store=store, waves=waves),
        MembershipRevoked: partial(reactions.on_revoked, store=store, waves=waves),
        **dict.fromkeys(MOVED, moved),
        **dict.fromkeys(TOLD, told),
    }
