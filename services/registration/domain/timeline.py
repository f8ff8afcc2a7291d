"""What is kept of a step in a citizen's timeline, and the sentences it is told in when somebody looks.

Only what the sentences need is stored, so a better sentence reaches old steps too. Indonesian first, English second.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from libs.events import ids
from libs.events.clock import JAKARTA, end_of_day
from libs.events.contracts import Event
from libs.events.programme import Programme, last_moment
from services.registration.domain import words

_PAYMENT: Final = ("programme", "wave", "milestone", "amount_rupiah")

KEPT: Final[Mapping[str, Sequence[str]]] = {
    "applied": ("programme", "wave", "tier"),
    "application-withdrawn": ("programme", "wave"),
    "selected-in-batch": ("programme", "wave", "rank", "ticket", "cutoff", "appeal_id"),
    "not-selected": ("programme", "wave", "reason", "ticket", "rank", "cutoff"),
    "appeal-lodged": ("programme", "wave", "reason", "appeal_id"),
    "appeal-decided": ("programme", "wave", "upheld", "finding", "appeal_id"),
    "money-reserved": ("programme", "wave", "amount_rupiah"),
    "training-completed": ("programme", "wave", "first"),
    "training-rated": ("programme", "wave", "stars"),
    "membership-revoked": ("programme", "wave", "reason"),
    "incentive-submitted": _PAYMENT,
    "incentive-paid": _PAYMENT,
    "incentive-failed": (*_PAYMENT, "reason"),
    "incentive-returned": (*_PAYMENT, "reason"),
    "reservation-released": ("programme", "wave", "amount_rupiah", "reason"),
}
"""Every event that concerns a citizen, and the fields its sentences need."""


STAGES: Final[Mapping[str, int]] = {
    "wave-rescheduled": 1,
    "wave-closed": 2,
    "wave-committed": 3,
    "wave-drawn": 4,
    "wave-draw-set-aside": 5,
    "wave-published": 6,
    "wave-voided": 6,
}
"""How steps of one moment follow each other: the citizen's own (0), then the wave's, with the result (5) in between."""

AGAIN: Final = "/"

PROOFS: Final = "/v1/me/draws"
"""Where selection shows citizens the inclusion proofs of their own applications."""

OWN: Final = frozenset({"registered", "email-confirmed", "applied", "application-withdrawn"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of one citizen. `entry_id` derives from what happened: a step that is told twice stands once."""

    citizen_id: str
    entry_id: str
    at: datetime
    what: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """A step in plain words: what happened and why, what to do next, and until when."""

    id: str
    en: str
    next_id: str | None = None
    next_en: str | None = None
    deadline: datetime | None = None


def entry_of(event: Event) -> Entry:
    """An event about a citizen, as a step."""
    data = event.model_dump(mode="json", include=set(KEPT[event.TYPE]))
    return Entry(event.model_dump(include={"citizen_id"})["citizen_id"], event.event_id(), event.at, event.TYPE, data)


def own_step(citizen_id: str, what: str, at: datetime, *meaning: str, **data: Any) -> Entry:
    """A step that is no event on the bus; `meaning` tells it from the citizen's other steps of this kind."""
    return Entry(citizen_id, ids.derive("step", what, citizen_id, *meaning), at, what, data)


