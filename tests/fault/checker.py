"""What must hold after any crash, judged from outside histories alone: pure functions over what was gathered.

The acknowledgements that clients hold, the rails' own books, every record of every topic, and what the services answer
about outcomes: each is held against the others, and none vouches for itself.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

from deploy.demo.checks import SIX, Booking
from deploy.demo.facts import Attempt
from tests.fault import owed
from tests.fault.dump import Record
from tests.fault.order import disorder

COMPLETED: Final = "training-completed"


class Kind(StrEnum):
    LOST = "lost"
    DOUBLED = "doubled"
    DISORDERED = "out of order"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that should not be. `what` names it by opaque ids."""

    kind: Kind
    what: str


@dataclass(slots=True)
class Seen:
    """What one citizen was shown at the end. None where the service did not know them."""

    me: Mapping[str, Any] | None
    timeline: Counter[str]  # how often each kind of step stands there
    membership: str = "none"
    enrolments: frozenset[str] = frozenset()
    account: str = "none"
    payouts: frozenset[str] = frozenset()  # milestones


@dataclass(slots=True)
class Evidence:
    """Everything that was gathered. Money is whole rupiah."""

    acknowledged: list[dict[str, Any]]
    records: list[Record]
    rails: dict[str, dict[Attempt, Booking]]
    twice_booked: list[str]
    seen: dict[str, Seen]  # by citizen, of those who were asked
    batches: dict[str, str]  # batch -> state
    ledger: dict[str, int]
    books: dict[str, int]
    booked: list[str]  # ids of the events in finance's books, in the order of booking
    parked: dict[str, int]
    stuck: list[str] = field(default_factory=list)
    disowned: list[str] = field(default_factory=list)  # who was told in the middle of the run that nobody knows them
    paid_at: datetime | None = None  # when all that was due was paid out for the last time, programme time
    citizens: int = 0  # with an account; not all of them need have been asked


def judge(told: Evidence) -> list[Finding]:
    """Every finding of every check."""
    stream = first_times(told.records)
    found = [finding for check in CHECKS for finding in check(told, stream)]
    found += [Finding(Kind.LOST, f"an answer disowns what was acknowledged: {what}") for what in told.disowned]
    return [*found, *(Finding(Kind.STUCK, what) for what in told.stuck)]


def first_times(records: Sequence[Record]) -> list[Record]:
    """The records without their repeats, each lane in the order of its numbers: what a right consumer applies."""
    firsts: dict[tuple[str, int, int], Record] = {}
    for record in records:
        firsts.setdefault((record.topic, record.lane, record.number), record)
    return [firsts[place] for place in sorted(firsts) if place[2]]


Stream = Sequence[Record]
Found = Iterator[Finding]


# -- the topics alone ------------------------------------------------------------------------------------------------


def lanes(told: Evidence, stream: Stream) -> Found:
    """In each lane the numbers run from 1; no number comes before a smaller one; a repeat repeats the same event."""
    by_lane = sorted(told.records, key=lambda record: (record.topic, record.lane, record.offset))
    for (topic, lane), run in groupby(by_lane, key=lambda record: (record.topic, record.lane)):
        yield from _lane(f"{topic}/{lane}", list(run))


def _lane(where: str, run: Sequence[Record]) -> Found:
    known: dict[int, str] = {}
    reached = 0
    for record in run:
        if not record.number:
            yield Finding(Kind.LOST, f"{where} offset {record.offset}: a record that is no numbered event")
        elif record.number in known:
            if known[record.number] != record.event_id:
                yield Finding(Kind.LOST, f"{where}: number {record.number} was given to two events")
        else:
            known[record.number] = record.event_id
            if record.number < reached:
                yield Finding(Kind.DISORDERED, f"{where}: number {record.number} stands behind {reached}")
            reached = max(reached, record.number)
    for number in range(1, reached + 1):
        if number not in known:
            yield Finding(Kind.LOST, f"{where}: number {number} is missing, {reached} is there")


