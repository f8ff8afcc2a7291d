"""Over a real Kafka: what selection and training say becomes money, and what can not be paid for is set aside."""

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

from libs.events import outbox, parking
from libs.events.contracts import Event, SelectedInBatch
from libs.events.database import open_database
from libs.events.ordering import Reaction
from services.disbursement.reactions import on_selected
from services.disbursement.store import Store
from tests.conftest import MakeDatabase
from tests.integration.conftest import Party
from tests.integration.disbursement import RULES, TOTAL, jakarta
from tests.integration.disbursement_people import person
from tests.integration.disbursement_reading import PROGRAMME

AT = jakarta("2020-05-01 09:00")


def winner(name: str) -> SelectedInBatch:
    return SelectedInBatch(
        application_id=person(f"application of {name}").citizen_id,
        citizen_id=person(name).citizen_id,
        programme=PROGRAMME,
        wave=1,
        province="31",
        tier="public",
        ticket="0" * 64,
        rank=1,
        at=AT,
    )


async def test_what_the_appropriation_does_not_cover_is_parked_and_redriven_after_a_grant(
    party: Callable[[str], Awaitable[Party]], database: MakeDatabase
) -> None:
    from services.disbursement import commands

    store = Store()
    selection, disbursement = await party("selection"), await party("disbursement")
    async with contextlib.AsyncExitStack() as stack:
        disbursement.database = await stack.enter_async_context(open_database(database("disbursement").app_url))
        disbursement.clock.at = AT

        async def grant(rupiah: int, reference: str) -> None:
            async with disbursement.database.transaction() as tx:
                made = await commands.propose_appropriation(
                    tx,
                    store,
                    RULES,
                    programme=PROGRAMME,
                    amount_rupiah=rupiah,
                    reference=reference,
                    person="ani",
                    now=AT,
                )
                await commands.approve_appropriation(tx, store, RULES, made.appropriation_id, "budi", AT)

        async def figures() -> dict[str, int]:
            async with disbursement.database.connection() as reading:
                return await store.balances(reading, PROGRAMME)

        async def parked() -> int:
            return len(await parking.listed(disbursement.database))

        await grant(3 * TOTAL, "first")
        async with selection.database.transaction() as tx:
            await outbox.add(tx, [winner(f"winner {number}") for number in range(5)])
        await selection.relay()
        reactions: dict[type[Event], Reaction] = {
            SelectedInBatch: partial(on_selected, store=store, rules=RULES, clock=disbursement.clock)
        }
        async with disbursement.consuming(reactions):

            async def all_seen() -> bool:
                return await parked() == 2

            await disbursement.until(all_seen)
        assert (await figures())["reserved"] == 3 * TOTAL
        reasons = {row["reason"] for row in await parking.listed(disbursement.database)}
        assert reasons == {"appropriation-overdrawn"}
        await grant(2 * TOTAL, "second")
        await parking.redrive(disbursement.database, reactions)
        assert await parked() == 0
        assert (await figures())["reserved"] == 5 * TOTAL
        assert (await figures())["available"] == 0
