"""A batch becomes lists of one type, and nobody's events change places."""

from collections.abc import Sequence

from libs.events import ids
from libs.events.contracts import Event, MembershipRevoked, TrainingRated
from libs.events.ordering import in_order
from tests.support import NOON


def rated(who: int, course: int) -> TrainingRated:
    citizen = f"{who:032x}"
    return TrainingRated(
        at=NOON, enrolment_id=ids.derive(citizen, str(course)), citizen_id=citizen, programme="prakerja-2020", wave=1,
        course_id=ids.derive(str(course)), stars=5,
    )  # fmt: skip


def revoked(who: int) -> MembershipRevoked:
    return MembershipRevoked(
        at=NOON, citizen_id=f"{who:032x}", programme="prakerja-2020", wave=1, province="32", tier="public",
        reason="no-purchase-in-time", released_rupiah=1,
    )  # fmt: skip


def grouped(events: Sequence[Event]) -> list[tuple[type[Event], list[Event]]]:
    """The groups, whose keys are those of their events."""
    groups = in_order(events, keys := [event.key() for event in events])
    assert sorted(key for _, _, theirs in groups for key in theirs) == sorted(keys)
    assert all([event.key() for event in group] == list(theirs) for _, group, theirs in groups)
    return [(kind, list(group)) for kind, group, _ in groups]


def test_events_of_one_type_are_one_list_however_they_were_mixed() -> None:
    events: list[Event] = [rated(1, 1), revoked(2), rated(3, 1), revoked(4)]
    assert grouped(events) == [(MembershipRevoked, [events[1], events[3]]), (TrainingRated, [events[0], events[2]])]


def test_a_citizen_whose_events_alternate_sees_them_in_order() -> None:
    events: list[Event] = [rated(1, 1), revoked(1), rated(1, 2), rated(2, 1)]
    assert grouped(events) == [
        (TrainingRated, [events[0], events[3]]),
        (MembershipRevoked, [events[1]]),
        (TrainingRated, [events[2]]),
    ]


def test_nothing_makes_no_list() -> None:
    assert grouped([]) == []