def once_each(told: Evidence, stream: Stream) -> Found:
    """An event has one number in one lane: its id derives from what it means, so a second one is a second effect."""
    for event_id, times in Counter(record.event_id for record in stream).items():
        if times > 1:
            yield Finding(Kind.DOUBLED, f"event {event_id} has {times} numbers")


def per_key(told: Evidence, stream: Stream) -> Found:
    """What happens to one thing happens in the order of its life."""
    yield from (Finding(Kind.DISORDERED, what) for what in disorder(stream))


# -- what clients were told ------------------------------------------------------------------------------------------

ON_A_TOPIC: Final = {
    "joined": ("applied", "application_id"),
    "withdrawn": ("application-withdrawn", "application_id"),
    "rated": ("training-rated", "enrolment_id"),
    "wave-announced": ("wave-announced", "wave"),
}
"""By acknowledgement: the event that must follow, and the field that both name."""


def acknowledged_events(told: Evidence, stream: Stream) -> Found:
    """What was acknowledged and concerns others was told to them, once."""
    there = Counter((record.type, record.data.get(name)) for record in stream for _, name in ON_A_TOPIC.values())
    for line in told.acknowledged:
        if line["kind"] not in ON_A_TOPIC:
            continue
        kind, name = ON_A_TOPIC[line["kind"]]
        if not there[kind, line[name]]:
            yield Finding(Kind.LOST, f"{line['kind']} was acknowledged for {line[name]}, no {kind} is on its topic")
    granted = sum(int(record.data["amount_rupiah"]) for record in stream if record.type == "appropriation-granted")
    promised = sum(line["amount_rupiah"] for line in told.acknowledged if line["kind"] == "appropriated")
    if granted != promised:
        yield Finding(Kind.LOST, f"grants of {promised:,} rupiah were acknowledged, {granted:,} were announced")


Shown = Callable[[Seen, dict[str, Any]], bool]
SHOWN: Final[Mapping[str, Shown]] = {
    "registered": lambda seen, line: seen.me is not None,
    "confirmed": lambda seen, line: bool(seen.me and seen.me["email_confirmed"]),
    "identity-stated": lambda seen, line: bool(seen.me and seen.me["identity"] != "none"),
    "joined": lambda seen, line: line["application_id"] in _applications(seen),
    "withdrawn": lambda seen, line: _applications(seen).get(line["application_id"]) == "withdrawn",
    "bought": lambda seen, line: line["enrolment_id"] in seen.enrolments,
    "account-linked": lambda seen, line: seen.account != "none",
    "survey-answered": lambda seen, line: f"survey-{line['number']}" in seen.payouts,
}
"""By acknowledgement: whether the citizen still sees it."""


def acknowledged_states(told: Evidence, stream: Stream) -> Found:
    """What was acknowledged to a citizen or an officer is still there when they look."""
    for line in told.acknowledged:
        shown, seen = SHOWN.get(line["kind"]), told.seen.get(line.get("citizen_id", ""))
        if shown and seen and not shown(seen, line):
            yield Finding(Kind.LOST, f"{line['kind']} was acknowledged to {line['citizen_id']} and is not shown")
        if line["kind"] == "batch-approved" and told.batches.get(line["batch_id"], "proposed") == "proposed":
            yield Finding(Kind.LOST, f"the approval of batch {line['batch_id']} was acknowledged and is not there")


def _applications(seen: Seen) -> dict[str, str]:
    return {one["application_id"]: one["state"] for one in seen.me["applications"]} if seen.me else {}


# -- what services did with what they read -----------------------------------------------------------------------------


