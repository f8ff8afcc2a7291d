"""The figures of a finished replay, beside the published ones: what report.json holds and the pages draw.

People are counts, money is whole rupiah. `published` is as given to the press, `expected` the same at this scale.
"""

from collections import Counter, defaultdict
from typing import Any, Final

from deploy.demo.checks import SIX
from deploy.demo.figures import RECOVERY_WAVE, rounded
from deploy.demo.run import Outcome

STAGES: Final = (
    # figure, key in the published figures, Indonesian, English
    ("registered", "registered", "Mendaftar akun", "Registered"),
    ("confirmed", "confirmed", "Surel dikukuhkan", "E-mail confirmed"),
    ("verified", "verified", "NIK dan KK cocok", "NIK and KK verified"),
    ("joined", "", "Ikut setidaknya satu gelombang", "Joined at least one wave"),
    ("selected", "decreed", "Terpilih", "Selected"),
    ("bought", "bought", "Membeli pelatihan", "Bought a course"),
    ("finished", "finished", "Selesai satu pelatihan", "Finished a course"),
    ("paid", "paid", "Menerima insentif", "Paid an incentive"),
)


def summarise(outcome: Outcome) -> dict[str, Any]:
    """Everything the report says in numbers."""
    return {
        "scale": outcome.options.scale,
        "seed": outcome.options.seed,
        "funnel": _funnel(outcome),
        "waves": _waves(outcome),
        "provinces": _provinces(outcome),
        "money": dict(zip(SIX, (outcome.evidence.ledger[part] for part in SIX), strict=True)),
        "spent": _spent(outcome),
        "payouts": _payouts(outcome),
        "run": {
            "records": outcome.evidence.facts.records,
            "repeats": outcome.evidence.facts.repeats,
            "events": dict(sorted(outcome.evidence.facts.types.items())),
            "requests": outcome.requests,
            "retries": outcome.retries,
            "killed": list(outcome.killed),
            "scanned_bytes": outcome.evidence.scanned_bytes,
            "refusals": dict((outcome.crowd.refusals + outcome.members.refusals).most_common()),
        },
    }


def _funnel(outcome: Outcome) -> list[dict[str, Any]]:
    """Waves 1 to 10, as the published figures have them: those end on 30 October, before the recovery wave."""
    stages, facts = outcome.crowd.stages, outcome.evidence.facts
    standing = [paid for attempt, paid in facts.paid.items() if attempt not in facts.returned]
    replayed = {
        "registered": stages["registered"],
        "confirmed": stages["confirmed"],
        "verified": stages["verified"],
        "joined": len({one.citizen_id for one in facts.applied.values() if one.wave != RECOVERY_WAVE}),
        "selected": sum(seat.wave != RECOVERY_WAVE for seat in facts.selected.values()),
        "bought": outcome.members.bought.total() - outcome.members.bought[RECOVERY_WAVE],
        "finished": facts.completed.total() - facts.completed[RECOVERY_WAVE],
        "paid": sum(paid.milestone == "incentive-1" and paid.wave != RECOVERY_WAVE for paid in standing),
    }
    published = outcome.figures.published
    return [
        {
            "figure": figure,
            "id": id,
            "en": en,
            "published": published.get(key),
            "expected": rounded(published[key], outcome.options.scale) if key else None,
            "replayed": replayed[figure],
        }
        for figure, key, id, en in STAGES
    ]


def _waves(outcome: Outcome) -> list[dict[str, Any]]:
    facts, evidence = outcome.evidence.facts, outcome.evidence
    applicants: Counter[int] = Counter()
    for application_id, application in facts.applied.items():
        applicants[application.wave] += application_id not in evidence.withdrawn
    winners = Counter(seat.wave for seat in facts.selected.values())
    priority = Counter(seat.wave for seat in facts.selected.values() if seat.tier == "priority")
    revoked = Counter(facts.revoked.values())
    return [
        {
            "wave": wave,
            "applicants": applicants[wave],
            "seats": seats,
            "recycled_seats": facts.recycled.get(wave, 0),
            "winners": winners[wave],
            "priority_winners": priority[wave],
            "not_selected": {reason: count for (of, reason), count in sorted(facts.refused.items()) if of == wave},
            "revoked": revoked[wave],
        }
        for wave, seats in sorted(evidence.seats.items())
    ]


def _provinces(outcome: Outcome) -> list[dict[str, Any]]:
    facts = outcome.evidence.facts
    winners = Counter(seat.province for seat in facts.selected.values())
    paid: Counter[str] = Counter()
    for attempt, payment in facts.paid.items():
        if attempt not in facts.returned:
            paid[payment.province] += payment.amount_rupiah
    total = sum(outcome.evidence.seats.values())
    return [
        {
            "code": province.code,
            "name": province.name,
            "winners": winners[province.code],
            "by_population": round(total * province.share),
            "paid_rupiah": paid[province.code],
        }
        for province in outcome.figures.provinces
    ]


def _spent(outcome: Outcome) -> dict[str, Any]:
    """What was paid and not sent back: by purpose, by rail, and by month of programme time."""
    facts = outcome.evidence.facts
    by: dict[str, Counter[str]] = defaultdict(Counter)
    for attempt, payment in facts.paid.items():
        if attempt in facts.returned:
            continue
        by["purpose"][payment.milestone.split("-")[0]] += payment.amount_rupiah
        by["rail"][payment.rail] += payment.amount_rupiah
        by["month"][payment.at[:7]] += payment.amount_rupiah
    released = {name.removeprefix("released "): amount for name, amount in facts.rupiah.items() if "released" in name}
    return {
        "by_purpose": dict(by["purpose"]),
        "by_rail": dict(by["rail"]),
        "by_month": dict(sorted(by["month"].items())),
        "released": released,
    }


def _payouts(outcome: Outcome) -> dict[str, Any]:
    facts = outcome.evidence.facts
    kept = {payout for payout, attempt in facts.paid if (payout, attempt) not in facts.returned}
    return {
        "paid": len(kept),
        "failed_by_reason": dict(facts.failed.most_common()),
        "returned": len(facts.returned),
        "failed_or_returned": len(facts.failed_payouts),
        "repaired": len(facts.failed_payouts & kept),
        "accounts_with_trouble": dict(outcome.members.reasons.most_common()),
    }
