"""Purchases on a real store: retries, crowds, and the constraints that stand behind the rules."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from libs.events import ids
from libs.events.database import load_queries
from libs.events.ordering import CanNotApply
from libs.events.refusal import Refusal, Refused
from services import training
from services.training.domain.course import Course
from services.training.domain.purchase import Order, Receipt
from tests.conftest import MakeDatabase
from tests.integration.training_desk import Desk, desk_at
from tests.unit.training_examples import PRAKERJA_2023, draft, jakarta, selection, winner


@pytest.fixture
async def desk(database: MakeDatabase) -> AsyncIterator[Desk]:
    async with desk_at(database("training").app_url) as desk:
        yield desk


def wish(citizen_id: str, course: Course, purchase: str = "one") -> Order:
    return Order(citizen_id, course.course_id, ids.derive("purchase", citizen_id, purchase))


def code(answer: Receipt | Refusal) -> str:
    return answer.code if isinstance(answer, Refusal) else "bought"


async def test_the_same_purchase_again_gets_the_same_receipt_and_costs_nothing(desk: Desk) -> None:
    [sari] = await desk.winners("sari")
    course = await desk.offer()
    [first] = await desk.bought(wish(sari, course))
    second, third = await desk.bought(wish(sari, course), wish(sari, course))
    assert first == second == third
    assert (await desk.member(sari))["credit_rupiah"] == 600_000
    assert (await desk.row("SELECT seats_taken FROM course"))["seats_taken"] == 1


async def test_a_retry_after_the_course_began_still_gets_its_receipt(desk: Desk) -> None:
    [sari] = await desk.winners("sari")
    course = await desk.offer()
    assert await desk.bought(wish(sari, course)) == await desk.bought(wish(sari, course), at="2020-05-05")


async def test_a_purchase_id_is_not_used_for_a_second_course(desk: Desk) -> None:
    [sari] = await desk.winners("sari")
    barista, las = await desk.offer(), await desk.offer(draft("las"))
    await desk.bought(wish(sari, barista, "one"))
    assert [code(answer) for answer in await desk.buy(wish(sari, las, "one"))] == ["purchase-id-used"]


async def test_one_batch_counts_seats_and_balance_in_the_order_of_arrival(desk: Desk) -> None:
    sari, budi, ani = await desk.winners("sari", "budi", "ani")
    scarce = await desk.offer(draft("scarce", seats=2, price_rupiah=700_000))
    las = await desk.offer(draft("las"))
    answers = await desk.buy(
        wish(sari, scarce, "a"),
        wish(sari, scarce, "b"),
        wish(sari, las, "c"),
        wish(budi, scarce),
        wish(ani, scarce),
        wish(ids.derive("citizen", "nobody"), las),
    )
    told = [code(answer) for answer in answers]
    assert told == ["bought", "already-bought", "price-above-balance", "bought", "no-seats-left", "not-a-member"]


async def test_a_crowd_for_the_last_seats_never_gets_more_than_there_are(desk: Desk) -> None:
    people = await desk.winners(*(f"citizen {number}" for number in range(60)))
    courses = [await desk.offer(draft(f"course-{number}", seats=7, price_rupiah=100_000)) for number in range(3)]
    # Everybody wants every course, each in an order of their own, all at once, in transactions of their own.
    wishes = [
        [wish(who, courses[(place + shift) % 3], str((place + shift) % 3)) for shift in range(3)]
        for place, who in enumerate(people)
    ]
    answers = await asyncio.gather(*(desk.buy(*each) for each in wishes))
    assert sum(isinstance(answer, Receipt) for each in answers for answer in each) == 21
    row = await desk.row(
        "SELECT (SELECT array_agg(seats_taken) FROM course) AS taken,"
        " (SELECT count(*) FROM enrolment) AS enrolments,"
        " (SELECT sum(1000000 - credit_rupiah) FROM membership) AS spent"
    )
    assert (row["taken"], row["enrolments"], row["spent"]) == ([7, 7, 7], 21, 2_100_000)


async def test_one_member_in_many_transactions_at_once_spends_the_credit_once(desk: Desk) -> None:
    [sari] = await desk.winners("sari")
    courses = [await desk.offer(draft(f"course-{number}", price_rupiah=300_000)) for number in range(12)]
    answers = await asyncio.gather(*(desk.buy(wish(sari, each, each.course_id)) for each in courses))
    assert sorted(code(answer) for [answer] in answers) == ["bought"] * 3 + ["price-above-balance"] * 9
    assert (await desk.member(sari))["credit_rupiah"] == 100_000


async def test_the_same_purchase_sent_at_once_by_two_servers_is_one(desk: Desk) -> None:
    [sari] = await desk.winners("sari")
    course = await desk.offer()
    answers = await asyncio.gather(*(desk.buy(wish(sari, course)) for _ in range(8)))
    assert len({answer.redeem_code for [answer] in answers if isinstance(answer, Receipt)}) == 1
    assert (await desk.row("SELECT count(*) AS n FROM credit_entry WHERE kind = 'purchase'"))["n"] == 1


async def test_the_same_selection_again_changes_nothing(desk: Desk) -> None:
    [sari] = await desk.winners("sari")
    await desk.bought(wish(sari, await desk.offer()))
    await desk.select(selection("sari"), selection("budi"))
    assert (await desk.member(sari))["credit_rupiah"] == 600_000
    assert (await desk.row("SELECT count(*) AS n FROM credit_entry WHERE kind = 'granted'"))["n"] == 2


async def test_a_second_selection_of_the_same_citizen_is_not_swallowed(desk: Desk) -> None:
    await desk.winners("sari")
    with pytest.raises(CanNotApply):
        await desk.select(selection("sari").model_copy(update={"application_id": ids.derive("another")}))


async def test_a_member_of_two_programmes_buys_with_the_later_one(desk: Desk) -> None:
    [sari] = await desk.winners("sari")
    await desk.select(selection("sari", PRAKERJA_2023, "2023-02-24"))
    course = await desk.offer(draft(starts="2023-03-06 09:00", price_rupiah=2_000_000))
    [receipt] = await desk.bought(wish(sari, course), at="2023-03-01")
    assert receipt.balance_rupiah == 1_500_000


async def test_an_offer_is_idempotent_and_its_code_stays_taken(desk: Desk) -> None:
    first = await desk.offer()
    assert await desk.offer(at="2020-06-01") == first, "also when the session has begun meanwhile"
    with pytest.raises(Refused, match="code-taken"):
        await desk.offer(replace(draft(), seats=31))
    assert (await desk.offer(partner="partner-b")).course_id != first.course_id


ENTRY = (
    "INSERT INTO credit_entry (citizen_id, programme, number, kind, amount_rupiah, before_rupiah, balance_rupiah,"
    " enrolment_id, at) SELECT citizen_id, programme, 3, {}, bought_at FROM enrolment"
)
CERTIFICATE = (
    "INSERT INTO certificate (certificate_id, enrolment_id, score, last_day, issued_at)"
    " SELECT gen_random_uuid(), enrolment_id, {}, 3, bought_at FROM enrolment"
)


@pytest.mark.parametrize(
    ("constraint", "sql"),
    [
        ("course_not_oversold", "UPDATE course SET seats_taken = seats + 1"),
        ("membership_credit_rupiah_check", "UPDATE membership SET credit_rupiah = -1"),
        ("membership_balance_is_the_ledgers", "UPDATE membership SET credit_rupiah = credit_rupiah + 1"),
        ("credit_never_negative", ENTRY.format("'purchase', -600001, 600000, -1, enrolment_id")),
        ("credit_entry_chain", ENTRY.format("'refund', 1, 999999, 1000000, enrolment_id")),
        ("credit_never_cash", ENTRY.format("'payout', -600000, 600000, 0, NULL")),
        ("credit_entry_of_enrolment", ENTRY.format("'purchase', -1, 600000, 599999, enrolment_id")),
        (
            "enrolment_course_once",
            "INSERT INTO enrolment (enrolment_id, citizen_id, programme, course_id, price_rupiah, redeem_code, state,"
            " bought_at) SELECT gen_random_uuid(), citizen_id, programme, course_id, 1, 'ZZZZZZZZZZZZZZZZ', 'bought',"
            " bought_at FROM enrolment",
        ),
        ("certificate_after_attendance", CERTIFICATE.format("60")),
        ("certificate_score_check", CERTIFICATE.format("59")),
    ],
)
async def test_the_database_itself_refuses_what_no_rule_allows(desk: Desk, constraint: str, sql: str) -> None:
    [sari] = await desk.winners("sari")
    await desk.bought(wish(sari, await desk.offer()))
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as error:
        async with desk.database.transaction() as tx:
            await tx.execute(sql)
    assert getattr(error.value, "constraint_name", None) == constraint


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE credit_entry SET amount_rupiah = 0",
        "DELETE FROM credit_entry",
        "UPDATE enrolment SET price_rupiah = 1",
        "UPDATE enrolment SET citizen_id = gen_random_uuid()",
        "DELETE FROM enrolment",
        "UPDATE course SET seats = 1000",
        "UPDATE attendance SET sequence = 999",
        "DROP TABLE rating",
    ],
)
async def test_the_running_service_has_no_right_to_rewrite_history(desk: Desk, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with desk.database.transaction() as tx:
            await tx.execute(sql)


SOME_IDS = [ids.derive("one"), ids.derive("two")]


@pytest.mark.parametrize(
    ("query", "index", "values"),
    [
        ("courses_ahead", "course_ahead", (jakarta("2020-04-20"), jakarta("2020-04-20"), SOME_IDS[0], 6, 1_000_000, 9)),
        ("courses_lock", "course_pkey", (SOME_IDS,)),
        ("members_lock", "membership_pkey", (SOME_IDS,)),
        ("members_due", "membership_due", (jakarta("2020-04-20"), 9)),
        ("enrolments_of_citizens", "enrolment_course_once", (SOME_IDS,)),
        ("enrolments_show", "enrolment_course_once", (SOME_IDS[0],)),
        ("enrolments_lock_codes", "enrolment_redeem_code_once", (["A", "B"],)),
        ("enrolments_lock_open", "enrolment_of_course", (SOME_IDS[0],)),
        ("attendance_of", "attendance_pkey", (SOME_IDS,)),
    ],
)
async def test_a_hot_query_uses_its_index(desk: Desk, query: str, index: str, values: tuple[object, ...]) -> None:
    sql = getattr(load_queries(Path(training.__file__).with_name("queries.sql")), query).sql
    async with desk.database.transaction() as tx:
        # The tables are empty here, where reading all of them is always the cheapest plan.
        await tx.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plan = "\n".join(row[0] for row in await tx.fetch(f"EXPLAIN {sql}", *values))
    assert f" {index} " in plan, plan
    assert "Seq Scan" not in plan, plan


async def test_a_lapsed_member_is_revoked_once_and_a_buyer_is_not(desk: Desk) -> None:
    sari, budi = await desk.winners("sari", "budi")
    await desk.bought(wish(budi, await desk.offer()))
    assert await desk.sweep("2020-05-17 23:59:59") == 0
    assert await desk.sweep("2020-05-18 00:00:00") == 1
    assert await desk.sweep("2020-05-18 00:00:00") == 0
    [event] = await desk.told("membership-revoked")
    assert (event["citizen_id"], event["released_rupiah"], event["reason"]) == (sari, 1_000_000, "no-purchase-in-time")
    assert (event["province"], event["tier"], event["wave"]) == ("31", "priority", 1)
    assert dict(await desk.member(sari))["state"] == "revoked"
    assert [code(one) for one in await desk.buy(wish(sari, await desk.offer()), at="2020-05-18")] == [
        "membership-revoked"
    ]


async def test_the_sweep_takes_its_limit_and_goes_on_with_the_rest(desk: Desk) -> None:
    await desk.winners(*(f"citizen {number}" for number in range(25)))
    assert [await desk.sweep("2020-06-01", limit=10) for _ in range(4)] == [10, 10, 5, 0]
    assert len(await desk.told("membership-revoked")) == 25


async def test_who_is_buying_at_this_moment_wins_over_the_sweep(desk: Desk) -> None:
    [sari] = await desk.winners("sari")
    async with desk.database.transaction() as buying:
        await desk.store.lock_members(buying, [sari])
        assert await asyncio.wait_for(desk.sweep("2020-06-01"), timeout=3) == 0
    assert await desk.sweep("2020-06-01") == 1


async def test_in_2023_the_rest_is_forfeited_without_a_revocation(desk: Desk) -> None:
    who = winner("sari", PRAKERJA_2023, "2023-02-24").citizen_id
    await desk.select(selection("sari", PRAKERJA_2023, "2023-02-24"))
    course = await desk.offer(draft(starts="2023-03-06 09:00", days=1))
    [receipt] = await desk.bought(wish(who, course), at="2023-03-01")
    await desk.redeem(receipt.redeem_code, at="2023-03-06 09:00")
    await desk.attend((receipt.redeem_code, 1), (receipt.redeem_code, 999), at="2023-03-06 17:00")
    [told] = await desk.certify((receipt.redeem_code, 90), at="2023-03-06 17:00")
    assert told.why is None
    assert await desk.sweep("2023-03-21 23:59:59") == 0
    assert await desk.sweep("2023-03-22 00:00:00") == 1
    member = await desk.member(who)
    assert (member["state"], member["credit_rupiah"], member["purchase_due"]) == ("closed", 0, None)
    assert await desk.told("membership-revoked") == []


async def test_a_called_off_session_gives_everybody_the_credit_back(desk: Desk) -> None:
    sari, budi = await desk.winners("sari", "budi")
    barista, las = await desk.offer(), await desk.offer(draft("las"))
    [lost] = await desk.bought(wish(sari, barista))
    await desk.bought(wish(budi, barista), wish(budi, las, "two"))
    assert await desk.cancel(barista) == 2
    assert await desk.cancel(barista) == 0
    assert [(await desk.member(who))["credit_rupiah"] for who in (sari, budi)] == [1_000_000, 600_000]
    assert [(await desk.member(who))["state"] for who in (sari, budi)] == ["selected", "training"]
    [told] = await desk.redeem(lost.redeem_code)
    assert told.why == "cancelled"
    assert [code(one) for one in await desk.buy(wish(sari, barista, "again"))] == ["course-cancelled"]
    assert (await desk.row("SELECT seats_taken FROM course WHERE code = 'barista'"))["seats_taken"] == 0


async def test_a_voided_purchase_frees_the_seat_and_can_be_bought_and_voided_again_at_the_same_moment(
    desk: Desk,
) -> None:
    [sari] = await desk.winners("sari")
    course = await desk.offer(draft(seats=1))
    for attempt in ("one", "two", "three"):
        [receipt] = await desk.bought(wish(sari, course, attempt))
        first, second = await desk.void(receipt.redeem_code, receipt.redeem_code, at="2020-04-20")
        assert (first.why, first.again, second.again) == (None, False, True)
    assert (await desk.member(sari))["credit_rupiah"] == 1_000_000
    [told] = await desk.redeem(receipt.redeem_code)
    assert told.why == "purchase-cancelled"


async def test_the_balance_is_the_sum_of_the_ledger(desk: Desk) -> None:
    [sari] = await desk.winners("sari")
    await desk.bought(wish(sari, await desk.offer()))
    await desk.bought(wish(sari, await desk.offer(draft("las", price_rupiah=150_000)), "two"))
    async with desk.database.transaction() as tx:
        [member] = (await desk.store.members_of(tx, [sari])).values()
        ledger = await desk.store.credit_of(tx, member)
    assert [entry.amount_rupiah for entry in ledger] == [1_000_000, -400_000, -150_000]
    assert sum(entry.amount_rupiah for entry in ledger) == member.credit_rupiah == 450_000
    assert ledger[0].at == jakarta("2020-04-17")
