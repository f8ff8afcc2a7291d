"""What partners report, on a real store: lists, repeats, races, and the events that follow."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.events import ids
from libs.events.refusal import Refusal
from services.training import commands
from services.training.domain.progress import Reason
from services.training.domain.purchase import Order, Receipt
from services.training.domain.rating import Rating
from tests.conftest import MakeDatabase
from tests.integration.training_desk import Desk, desk_at
from tests.unit.training_examples import draft, jakarta


@pytest.fixture
async def desk(database: MakeDatabase) -> AsyncIterator[Desk]:
    async with desk_at(database("training").app_url) as desk:
        yield desk


async def learners(desk: Desk, *names: str, course: str = "barista") -> list[Receipt]:
    """Winners who have all bought the course of 4 to 6 May 2020."""
    people = await desk.winners(*names)
    offered = await desk.offer(draft(course, seats=100))
    return await desk.bought(*(Order(who, offered.course_id, ids.derive(who, course)) for who in people))


async def test_a_code_is_claimed_once_and_the_second_token_is_told_so(desk: Desk) -> None:
    [sari] = await learners(desk, "sari")
    answers = await asyncio.gather(*(desk.redeem(sari.redeem_code) for _ in range(8)))
    told = sorted(str(answer.why) for [answer] in answers)
    assert told == ["None"] + ["already-claimed"] * 7
    assert all(answer.enrolment is not None for [answer] in answers)


async def test_another_partner_can_not_claim_and_changes_nothing(desk: Desk) -> None:
    [sari] = await learners(desk, "sari")
    strange, own = await asyncio.gather(
        desk.redeem(sari.redeem_code, partner="partner-b"), desk.redeem(sari.redeem_code)
    )
    assert (strange[0].why, own[0].why) == ("other-partner", None)
    [again] = await desk.redeem(sari.redeem_code, partner="partner-b")
    assert again.why == "other-partner"


async def test_each_line_of_a_list_is_answered_in_order_and_a_bad_one_spoils_no_other(desk: Desk) -> None:
    sari, budi = await learners(desk, "sari", "budi")
    told = await desk.redeem(sari.redeem_code, "ZZZZZZZZZZZZZZZZ", "voucher", sari.redeem_code, budi.redeem_code)
    assert [answer.why for answer in told] == [None, "not-found", "wrong-type", "already-claimed", None]


async def test_attendance_is_recorded_once_also_when_told_twice_at_once(desk: Desk) -> None:
    [sari] = await learners(desk, "sari")
    await desk.redeem(sari.redeem_code)
    line = (sari.redeem_code, 1)
    answers = [told for each in await asyncio.gather(*(desk.attend(line, line) for _ in range(5))) for told in each]
    assert sorted(told.again for told in answers) == [False] + [True] * 9
    [wrong, early] = await desk.attend((sari.redeem_code, 4), (sari.redeem_code, 2), at="2020-05-04 10:00")
    assert (wrong.why, early.why) == (Reason.NO_SUCH_SEQUENCE, Reason.TOO_EARLY)


async def test_a_certificate_needs_everything_before_it(desk: Desk) -> None:
    [sari] = await learners(desk, "sari")
    code = sari.redeem_code

    async def reason(score: int = 80) -> str | None:
        [told] = await desk.certify((code, score))
        return told.why

    assert await reason() == Reason.NOT_CLAIMED
    await desk.redeem(code)
    await desk.attend((code, 1), (code, 3), (code, 999))
    assert await reason() == Reason.ATTENDANCE_MISSING
    await desk.attend((code, 2))
    assert await reason(59) == Reason.SCORE_TOO_LOW
    assert await desk.told("training-completed") == []
    assert await reason(60) is None


async def test_completion_is_announced_once_with_fee_and_first(desk: Desk) -> None:
    [sari] = await learners(desk, "sari")
    [told] = await desk.finish(sari.redeem_code)
    assert told.enrolment is not None
    again = await asyncio.gather(*(desk.certify((sari.redeem_code, 100)) for _ in range(4)))
    assert all(each[0].again and each[0].why is None for each in again)
    [event] = await desk.told("training-completed")
    assert event["enrolment_id"] == sari.enrolment_id
    assert (event["price_rupiah"], event["first"], event["partner_id"]) == (400_000, True, "partner-a")
    assert event["certificate_id"] == told.enrolment.certificate_id == ids.derive("certificate", sari.enrolment_id)
    member = await desk.member(event["citizen_id"])
    assert (member["state"], member["courses_open"], member["courses_completed"]) == ("completed", 0, 1)


async def test_of_two_courses_finished_in_one_list_only_one_is_first(desk: Desk) -> None:
    [one] = await learners(desk, "sari")
    [two] = await learners(desk, "sari", course="las")
    told = await desk.finish(one.redeem_code, two.redeem_code)
    assert [answer.why for answer in told] == [None, None]
    assert [event["first"] for event in await desk.told("training-completed")] == [True, False]


async def test_of_two_courses_finished_at_once_by_two_partners_only_one_is_first(desk: Desk) -> None:
    [one] = await learners(desk, "sari")
    [two] = await learners(desk, "sari", course="las")
    for receipt in (one, two):
        await desk.redeem(receipt.redeem_code)
        await desk.attend(*((receipt.redeem_code, sequence) for sequence in (1, 2, 3, 999)))
    await asyncio.gather(*(desk.certify((receipt.redeem_code, 75)) for receipt in (one, two)))
    assert sorted(event["first"] for event in await desk.told("training-completed")) == [False, True]


async def rate(desk: Desk, *ratings: Rating) -> list[Rating | Refusal]:
    async with desk.database.transaction() as tx:
        return await commands.rate_courses(tx, ratings, jakarta("2020-05-07"), store=desk.store)


async def test_a_rating_counts_once(desk: Desk) -> None:
    [sari] = await learners(desk, "sari")
    [who] = await desk.winners("sari")
    rating = Rating(who, sari.enrolment_id, 5, "Sangat membantu.")
    [early] = await rate(desk, rating)
    assert isinstance(early, Refusal)
    assert early.code == "not-completed"
    await desk.finish(sari.redeem_code)
    assert await rate(desk, rating, rating) == [rating, rating]
    [changed] = await rate(desk, Rating(who, sari.enrolment_id, 1, "Ternyata tidak."))
    assert isinstance(changed, Refusal)
    assert changed.code == "already-rated"
    [event] = await desk.told("training-rated")
    assert (event["stars"], event["citizen_id"]) == (5, who)
    assert "review" not in event, "free words may hold personal data and stay here"


async def test_a_rating_sent_at_once_by_two_servers_counts_once(desk: Desk) -> None:
    [sari] = await learners(desk, "sari")
    [who] = await desk.winners("sari")
    await desk.finish(sari.redeem_code)
    rating = Rating(who, sari.enrolment_id, 4, "Baik.")
    async with desk.database.transaction() as first:
        assert await commands.rate_courses(first, [rating], jakarta("2020-05-07"), store=desk.store) == [rating]
        second = asyncio.create_task(rate(desk, rating))
        await asyncio.sleep(0.3)
        assert not second.done(), "waits for what the first one will have done"
    assert await second == [rating]
    assert len(await desk.told("training-rated")) == 1


async def test_buying_claiming_certifying_and_calling_off_side_by_side_never_lock_in_a_circle(desk: Desk) -> None:
    receipts = await learners(desk, *(f"citizen {number}" for number in range(40)))
    las = await desk.offer(draft("las", seats=40))
    people = await desk.winners(*(f"citizen {number}" for number in range(40)))
    codes = [receipt.redeem_code for receipt in receipts]
    await desk.redeem(*codes[:20])
    await desk.attend(*((code, sequence) for code in codes[:20] for sequence in (1, 2, 3, 999)))
    wishes = [Order(who, las.course_id, ids.derive(who, "las")) for who in people]
    await asyncio.gather(
        *(desk.buy(*wishes[start::4]) for start in range(4)),
        *(desk.certify(*((code, 90) for code in reversed(codes[start:20:2]))) for start in range(2)),
        *(desk.void(*codes[20 + start :: 3]) for start in range(3)),
        desk.cancel(las),
        desk.sweep("2020-05-18"),
    )
    row = await desk.row(
        "SELECT (SELECT count(*) FROM enrolment WHERE state = 'completed') AS completed,"
        " (SELECT count(*) FROM enrolment JOIN course USING (course_id)"
        "   WHERE state = 'cancelled' AND code = 'barista') AS voided,"
        " (SELECT bool_and(seats_taken = (SELECT count(*) FROM enrolment WHERE enrolment.course_id = course.course_id"
        "   AND state <> 'cancelled')) FROM course) AS seats_agree,"
        " (SELECT bool_and(credit_rupiah = (SELECT sum(amount_rupiah) FROM credit_entry"
        "   WHERE credit_entry.citizen_id = membership.citizen_id)) FROM membership) AS credit_agrees"
    )
    assert (row["completed"], row["voided"], row["seats_agree"], row["credit_agrees"]) == (20, 20, True, True)
