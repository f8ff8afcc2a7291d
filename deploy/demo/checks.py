"""What must hold at the end, judged from outside histories alone.

The acknowledgements kept by the driver, the records of the bus, the rails' own books, the ledger, finance's books, logs
and metrics: none of them is asked to vouch for itself. Pure functions; `evidence.py` gathers what they compare.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from deploy.demo.citizens import HOUSEHOLD_CAP
from deploy.demo.facts import Attempt, Facts

SIX: Final = ("appropriation", "available", "reserved", "in_flight", "paid", "returned")
SHOWN_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Booking:
    """A payment in a rail's own book."""

    amount_rupiah: int
    returned: bool


@dataclass(slots=True)
class Evidence:
    """Everything that was gathered. Money is whole rupiah; the six figures are those of `SIX`."""

    joined: dict[str, str]  # application -> citizen, as acknowledged
    withdrawn: frozenset[str]
    families: dict[str, str]  # citizen -> family card: known to the driver alone
    seats: dict[int, int]  # what officers announced, recycled ones included
    facts: Facts
    rails: dict[str, dict[Attempt, Booking]]
    twice_booked: list[str]
    ledger: dict[str, int]
    finance: dict[str, int]
    before_year_end: dict[str, int]  # the ledger, on the eve of the year-end
    seen_by_citizens: dict[str, str] = field(default_factory=dict)
    draws: dict[int, str] = field(default_factory=dict)  # wave -> what the public verifier said, empty where it agrees
    personal: Counter[tuple[str, str]] = field(default_factory=Counter)
    scanned_bytes: int = 0
    parked: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `problems` is empty where it does; `look` says where to look where it does not."""

    name: str
    id: str
    en: str
    look: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def judge(evidence: Evidence) -> list[Check]:
    """All checks, in the order of the story."""
    return [Check(name, id, en, look, _short(find(evidence))) for name, id, en, look, find in CHECKS]


def _short(problems: Iterable[str]) -> tuple[str, ...]:
    found = list(problems)
    more = len(found) - SHOWN_MAX
    return (*found[:SHOWN_MAX], f"and {more} more") if more > 0 else tuple(found)


def outcomes(told: Evidence) -> Iterable[str]:
    """Every acknowledged application is withdrawn, or has exactly one outcome; and nobody is there unacknowledged."""
    facts = told.facts
    for application_id in told.joined:
        if application_id not in facts.applied:
            yield f"application {application_id} was acknowledged and is not on the topic applied"
        standing = application_id not in told.withdrawn
        if facts.outcomes[application_id] != standing:
            yield f"application {application_id} has {facts.outcomes[application_id]} outcomes, not {int(standing)}"
        if facts.withdrawn[application_id] == standing:
            yield f"application {application_id}: what was acknowledged of its withdrawal is not what was announced"
    for application_id in facts.applied.keys() - told.joined.keys():
        yield f"application {application_id} is on the topic applied and was never acknowledged"


def quotas(told: Evidence) -> Iterable[str]:
    """Winners never exceed the seats: of a wave, and of all that a stratum and its spill-over can take."""
    won = Counter(seat.wave for seat in told.facts.selected.values())
    applied = Counter(
        application.wave
        for application_id, application in told.facts.applied.items()
        if application_id not in told.withdrawn
    )
    barred: Counter[int] = Counter()
    for (wave, reason), count in told.facts.refused.items():
        barred[wave] += count if reason != "lost-draw" else 0
    for wave, seats in told.seats.items():
        if sum(told.facts.quotas.get(wave, {}).values()) != seats:
            yield f"wave {wave}: the announced quotas do not add up to {seats} seats"
        if won[wave] > seats:
            yield f"wave {wave}: {won[wave]} winners for {seats} seats"
        wanted = min(seats, applied[wave] - barred[wave])
        if won[wave] < wanted:
            yield f"wave {wave}: {won[wave]} winners although {wanted} seats had an eligible applicant"
        if told.facts.drawn[wave] != won[wave]:
            yield f"wave {wave}: {told.facts.drawn[wave]} winners were published, {won[wave]} were told"


def households(told: Evidence) -> Iterable[str]:
    """Nobody is above the household cap, by the opaque household and by the family card behind it; and once is once.

    A member whose membership was revoked no longer counts: the cap is over those who hold a seat.
    """
    by_household: Counter[str] = Counter()
    by_family: Counter[str] = Counter()
    by_citizen: Counter[str] = Counter()
    for application_id, seat in told.facts.selected.items():
        by_citizen[seat.citizen_id] += 1
        if seat.citizen_id in told.facts.revoked:
            continue
        by_family[told.families.get(seat.citizen_id, seat.citizen_id)] += 1
        if application_id in told.facts.applied:
            by_household[told.facts.applied[application_id].household_id] += 1
    yield from (f"citizen {one} was drawn {times} times" for one, times in by_citizen.items() if times > 1)
    yield from (f"household {one} has {n} members" for one, n in by_household.items() if n > HOUSEHOLD_CAP)
    yield from (f"a family has {n} members" for n in by_family.values() if n > HOUSEHOLD_CAP)


def recycling(told: Evidence) -> Iterable[str]:
    """A recycled seat was freed by a revocation, and none is given twice."""
    recycled, revoked = sum(told.facts.recycled.values()), len(told.facts.revoked)
    if recycled > revoked:
        yield f"{recycled} seats were recycled, {revoked} had been freed"


def draws(told: Evidence) -> Iterable[str]:
    """The public verifier, run on each published bundle, comes to the same winners."""
    yield from (f"wave {wave}: {words}" for wave, words in told.draws.items() if words)


def seen(told: Evidence) -> Iterable[str]:
    """What citizens see of their own applications is what was announced."""
    for application_id, state in told.seen_by_citizens.items():
        seat = told.facts.selected.get(application_id)
        if application_id in told.withdrawn:
            wanted = "withdrawn"
        elif seat is None:
            wanted = "not-selected"
        else:
            wanted = "revoked" if seat.citizen_id in told.facts.revoked else "selected"
        if state != wanted:
            yield f"application {application_id} is shown as {state}, and is {wanted}"


def identity(told: Evidence) -> Iterable[str]:
    """Appropriation = available + reserved + in flight + paid + returned; and after year-end nothing is left."""
    for name, six in (
        ("ledger", told.ledger),
        ("finance", told.finance),
        ("ledger before year-end", told.before_year_end),
    ):
        parts = sum(six[part] for part in SIX[1:])
        if six["appropriation"] != parts:
            yield f"{name}: the parts add up to {parts:,} rupiah, the appropriation is {six['appropriation']:,}"
    if told.ledger["appropriation"] != told.facts.rupiah["granted"]:
        yield f"the ledger holds {told.ledger['appropriation']:,} rupiah, {told.facts.rupiah['granted']:,} were granted"
    for part in ("available", "reserved", "in_flight"):
        if told.ledger[part]:
            yield f"after year-end {told.ledger[part]:,} rupiah are still {part}"


def agreement(told: Evidence) -> Iterable[str]:
    """The ledger, the rails' own books and finance's books agree to the rupiah, payment by payment."""
    for part in SIX:
        if told.ledger[part] != told.finance[part]:
            yield f"{part}: the ledger says {told.ledger[part]:,} rupiah, finance {told.finance[part]:,}"
    booked = {attempt: booking for book in told.rails.values() for attempt, booking in book.items()}
    kept = sum(booking.amount_rupiah for booking in booked.values() if not booking.returned)
    if kept != told.ledger["paid"]:
        yield f"the rails booked {kept:,} rupiah, the ledger says {told.ledger['paid']:,} are paid"
    facts = told.facts
    for attempt, paid in facts.paid.items():
        booking = told.rails.get(paid.rail, {}).get(attempt)
        if booking is None or booking.amount_rupiah != paid.amount_rupiah:
            yield f"payout {attempt[0]} attempt {attempt[1]} was announced as paid and is not so booked at its rail"
        if facts.paid_times[attempt] > 1:
            yield f"payout {attempt[0]} attempt {attempt[1]} was announced as paid {facts.paid_times[attempt]} times"
    for attempt, booking in booked.items():
        if attempt not in facts.paid:
            yield f"payout {attempt[0]} attempt {attempt[1]} is booked at its rail and was never announced as paid"
        if booking.returned != (attempt in facts.returned):
            yield f"payout {attempt[0]} attempt {attempt[1]}: rail and bus disagree whether it was sent back"


def once(told: Evidence) -> Iterable[str]:
    """No payout was paid twice, whatever was answered late, twice or never."""
    yield from (f"the rail booked {reference} twice" for reference in told.twice_booked)
    kept = Counter(payout for payout, attempt in told.facts.paid if (payout, attempt) not in told.facts.returned)
    yield from (f"payout {payout} was paid {times} times" for payout, times in kept.items() if times > 1)


def numbering(told: Evidence) -> Iterable[str]:
    """In every partition the numbers of each source run from 1 without gap, in agreed envelopes."""
    yield from told.facts.gaps
    yield from told.facts.faults


def parked(told: Evidence) -> Iterable[str]:
    """No event is waiting for a repair."""
    yield from (f"{service} has parked {count} events" for service, count in told.parked.items() if count)


def personal(told: Evidence) -> Iterable[str]:
    """No NIK, family card, name, phone, e-mail or account in any topic, log or metric."""
    yield from (f"{where}: {times} x {kind}" for (where, kind), times in told.personal.items())
    if not told.scanned_bytes:
        yield "nothing was scanned"


Find = Callable[[Evidence], Iterable[str]]
CHECKS: Final[tuple[tuple[str, str, str, str, Find], ...]] = (
    ("every-application-has-one-outcome", "Setiap pendaftaran yang dikukuhkan punya tepat satu hasil",
     "Every acknowledged application has exactly one outcome", "var/demo/acknowledged.jsonl, topics applied and "
     "selected-in-batch", outcomes),
    ("winners-within-quotas", "Pemenang tidak melebihi kuota, dan tidak ada kursi terbuang",
     "Winners stay within the quotas, and no seat is wasted", "selection: GET /v1/waves", quotas),
    ("household-cap", "Tidak ada keluarga di atas batas, tidak ada yang terpilih dua kali",
     "Nobody is above the household cap, nobody was drawn twice", "topics applied and selected-in-batch", households),
    ("recycled-seats", "Kursi daur ulang berasal dari pencabutan", "Recycled seats come from revocations",
     "topics waves and training-completed", recycling),
    ("draws-verify", "Pemeriksa publik sampai pada pemenang yang sama", "The public verifier comes to the same winners",
     "services/selection/verify_draw.py", draws),
    ("citizens-see-their-outcome", "Warga melihat hasil yang sama dengan yang diumumkan",
     "Citizens see the outcome that was announced", "registration: GET /v1/me", seen),
    ("money-identity", "Pagu = tersedia + dicadangkan + dikirim + dibayar + dikembalikan; tak bersisa di akhir tahun",
     "Appropriation = available + reserved + in flight + paid + returned; nothing left after year-end",
     "disbursement: GET /v1/ledger", identity),
    ("books-agree", "Buku besar, buku bank dan dompet, dan buku keuangan cocok sampai rupiah terakhir",
     "Ledger, rails and finance agree to the rupiah, payment by payment", "disbursement, finance, and the rails' "
     "/v1/book", agreement),
    ("nobody-paid-twice", "Tidak ada yang dibayar dua kali", "Nobody was paid twice", "topic incentive-paid", once),
    ("no-gap", "Nomor setiap partisi tanpa celah", "No partition's numbers have a gap", "the topics", numbering),
    ("nothing-parked", "Tidak ada peristiwa yang tertahan", "No event is parked", "/metrics of the services", parked),
    ("nothing-personal", "Tidak ada data pribadi di topik, log, atau metrik",
     "Nothing personal in any topic, log or metric", "the place named", personal),
)  # fmt: skip
