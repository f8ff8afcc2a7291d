"""Each check holds on a small honest history and fails, naming what is wrong, as soon as one fact is tampered with."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from deploy.demo.checks import CHECKS, Booking, Evidence, judge
from deploy.demo.evidence import attempt_of
from deploy.demo.facts import Facts

PAYOUT = "a" * 32
SPENT = {"available": 0, "reserved": 0, "in_flight": 0, "paid": 600_000, "returned": 9_400_000}
ROOMY = {"appropriation": 10_000_000, **SPENT}


def record(facts: Facts, kind: str, number: int, topic: str, **data: Any) -> None:
    event = {
        "sequence": f"{number:016}", "epoch": 1, "specversion": "1.0", "id": f"{topic}-{number}", "source": "somebody",
        "type": kind, "time": "2020-04-17T03:00:00+00:00", "dataschema": f"urn:gelombang:{kind}:1", "data": data,
    }  # fmt: skip
    facts.take(topic, 0, number - 1, json.dumps(event).encode(), ["content-type"])


def honest() -> Evidence:
    """Three applications to two seats: one drawn and paid, one not drawn, one withdrawn."""
    facts = Facts()
    quotas = [{"province": "31", "tier": "public", "seats": 2}]
    record(facts, "wave-announced", 1, "waves", wave=1, quotas=quotas, recycled_seats=0)
    record(facts, "wave-published", 2, "waves", wave=1, winners=1, not_selected=1)
    for number, name in enumerate("pqr", 1):
        told = {"application_id": name, "citizen_id": f"citizen-{name}", "household_id": f"home-{name}", "wave": 1}
        record(facts, "applied", number, "applied", **told, province="31", tier="public")
    record(facts, "application-withdrawn", 4, "applied", application_id="r")
    won = {"application_id": "p", "citizen_id": "citizen-p", "wave": 1, "province": "31", "tier": "public"}
    record(facts, "selected-in-batch", 1, "selected-in-batch", **won)
    record(facts, "not-selected", 2, "selected-in-batch", application_id="q", wave=1, reason="other-aid")
    record(facts, "appropriation-granted", 1, "incentive-paid", amount_rupiah=10_000_000)
    paid = {
        "payout_id": PAYOUT,
        "attempt": 1,
        "amount_rupiah": 600_000,
        "rail": "bank",
        "milestone": "incentive-1",
        "wave": 1,
    }
    record(facts, "incentive-paid", 2, "incentive-paid", **paid, province="31", at="2020-05-01T00:00:00+00:00")
    return Evidence(
        joined={name: f"citizen-{name}" for name in "pqr"},
        withdrawn=frozenset("r"),
        families={f"citizen-{name}": f"card-{name}" for name in "pqr"},
        seats={1: 2},
        facts=facts,
        rails={"bank": {(PAYOUT, 1): Booking(600_000, returned=False)}, "e-wallet": {}},
        twice_booked=[],
        ledger=dict(ROOMY),
        finance=dict(ROOMY),
        before_year_end=dict(ROOMY),
        seen_by_citizens={"p": "selected", "q": "not-selected", "r": "withdrawn"},
        draws={1: ""},
        scanned_bytes=1,
        parked={"training": 0},
    )


def failing(evidence: Evidence) -> set[str]:
    return {check.name for check in judge(evidence) if not check.ok}


def test_an_honest_history_passes_every_check() -> None:
    assert failing(honest()) == set()
    assert len(judge(honest())) == len(CHECKS)


Tamper = Callable[[Evidence], object]


def _ledger(part: str, by: int) -> Tamper:
    return lambda told: told.ledger.__setitem__(part, told.ledger[part] + by)


TAMPERED: dict[str, tuple[Tamper, set[str]]] = {
    "an acknowledged application never reached the bus": (
        lambda told: told.joined.__setitem__("lost", "citizen-x"),
        {"every-application-has-one-outcome"},
    ),
    "an application has two outcomes": (
        lambda told: told.facts.outcomes.update("q"),
        {"every-application-has-one-outcome"},
    ),
    "a withdrawn application was drawn all the same": (
        lambda told: told.facts.outcomes.update("r"),
        {"every-application-has-one-outcome"},
    ),
    "an application nobody acknowledged is on the bus": (
        lambda told: told.joined.pop("q"),
        {"every-application-has-one-outcome"},
    ),
    "more winners than seats": (
        lambda told: told.seats.__setitem__(1, 0),
        {"winners-within-quotas"},
    ),
    "a seat was wasted on nobody": (
        lambda told: told.facts.refused.update({(1, "other-aid"): -1, (1, "lost-draw"): 1}),
        {"winners-within-quotas"},
    ),
    "a recycled seat that nobody had freed": (
        lambda told: told.facts.recycled.update({1: 1}),
        {"recycled-seats"},
    ),
    "the public verifier disagrees": (
        lambda told: told.draws.__setitem__(1, "other winners"),
        {"draws-verify"},
    ),
    "a citizen is shown something else": (
        lambda told: told.seen_by_citizens.__setitem__("q", "selected"),
        {"citizens-see-their-outcome"},
    ),
    "a rupiah is missing in the ledger": (_ledger("available", -1), {"money-identity", "books-agree"}),
    "money is still reserved after year-end": (
        lambda told: [_ledger("reserved", 7)(told), _ledger("returned", -7)(told)],
        {"money-identity", "books-agree"},
    ),
    "finance has another figure": (
        lambda told: told.finance.update(paid=599_999, returned=9_400_001),
        {"books-agree"},
    ),
    "the rail booked another amount": (
        lambda told: told.rails["bank"].update({(PAYOUT, 1): Booking(500_000, returned=False)}),
        {"books-agree"},
    ),
    "the rail sent money back and nobody noticed": (
        lambda told: told.rails["bank"].update({(PAYOUT, 1): Booking(600_000, returned=True)}),
        {"books-agree"},
    ),
    "the rail booked something nobody announced": (
        lambda told: told.rails["e-wallet"].update({("b" * 32, 1): Booking(0, returned=False)}),
        {"books-agree"},
    ),
    "a payout was paid by two attempts": (
        lambda told: told.facts.paid.update({(PAYOUT, 2): told.facts.paid[PAYOUT, 1]}),
        {"nobody-paid-twice", "books-agree"},
    ),
    "a number is missing": (
        lambda told: record(told.facts, "training-rated", 9, "incentive-paid"),
        {"no-gap"},
    ),
    "an event is parked": (
        lambda told: told.parked.__setitem__("training", 1),
        {"nothing-parked"},
    ),
    "something personal was seen": (
        lambda told: told.personal.update({("log x", "NIK or KK"): 2}),
        {"nothing-personal"},
    ),
    "nothing was scanned at all": (lambda told: setattr(told, "scanned_bytes", 0), {"nothing-personal"}),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_history_fails(what: str) -> None:
    tamper, expected = TAMPERED[what]
    evidence = honest()
    tamper(evidence)
    assert failing(evidence) == expected


def test_a_family_above_the_cap_fails_even_behind_several_households() -> None:
    evidence = honest()
    for name in "xyz":
        told = {"application_id": name, "citizen_id": f"citizen-{name}", "wave": 1, "province": "31", "tier": "public"}
        number = 3 + "xyz".index(name)
        record(evidence.facts, "selected-in-batch", number, "selected-in-batch", **told)
        evidence.families[f"citizen-{name}"] = "one card"
    assert "household-cap" in failing(evidence)


def test_being_drawn_twice_fails() -> None:
    evidence = honest()
    told = {"application_id": "s", "citizen_id": "citizen-p", "wave": 2, "province": "31", "tier": "public"}
    record(evidence.facts, "selected-in-batch", 3, "selected-in-batch", **told)
    assert "household-cap" in failing(evidence)


def test_a_repeated_record_is_skipped_and_a_broken_one_is_told() -> None:
    facts = honest().facts
    before = copy.deepcopy(facts.outcomes)
    record(facts, "not-selected", 2, "selected-in-batch", application_id="q", wave=1, reason="lost-draw")
    assert (facts.outcomes, facts.repeats, facts.faults) == (before, 1, [])
    facts.take("applied", 3, 0, b"not json", [])
    assert facts.faults == ["applied partition 3 offset 0: not a numbered CloudEvent"]


def test_a_failing_check_shows_a_few_problems_and_where_to_look() -> None:
    evidence = honest()
    for number in range(10):
        evidence.joined[f"lost-{number}"] = "somebody"
    check = next(check for check in judge(evidence) if not check.ok)
    assert len(check.problems) == 4
    assert check.problems[-1].startswith("and ")
    assert "acknowledged.jsonl" in check.look


@pytest.mark.parametrize(
    ("reference", "attempt"),
    [(f"{PAYOUT}1", (PAYOUT, 1)), (f"{PAYOUT}012", (PAYOUT, 12)), ("fee-7", ("fee-7", 0))],
)
def test_a_rails_reference_names_payout_and_attempt(reference: str, attempt: tuple[str, int]) -> None:
    assert attempt_of(reference) == attempt