def consequences(told: Evidence, stream: Stream) -> Found:
    """Each event that must be answered by another was answered, once."""
    of: dict[str, list[Record]] = defaultdict(list)
    for record in stream:
        of[record.type].append(record)
    reserved = Counter(record.data["citizen_id"] for record in of["money-reserved"])
    for won in of["selected-in-batch"]:
        yield from _exactly_once(reserved[won.data["citizen_id"]], f"money for member {won.data['citizen_id']}")
    intakes = Counter(record.data["wave"] for record in of["intake-closed"])
    for closed in of["wave-closed"]:
        yield from _exactly_once(intakes[closed.data["wave"]], f"intake of wave {closed.data['wave']}")
    outcomes = Counter(record.data["application_id"] for record in (*of["selected-in-batch"], *of["not-selected"]))
    withdrawn = {record.data["application_id"] for record in of["application-withdrawn"]}
    published = {record.data["wave"] for record in of["wave-published"]}
    for applied in of["applied"]:
        application_id = applied.data["application_id"]
        if application_id not in withdrawn and applied.data["wave"] in published:
            yield from _exactly_once(outcomes[application_id], f"outcome of application {application_id}")
        elif outcomes[application_id] and application_id in withdrawn:
            yield Finding(Kind.DOUBLED, f"application {application_id} was withdrawn and has an outcome")


def _exactly_once(times: int, what: str) -> Found:
    if times != 1:
        yield Finding(Kind.DOUBLED if times else Kind.LOST, f"{what}: {times} times, not once")


def debts(told: Evidence, stream: Stream) -> Found:
    """By the end every wave has its result, every rated course its completion, and everybody what they are owed."""
    for times, what in (*owed.results(stream), *owed.completions(stream), *owed.releases(stream)):
        yield from _exactly_once(times, what)
    if told.paid_at:
        for times, what in owed.payments(stream, told.acknowledged, told.paid_at):
            yield from _exactly_once(times, what)


def first_courses(told: Evidence, stream: Stream) -> Found:
    """Disbursement reads completions: whoever has finished the first course sees that an incentive is owed."""
    completed = {record.data["citizen_id"]: record.data["first"] for record in stream if record.type == COMPLETED}
    for citizen_id, seen in told.seen.items():
        if completed.get(citizen_id) and "incentive-1" not in seen.payouts:
            yield Finding(Kind.LOST, f"{citizen_id} has completed the first course and is owed nothing for it")


def timelines(told: Evidence, stream: Stream) -> Found:
    """Registration reads every topic: each event about a citizen is one step of their timeline, and no other is."""
    about: dict[str, Counter[str]] = defaultdict(Counter)
    for record in stream:
        if "citizen_id" in record.data:
            about[record.data["citizen_id"]][record.type] += 1
    types = {kind for counted in about.values() for kind in counted}
    for citizen_id, seen in told.seen.items():
        for kind in types:
            times, wanted = seen.timeline[kind], about[citizen_id][kind]
            if times != wanted:
                lost = Kind.LOST if times < wanted else Kind.DOUBLED
                yield Finding(lost, f"{kind} stands {times} times in the timeline of {citizen_id}, not {wanted}")


def memberships(told: Evidence, stream: Stream) -> Found:
    """Training reads the draws: whoever was selected is a member there. Whoever has finished was said to have."""
    for record in stream:
        seen = told.seen.get(record.data.get("citizen_id", ""))
        if record.type == "selected-in-batch" and seen and seen.membership == "none":
            yield Finding(Kind.LOST, f"{record.data['citizen_id']} was selected and is no member in training")
    completed = {record.data["citizen_id"] for record in stream if record.type == COMPLETED}
    for citizen_id, seen in told.seen.items():
        if seen.membership in ("completed", "closed") and citizen_id not in completed:
            yield Finding(Kind.LOST, f"{citizen_id} has completed a course, no {COMPLETED} is on its topic")


def outcomes_shown(told: Evidence, stream: Stream) -> Found:
    """What citizens see of their applications is what was announced."""
    announced = {
        record.data["application_id"]: "selected" if record.type == "selected-in-batch" else "not-selected"
        for record in stream
        if record.type in ("selected-in-batch", "not-selected")
    }
    for seen in told.seen.values():
        for application_id, state in _applications(seen).items():
            wanted = announced.get(application_id)
            if wanted and state not in (wanted, "revoked"):
                yield Finding(Kind.LOST, f"application {application_id} is shown as {state}, and is {wanted}")