def drawn(what: str, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A citizen's own numbers in a draw: what they need to check their result against the published bundle.

    A seat by appeal was not drawn: its ticket is in no bundle, so there is nothing to check.
    The proof that they were in the pool stays where it is, to be asked for: some 1,500 bytes for each of ten million.
    """
    if what not in ("selected-in-batch", "not-selected") or not data.get("ticket") or data.get("appeal_id"):
        return None
    return {**{name: data.get(name) for name in ("ticket", "rank", "cutoff")}, "proof": PROOFS}


def step_name(what: str, nth: int = 1) -> str:
    """The name under which a step of a wave is kept: a step that may be taken again has a number from the second on."""
    return what if nth == 1 else f"{what}{AGAIN}{nth}"


def kind_of(name: str) -> str:
    """What happened, without the number."""
    return name.partition(AGAIN)[0]


def stage(what: str) -> int:
    """The place of a step among others of the same moment; different topics may bring them in any order."""
    return STAGES.get(what, 0 if what in OWN or what.startswith("identity-") else 5)


def tell(what: str, at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    """The sentences of a step. A kind that is not known here is said to be so rather than left out."""
    teller = TELLERS.get(what)
    return teller(at, data, rules) if teller else Told(*words.SOMETHING_ELSE)


def _plain(id: str, en: str, next_id: str | None = None, next_en: str | None = None) -> "Teller":
    told = Told(id, en, next_id, next_en)
    return lambda at, data, rules: told


def _submitted(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    return Told(*words.CHECKING, *(words.NIK_DISAGREES if data.get("nik_disagrees") else words.WAIT_FOR_CHECK))


def _mismatch(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    named_id, named_en = words.MISMATCHES.get(str(data.get("field")), words.MISMATCHES["name"])
    return Told(
        f"{named_id} tidak cocok dengan data kependudukan.",
        f"{named_en} does not match the civil registry.",
        *words.CORRECT_IDENTITY,
    )


def _wave(id: str, en: str, next_id: str | None = None, next_en: str | None = None) -> "Teller":
    """Sentences with the number of the wave in them."""

    def teller(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
        return Told(id.format(**data), en.format(**data), next_id, next_en)

    return teller


def _rescheduled(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    """The times as days and hours in Jakarta: WIB, as the programme announces them."""
    closes, draws = (
        datetime.fromisoformat(data[name]).astimezone(JAKARTA).strftime("%d-%m-%Y %H.%M WIB")
        for name in ("closes_at", "draws_at")
    )
    told = {"wave": data["wave"], "reason": data["reason"], "closes_at": closes, "draws_at": draws}
    return Told(words.WAVE_RESCHEDULED[0].format(**told), words.WAVE_RESCHEDULED[1].format(**told))


def _selected(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    """The first course must be bought in time: Permenko 11/2020, Art. 20."""
    due = end_of_day(at, rules.training.purchase_days) if rules else None
    if data.get("appeal_id"):
        first_id, first_en = words.SELECTED_BY_APPEAL
        return Told(first_id.format(**data), first_en.format(**data), *words.BUY_FIRST_COURSE, deadline=due)
    return Told(
        f"Selamat, Anda diterima di gelombang {data['wave']} (urutan undian {data['rank']} di kelompok Anda).",
        f"Congratulations, you were accepted in wave {data['wave']} (drawn as number {data['rank']} in your group).",
        *words.BUY_FIRST_COURSE,
        deadline=due,
    )


def _not_selected(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    """An exclusion can be contested for some days; a lost draw can not, but joined again."""
    why_id, why_en, next_id, next_en = words.NOT_SELECTED.get(str(data["reason"]), words.NOT_SELECTED_OTHERWISE)
    appeals = rules is not None and (next_id, next_en) == words.APPEAL
    return Told(
        f"Anda belum berhasil di gelombang {data['wave']}. {why_id}",
        f"You were not selected in wave {data['wave']}. {why_en}",
        next_id,
        next_en,
        deadline=end_of_day(at, rules.draw.appeal_days) if rules and appeals else None,
    )


def _appealed(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    """The number to show at an office is the appeal's."""
    id, en, next_id, next_en = (sentence.format(**data) for sentence in words.APPEAL_LODGED)
    return Told(id, en, next_id, next_en)


def _appeal_decided(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    found = words.APPEAL_DECIDED.get(str(data["finding"]), words.APPEAL_DECIDED_OTHERWISE[bool(data["upheld"])])
    id, en, next_id, next_en = (sentence.format(**data) for sentence in found)
    return Told(id, en, next_id, next_en)


def _completed(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    if data.get("first"):
        due = last_moment(rules.payout.link_by) if rules else None
        return Told(*words.FIRST_COURSE_DONE, deadline=due)
    return Told(*words.COURSE_DONE)


def _money(id: str, en: str, next_id: str | None = None, next_en: str | None = None) -> "Teller":
    """Sentences with the amount and what it is for."""

    def teller(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
        for_id, for_en = words.milestone(str(data.get("milestone", "")))
        amount = words.rupiah(int(data["amount_rupiah"]))
        return Told(
            id.format(amount=amount, purpose=for_id), en.format(amount=amount, purpose=for_en), next_id, next_en
        )

    return teller


def _unpaid(id: str, en: str) -> "Teller":
    """What to repair and until when. A course is paid to its partner: the citizen has nothing to repair there."""
    what = _money(id, en)

    def teller(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
        told = what(at, data, rules)
        if str(data["milestone"]).startswith("course-"):
            return Told(told.id, told.en, *words.WITH_PARTNER)
        found = words.PAYMENT_FAILED.get(str(data["reason"]), words.PAYMENT_FAILED_OTHERWISE)
        why_id, why_en, next_id, next_en = found
        due = last_moment(rules.payout.last_payment) if rules and (next_id, next_en) != words.TRIED_AGAIN else None
        return Told(f"{told.id} {why_id}", f"{told.en} {why_en}", next_id, next_en, due)

    return teller


def _paid(at: datetime, data: Mapping[str, Any], rules: Programme | None) -> Told:
    told = _money(*words.PAID)(at, data, rules)
    if data["milestone"] != "incentive-1":
        return told
    return Told(
        told.id, told.en, *words.ANSWER_SURVEYS, deadline=last_moment(rules.payout.last_payment) if rules else None
    )


Teller = Callable[[datetime, Mapping[str, Any], Programme | None], Told]

TELLERS: Final[Mapping[str, Teller]] = {
    "registered": _plain(*words.REGISTERED),
    "email-confirmed": _plain(*words.EMAIL_CONFIRMED),
    "identity-submitted": _submitted,
    "identity-verified": _plain(*words.IDENTITY_VERIFIED),
    "identity-mismatch": _mismatch,
    "identity-not-found": _plain(*words.IDENTITY_NOT_FOUND),
    "applied": _wave(*words.APPLIED),
    "application-withdrawn": _wave(*words.WITHDRAWN),
    "wave-rescheduled": _rescheduled,
    "wave-closed": _wave(*words.WAVE_CLOSED),
    "wave-committed": _wave(*words.WAVE_COMMITTED),
    "wave-drawn": _wave(*words.WAVE_DRAWN),
    "wave-draw-set-aside": _wave(*words.WAVE_DRAW_SET_ASIDE),
    "wave-published": _wave(*words.WAVE_PUBLISHED),
    "wave-voided": _wave(*words.WAVE_VOIDED),
    "selected-in-batch": _selected,
    "not-selected": _not_selected,
    "appeal-lodged": _appealed,
    "appeal-decided": _appeal_decided,
    "money-reserved": _money(*words.MONEY_RESERVED),
    "training-completed": _completed,
    "training-rated": _plain(*words.RATED),
    "membership-revoked": _wave(*words.REVOKED),
    "incentive-submitted": _money(*words.SUBMITTED),
    "incentive-paid": _paid,
    "incentive-failed": _unpaid(*words.FAILED),
    "incentive-returned": _unpaid(*words.RETURNED),
    "reservation-released": _money(*words.RELEASED),
}
