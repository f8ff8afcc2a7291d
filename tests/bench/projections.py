"""What each service knows from the events of others, how it comes to know it, and how it is built anew."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from libs.events.clock import FixedClock
from libs.events.consumer import POLL_RECORDS
from libs.events.contracts import Applied, Event, SelectedInBatch, TrainingRated
from libs.events.database import Transaction, open_database
from libs.events.ordering import Reaction
from libs.events.programme import load_programmes
from libs.events.topics import TOPIC_OF
from services.disbursement import commands, reactions
from services.disbursement.store import Store as Money
from services.finance.domain.books import MOVES
from services.finance.reactions import record
from services.finance.store import Store as Books
from services.registration.domain.steps import steps_of
from services.registration.reactions import on_told
from services.registration.store import Store as Timelines
from services.selection.reactions import on_applied
from services.selection.store import Store as Draws
from services.training.reactions import on_selected
from services.training.store import Store as Memberships
from tests.bench import records
from tests.bench.consumers import add_effects, consume, everything, fresh
from tests.bench.draw_service import world_at
from tests.bench.records import AT, PROGRAMME, Meter
from tests.bench.world import Where
from tests.integration.selection_world import CLOSES, DRAWS, OPENS

WAVES: Final = range(1, 12)
GRANT_RUPIAH: Final = 5_600_000_000_000
RULES: Final = load_programmes()


class Projection(NamedTuple):
    """Tables that follow from events, with those of their columns that do; and the reactions that fill them.

    Numbers that only tell in which order rows were written are left out.
    """

    service: str
    reactions: Mapping[type[Event], Reaction]
    make: Callable[[int], list[Event]]
    tables: Mapping[str, str]
    prepare: Callable[[Where], Awaitable[None]] | None = None
    """What must be there before, and is nothing that others say."""
    store: str = ""
    """Whose tables, if not the service's own."""
    beside: Mapping[str, str] = {}
    """Other contestants, by what they are called: where they are."""


async def announce(where: Where) -> None:
    """The waves that the applications are for."""
    async with world_at(where) as world:
        for wave in WAVES:
            await world.announce(wave, times=(OPENS, CLOSES, DRAWS))


async def grant(where: Where) -> None:
    """The money that is set aside for winners, enough for a dozen rebuilds: what was set aside is not given back."""
    async with open_database(where.database_url) as database, database.transaction() as tx:
        asked = await commands.propose_appropriation(
            tx, Money(), RULES, programme=PROGRAMME, amount_rupiah=GRANT_RUPIAH, reference="DIPA-1", person="maker",
            now=AT,
        )  # fmt: skip
        await commands.approve_appropriation(tx, Money(), RULES, asked.appropriation_id, "checker", AT)


PROJECTIONS: Final = {
    "effects": Projection(
        "selection",
        {Applied: add_effects},
        records.applications,
        {"effect": "application_id, citizen_id, wave"},
        prepare=fresh,
        store="probe",
    ),
    "timelines": Projection(
        "registration",
        {TrainingRated: partial(on_told, store=Timelines())},
        records.ratings,
        {"timeline": "citizen_id, entry_id, at, what, data"},
        beside={"INSERT alone, timelines": "projections:ready_timelines"},
    ),
    "pools": Projection(
        "selection",
        {Applied: partial(on_applied, store=Draws())},
        records.applications,
        {
            "application": "wave_id, application_id, citizen_id, household_id, province, tier, exclusions, applied_at, "
            "withdrawn_at"
        },
        prepare=announce,
    ),
    "memberships": Projection(
        "training",
        {SelectedInBatch: partial(on_selected, store=Memberships(), programmes=RULES)},
        records.winners,
        {
            "membership": "citizen_id, programme, wave, application_id, province, tier, state, selected_at, "
            "purchase_due, credit_rupiah, entries",
            "credit_entry": "citizen_id, programme, number, kind, amount_rupiah, balance_rupiah, at",
        },
    ),
    "reservations": Projection(
        "disbursement",
        {SelectedInBatch: partial(reactions.on_selected, store=Money(), rules=RULES, clock=FixedClock(AT))},
        records.winners,
        {"reservation": "citizen_id, programme, wave, province, amount_rupiah, reserved_rupiah, reserved_at"},
        prepare=grant,
    ),
    "books": Projection(
        "finance",
        dict.fromkeys(MOVES, partial(record, store=Books())),
        records.payments,
        {
            "entry": "event_id, type, at, programme, amount_rupiah, citizen_id, payout_id, milestone, rail, attempt, "
            "number",
            "book": "programme, events, appropriation_rupiah, available_rupiah, reserved_rupiah, in_flight_rupiah, "
            "paid_rupiah",
            "reservation": "citizen_id, programme, reserved_rupiah, in_flight_rupiah, paid_rupiah, releases",
            "payout": "payout_id, citizen_id, programme, province, milestone, rail, amount_rupiah, attempt, state",
            "total": "programme, province, rail, milestone, submitted, paid, in_flight_rupiah, paid_rupiah",
        },
    ),
}
"""`effects` is no service's: the plainest reaction there can be."""


async def rebuild(where: Where, count: int, projection: str, idle: bool = False) -> dict[str, Any]:
    """Our consumer with the reactions of a projection, from the first record to the last; idle: with empty ones."""
    of = PROJECTIONS[projection]
    return await consume(
        where, of.service, dict.fromkeys(of.reactions, _nothing) if idle else of.reactions, Meter(count)
    )


async def _nothing(*, tx: Transaction, events: Any) -> None:
    """What a reaction costs that does nothing."""


async def ready_timelines(where: Where, count: int) -> dict[str, Any]:
    """Nothing but the projection's INSERT: whole batches of columns that were made beforehand."""
    meter, events = Meter(count), await everything(where, count, TOPIC_OF[TrainingRated.TYPE].name)
    batches = [steps_of(events[start : start + POLL_RECORDS]) for start in range(0, len(events), POLL_RECORDS)]
    async with open_database(where.database_url) as database:
        for batch in batches:
            async with database.transaction() as tx:
                await Timelines().add_steps(tx, batch)
            meter.count(len(batch.entries))
    return {"rate": meter.rate()}
