"""Members, courses and learners to tell examples with. Times are written as people in Jakarta say them."""

from dataclasses import replace
from datetime import datetime, timedelta

from libs.events import ids
from libs.events.clock import JAKARTA
from libs.events.contracts import SelectedInBatch
from libs.events.programme import Programme, load_programmes
from services.training.domain import enrolment
from services.training.domain.course import Course, Draft, Mode, course_id
from services.training.domain.enrolment import Enrolment
from services.training.domain.membership import Membership, open_membership
from services.training.domain.purchase import Order, Purchase, buy

PROGRAMMES = load_programmes()
PRAKERJA_2020, PRAKERJA_2023 = PROGRAMMES["prakerja-2020"], PROGRAMMES["prakerja-2023"]
PARTNER = "partner-a"
CODE = "0123456789ABCDEF"


def jakarta(moment: str) -> datetime:
    """`2020-04-17` or `2020-05-17 23:59:59`, in Jakarta."""
    return datetime.fromisoformat(moment).replace(tzinfo=JAKARTA)


def selection(
    who: str = "sari", programme: Programme = PRAKERJA_2020, announced: str = "2020-04-17"
) -> SelectedInBatch:
    return SelectedInBatch(
        at=jakarta(announced),
        application_id=ids.derive("application", who),
        citizen_id=ids.derive("citizen", who),
        programme=programme.name,
        wave=1,
        province="31",
        tier="priority",
        ticket="0" * 64,
        rank=1,
    )


def winner(who: str = "sari", programme: Programme = PRAKERJA_2020, announced: str = "2020-04-17") -> Membership:
    return open_membership(selection(who, programme, announced), programme)


def draft(
    code: str = "barista",
    *,
    starts: str = "2020-05-04 09:00",
    days: int = 3,
    price_rupiah: int = 400_000,
    seats: int = 30,
    hours: int = 18,
) -> Draft:
    """A course whose session ends at 17:00 of its last day."""
    starts_at = jakarta(starts)
    ends_at = (starts_at + timedelta(days=days - 1)).replace(hour=17, minute=0)
    return Draft(code, "Barista pemula", Mode.ONLINE, hours, price_rupiah, seats, starts_at, ends_at)


def on_sale(given: Draft | None = None, *, seats_taken: int = 0) -> Course:
    given = given or draft()
    return Course(course_id(PARTNER, given.code), PARTNER, given, seats_taken, None)


def order(member: Membership, course: Course, purchase: str = "one") -> Order:
    return Order(member.citizen_id, course.course_id, ids.derive("purchase", member.citizen_id, purchase))


def bought(
    member: Membership, course: Course, rules: Programme = PRAKERJA_2020, at: str = "2020-04-20", code: str = CODE
) -> Purchase:
    """A purchase that has to succeed."""
    decided = buy(order(member, course, course.draft.code), member, course, (), rules, code, jakarta(at))
    assert isinstance(decided, Purchase), decided
    return decided


def place(state: enrolment.State = enrolment.State.BOUGHT, *, attended: tuple[int, ...] = ()) -> Enrolment:
    """Sari's place in the course of 4 to 6 May 2020."""
    return replace(bought(winner(), on_sale()).enrolment, state=state, attended=frozenset(attended))