def finance(told: Evidence, stream: Stream) -> Found:
    """Finance's books hold every event about money once, in the order of its key."""
    money = [record for record in stream if record.topic == "incentive-paid"]
    times = Counter(told.booked)
    for record in money:
        yield from _exactly_once(times[record.event_id], f"{record.type} {record.event_id} in finance's books")
    for event_id in times.keys() - {record.event_id for record in money}:
        yield Finding(Kind.DOUBLED, f"finance booked {event_id}, which is on no topic")
    place = {event_id: index for index, event_id in enumerate(told.booked)}
    last: dict[str, int] = {}
    for record in money:
        here = place.get(record.event_id, -1)
        if 0 <= here < last.get(record.key, -1):
            yield Finding(Kind.DISORDERED, f"finance booked {record.event_id} before what its key had said earlier")
        last[record.key] = max(here, last.get(record.key, -1))


# -- money -----------------------------------------------------------------------------------------------------------


def rails(told: Evidence, stream: Stream) -> Found:
    """Every payment in a rail's book was announced once, nothing else was, and no payout kept two payments."""
    yield from (Finding(Kind.DOUBLED, f"a rail booked {reference} twice") for reference in told.twice_booked)
    booked = {attempt: booking for book in told.rails.values() for attempt, booking in book.items()}
    told_paid = (record.data for record in stream if record.type == "incentive-paid")
    paid = Counter((data["payout_id"], data["attempt"]) for data in told_paid)
    for attempt in booked.keys() | paid.keys():
        times, there = paid[attempt], attempt in booked
        if there != bool(times):
            said = "booked and not announced" if there else "announced as paid and booked nowhere"
            yield Finding(Kind.LOST, f"payout {attempt[0]} attempt {attempt[1]} is {said}")
        elif times > 1:
            yield Finding(Kind.DOUBLED, f"payout {attempt[0]} attempt {attempt[1]} was announced {times} times")
    kept = Counter(payout for (payout, _), booking in booked.items() if not booking.returned)
    for payout, times in kept.items():
        if times > 1:
            yield Finding(Kind.DOUBLED, f"payout {payout} was paid {times} times")


def money(told: Evidence, stream: Stream) -> Found:
    """The ledger balances, finance has the same six figures, and the rails hold what the ledger says is paid."""
    for name, six in (("the ledger", told.ledger), ("finance", told.books)):
        parts = sum(six[part] for part in SIX[1:])
        if parts != six["appropriation"]:
            yield Finding(Kind.LOST, f"{name}: parts of {parts:,} rupiah, appropriation {six['appropriation']:,}")
    for part in SIX:
        if told.ledger[part] != told.books[part]:
            yield Finding(Kind.LOST, f"{part}: the ledger says {told.ledger[part]:,}, finance {told.books[part]:,}")
    kept = sum(one.amount_rupiah for book in told.rails.values() for one in book.values() if not one.returned)
    if kept != told.ledger["paid"]:
        kind = Kind.DOUBLED if kept > told.ledger["paid"] else Kind.LOST
        yield Finding(kind, f"the rails hold {kept:,} rupiah, the ledger says {told.ledger['paid']:,} are paid")


def parked(told: Evidence, stream: Stream) -> Found:
    """The load holds no poison, so nothing may be set aside."""
    yield from (
        Finding(Kind.STUCK, f"{name} has parked {count} events") for name, count in told.parked.items() if count
    )


Check = Callable[[Evidence, Stream], Iterable[Finding]]
CHECKS: Final[tuple[Check, ...]] = (
    lanes, once_each, per_key, acknowledged_events, acknowledged_states, consequences, debts, first_courses, timelines,
    memberships, outcomes_shown, finance, rails, money, parked,
)  # fmt: skip
