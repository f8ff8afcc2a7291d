"""The checker is silent about an honest history, and finds each planted fault, by its kind."""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from deploy.demo.checks import Booking
from tests.fault.checker import COMPLETED, Evidence, Kind, Seen, judge
from tests.fault.dump import Record, record_of

PAYOUT = "a" * 32
EVENING, NIGHT = "2020-04-01T18:00:00+00:00", "2020-04-01T23:00:00+00:00"
PAID_AT = datetime.fromisoformat("2020-04-01T20:00:00Z")
"""The last time that everything due was paid out: what happened in the evening was."""
SIX = {"appropriation": 10, "available": 4, "reserved": 5, "in_flight": 0, "paid": 1, "returned": 0}


Tamper = Callable[[Evidence], object]


class Bus:
    """Writes records as a relay would: each lane numbered from 1."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def say(self, topic: str, kind: str, key: str, **data: Any) -> None:
        number = 1 + sum(record.topic == topic for record in self.records)
        self.records.append(Record(topic, 0, number - 1, key, number, f"{kind}-{number}", kind, data, EVENING))


def honest() -> Evidence:
    """Two applications to one wave: one drawn, trained and paid in part, one withdrawn. A third member was revoked."""
    bus = Bus()
    bus.say("waves", "wave-announced", "1", wave=1)
    bus.say("waves", "wave-closed", "1", wave=1)
    bus.say("waves", "wave-published", "1", wave=1)
    bus.say("applied", "applied", "ani", application_id="p", citizen_id="ani", wave=1)
    bus.say("applied", "applied", "budi", application_id="q", citizen_id="budi", wave=1)
    bus.say("applied", "application-withdrawn", "budi", application_id="q", citizen_id="budi", wave=1)
    bus.say("applied", "intake-closed", "1", wave=1)
    bus.say("selected-in-batch", "selected-in-batch", "ani", application_id="p", citizen_id="ani", wave=1)
    course = {"enrolment_id": "e", "citizen_id": "ani", "first": True, "price_rupiah": 0}
    bus.say("training-completed", "training-completed", "ani", **course)
    bus.say("training-completed", "training-rated", "ani", enrolment_id="e", citizen_id="ani")
    bus.say("incentive-paid", "appropriation-granted", "prakerja-2020", amount_rupiah=10)
    bus.say("incentive-paid", "money-reserved", "ani", citizen_id="ani", amount_rupiah=6)
    payment = {"payout_id": PAYOUT, "attempt": 1, "citizen_id": "ani", "milestone": "incentive-1", "amount_rupiah": 1}
    bus.say("incentive-paid", "incentive-submitted", "ani", **payment)
    bus.say("incentive-paid", "incentive-paid", "ani", **payment)
    bus.say("training-completed", "membership-revoked", "cici", citizen_id="cici")
    released = {"citizen_id": "cici", "amount_rupiah": 6, "reason": "revoked", "number": 1}
    bus.say("incentive-paid", "reservation-released", "cici", **released)
    ani = [record.type for record in bus.records if record.data.get("citizen_id") == "ani"]
    return Evidence(
        acknowledged=[
            {"kind": "appropriated", "amount_rupiah": 10},
            {"kind": "wave-announced", "wave": 1},
            {"kind": "registered", "citizen_id": "ani"},
            {"kind": "joined", "citizen_id": "ani", "application_id": "p"},
            {"kind": "joined", "citizen_id": "budi", "application_id": "q"},
            {"kind": "withdrawn", "citizen_id": "budi", "application_id": "q"},
            {"kind": "bought", "citizen_id": "ani", "enrolment_id": "e"},
            {"kind": "account-linked", "citizen_id": "ani"},
            {"kind": "rated", "citizen_id": "ani", "enrolment_id": "e"},
            {"kind": "survey-answered", "citizen_id": "ani", "number": 1, "at": NIGHT},
            {"kind": "batch-approved", "batch_id": "b"},
        ],
        records=bus.records,
        rails={"bank": {(PAYOUT, 1): Booking(1, returned=False)}, "e-wallet": {}},
        twice_booked=[],
        seen={
            "ani": Seen(
                me={
                    "email_confirmed": True,
                    "identity": "verified",
                    "applications": [{"application_id": "p", "state": "selected"}],
                },
                timeline=Counter(["registered", *ani]),
                membership="completed",
                enrolments=frozenset("e"),
                account="valid",
                payouts=frozenset({"incentive-1", "survey-1"}),
            ),
            "budi": Seen(
                me={
                    "email_confirmed": True,
                    "identity": "verified",
                    "applications": [{"application_id": "q", "state": "withdrawn"}],
                },
                timeline=Counter(["registered", "applied", "application-withdrawn"]),
            ),
        },
        batches={"b": "approved"},
        ledger=dict(SIX),
        books=dict(SIX),
        booked=[record.event_id for record in bus.records if record.topic == "incentive-paid"],
        parked={"finance": 0},
        paid_at=PAID_AT,
    )


def unasked(*names: Tamper) -> Tamper:
    """The same, while ani is not among those who are asked what they see."""

    def tamper(told: Evidence) -> None:
        del told.seen["ani"]
        for name in names:
            name(told)

    return tamper


def unheard(told: Evidence) -> None:
    """Training holds the course for completed, and nobody else has ever heard of it."""
    for kind in (COMPLETED, "training-rated"):
        forget(kind)(told)
        told.seen["ani"].timeline.subtract([kind])
    told.acknowledged[:] = [line for line in told.acknowledged if line["kind"] != "rated"]


def never_paid(told: Evidence) -> None:
    """Disbursement lost the effect of a completion: nothing was sent, and all figures agree with that."""
    for kind in ("incentive-submitted", "incentive-paid"):
        forget(kind)(told)
    told.rails["bank"] = {}
    told.ledger.update(reserved=6, paid=0)
    told.books.update(reserved=6, paid=0)
    told.booked[:] = [record.event_id for record in told.records if record.topic == "incentive-paid"]


def never_released(told: Evidence) -> None:
    forget("reservation-released")(told)
    told.booked.remove(next(one for one in told.booked if one.startswith("reservation-released")))


def priced(told: Evidence) -> None:
    """The course had a price, which its partner never got."""
    told.records[at(told, COMPLETED)].data["price_rupiah"] = 5


def found(evidence: Evidence) -> set[Kind]:
    return {finding.kind for finding in judge(evidence)}


def test_an_honest_history_is_not_suspected() -> None:
    assert judge(honest()) == []


def test_who_is_not_asked_is_not_suspected() -> None:
    evidence = honest()
    unasked()(evidence)
    assert judge(evidence) == []


def at(told: Evidence, kind: str) -> int:
    return next(index for index, record in enumerate(told.records) if record.type == kind)


def drop(kind: str) -> Tamper:
    """Kafka has lost a record."""
    return lambda told: told.records.pop(at(told, kind))


def forget(kind: str) -> Tamper:
    """The event was never sent: the numbers have no gap, and what follows stands one lower."""

    def tamper(told: Evidence) -> None:
        gone = told.records.pop(at(told, kind))
        told.records[:] = [
            replace(one, number=one.number - 1, offset=one.offset - 1)
            if one.topic == gone.topic and one.number > gone.number
            else one
            for one in told.records
        ]

    return tamper


def send_again(kind: str, **changed: Any) -> Tamper:
    """A record is sent a second time, at the end of its lane."""

    def tamper(told: Evidence) -> None:
        again = told.records[at(told, kind)]
        end = 1 + max(one.offset for one in told.records if one.topic == again.topic)
        told.records.append(replace(again, offset=end, **changed))

    return tamper


def swap(first: str, second: str, *, numbers: bool) -> Tamper:
    """Two records change places; with their numbers they are merely late, without them they are numbered wrongly."""

    def tamper(told: Evidence) -> None:
        here, there = at(told, first), at(told, second)
        one, other = told.records[here], told.records[there]
        told.records[here] = replace(other, offset=one.offset, number=other.number if numbers else one.number)
        told.records[there] = replace(one, offset=other.offset, number=one.number if numbers else other.number)

    return tamper


PLANTED: dict[str, tuple[Tamper, Kind]] = {
    "the broker lost a record": (drop("applied"), Kind.LOST),
    "the relay skipped an application": (forget("applied"), Kind.LOST),
    "the relay skipped a rating": (forget("training-rated"), Kind.LOST),
    "the relay skipped a payment": (forget("incentive-paid"), Kind.LOST),
    "two relays gave one number to two events": (
        send_again("training-completed", event_id="stranger"),
        Kind.LOST,
    ),
    "an event was published twice under two numbers": (send_again("money-reserved", number=6), Kind.DOUBLED),
    "a record overtook the one before it": (
        swap("training-completed", "training-rated", numbers=True),
        Kind.DISORDERED,
    ),
    "two events of one key were numbered in the wrong order": (
        swap("training-completed", "training-rated", numbers=False),
        Kind.DISORDERED,
    ),
    "a payment was announced before it was sent": (
        swap("incentive-submitted", "incentive-paid", numbers=False),
        Kind.DISORDERED,
    ),
    "a stranger's record without a number": (
        (lambda told: told.records.append(record_of("waves", 0, 99, b"1", b"{}"))),
        Kind.LOST,
    ),
    "an acknowledged application is nowhere": (
        (lambda told: told.acknowledged.append({"kind": "joined", "citizen_id": "c", "application_id": "x"})),
        Kind.LOST,
    ),
    "an acknowledged registration is gone": ((lambda told: setattr(told.seen["ani"], "me", None)), Kind.LOST),
    "an acknowledged purchase is gone": (
        (lambda told: setattr(told.seen["ani"], "enrolments", frozenset())),
        Kind.LOST,
    ),
    "an acknowledged account is gone": ((lambda told: setattr(told.seen["ani"], "account", "none")), Kind.LOST),
    "an acknowledged survey is gone": (
        (lambda told: setattr(told.seen["ani"], "payouts", frozenset())),
        Kind.LOST,
    ),
    "an acknowledged approval is gone": ((lambda told: told.batches.update(b="proposed")), Kind.LOST),
    "an acknowledged grant is gone": ((lambda told: told.acknowledged[0].update(amount_rupiah=11)), Kind.LOST),
    "a winner got no money": (forget("money-reserved"), Kind.LOST),
    "an application has two outcomes": (
        send_again("selected-in-batch", number=2, event_id="other", type="not-selected"),
        Kind.DOUBLED,
    ),
    "training missed a member": ((lambda told: setattr(told.seen["ani"], "membership", "none")), Kind.LOST),
    "registration applied an event twice": (
        (lambda told: told.seen["ani"].timeline.update(["money-reserved"])),
        Kind.DOUBLED,
    ),
    "registration missed an event": (
        (lambda told: told.seen["ani"].timeline.subtract(["money-reserved"])),
        Kind.LOST,
    ),
    "a citizen is shown another outcome": (
        (lambda told: told.seen["ani"].me["applications"][0].update(state="applied")),  # type: ignore[index]
        Kind.LOST,
    ),
    "finance missed an event": ((lambda told: told.booked.pop()), Kind.LOST),
    "finance booked an event twice": ((lambda told: told.booked.append(told.booked[-1])), Kind.DOUBLED),
    "finance booked out of order": ((lambda told: told.booked.reverse()), Kind.DISORDERED),
    "the rail booked a reference twice": ((lambda told: told.twice_booked.append(PAYOUT)), Kind.DOUBLED),
    "a payout was paid by two attempts": (
        (lambda told: told.rails["e-wallet"].update({(PAYOUT, 2): Booking(1, returned=False)})),
        Kind.DOUBLED,
    ),
    "a payment was booked and never announced": (
        (lambda told: told.rails["bank"].update({("c" * 32, 1): Booking(1, returned=False)})),
        Kind.LOST,
    ),
    "a payment was announced and never booked": ((lambda told: told.rails["bank"].clear()), Kind.LOST),
    "the ledger lost a rupiah": ((lambda told: told.ledger.update(available=3)), Kind.LOST),
    "finance has another figure": ((lambda told: told.books.update(available=5, reserved=4)), Kind.LOST),
    "a completion was never sent, nobody was asked": (unasked(forget(COMPLETED)), Kind.LOST),
    "a completion was never sent": (forget(COMPLETED), Kind.LOST),
    "the completion of a course that nobody rated was never sent": (unheard, Kind.LOST),
    "a member was never paid, nobody was asked": (unasked(never_paid), Kind.LOST),
    "a member who completed is owed nothing": (
        lambda told: setattr(told.seen["ani"], "payouts", frozenset({"survey-1"})),
        Kind.LOST,
    ),
    "a partner was never paid": (priced, Kind.LOST),
    "an answered survey was never paid": ((lambda told: told.acknowledged[-2].update(at=EVENING)), Kind.LOST),
    "a result was never published": (
        unasked(forget("wave-published"), forget("selected-in-batch"), forget("money-reserved")),
        Kind.LOST,
    ),
    "an approved batch has vanished": ((lambda told: told.batches.clear()), Kind.LOST),
    "a revoked member's money was never released": (never_released, Kind.LOST),
    "a revoked member's money was released twice": (
        send_again("reservation-released", number=6, event_id="other"),
        Kind.DOUBLED,
    ),
    "somebody acknowledged was told that nobody knows them": (
        (lambda told: told.disowned.append("ani: 404 unknown-citizen GET /v1/me")),
        Kind.LOST,
    ),
    "an event is parked": ((lambda told: told.parked.update(finance=1)), Kind.STUCK),
    "a service never came to rest": ((lambda told: told.stuck.append("selection")), Kind.STUCK),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    tamper, kind = PLANTED[name]
    evidence = copy.deepcopy(honest())
    tamper(evidence)
    assert kind in found(evidence)


def test_repeats_of_a_relay_that_started_again_are_no_fault() -> None:
    evidence = honest()
    for record in [one for one in evidence.records if one.topic == "incentive-paid"][1:]:
        send_again(record.type)(evidence)
    assert judge(evidence) == []


def test_an_application_that_was_never_acknowledged_may_stand() -> None:
    """The answer was lost with the process: nobody was told, and the application counts."""
    evidence = honest()
    evidence.acknowledged = [line for line in evidence.acknowledged if line["kind"] != "joined"]
    assert judge(evidence) == []


def test_a_record_is_read_as_it_stands_on_the_bus() -> None:
    value = b'{"sequence":"0000000000000007","epoch":1,"specversion":"1.0","id":"i","type":"t","data":{"wave":1}}'
    assert record_of("waves", 0, 3, b"1", value) == Record("waves", 0, 3, "1", 7, "i", "t", {"wave": 1})
