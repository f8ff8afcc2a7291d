"""What citizens read: where they stand, their timeline, and the waves. A read side apart from the model."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from libs.events.clock import JAKARTA
from libs.events.database import Transaction
from libs.events.programme import Programme
from libs.events.refusal import Refused
from services.registration.domain import words
from services.registration.domain.eligibility import Reason, reasons_against
from services.registration.domain.identity import UNKNOWN_CITIZEN
from services.registration.domain.timeline import drawn, kind_of, stage, tell
from services.registration.store import QUERIES, person_of
from services.registration.vault import Vault

TIMELINE_MAX: Final = 500

Programmes = Mapping[str, Programme]


async def me(tx: Transaction, vault: Vault, programmes: Programmes, citizen_id: str, now: datetime) -> dict[str, Any]:
    """Where a citizen stands, and the next step. Raises Refused for whoever does not exist any more."""
    row = await QUERIES.citizen_now(tx, citizen=citizen_id)
    if row is None:
        raise Refused(UNKNOWN_CITIZEN)
    applications = await QUERIES.applications_of(tx, citizen=citizen_id)
    identity = row["state"] or "none"
    reasons: list[Reason] = []
    if row["sealed"]:
        rules = await rules_of_today(tx, programmes, now)
        person = person_of(vault.seal(citizen_id, row["wrapped"]), row)
        reasons = list(reasons_against(rules.eligibility, person, now.astimezone(JAKARTA).date()))
        if row["member"] and rules.eligibility.once_per_lifetime:
            reasons.append(Reason("already-member", *words.NOT_SELECTED["already-member"][:2]))
    next_id, next_en = _next_step(row, identity, reasons, [one["state"] for one in applications])
    return {
        "citizen_id": citizen_id,
        "email_confirmed": row["email_confirmed"],
        "identity": identity,
        "mismatch_field": row["mismatch_field"],
        "nik_disagrees": bool(row["nik_disagrees"]),
        "eligible": identity == "verified" and not reasons,
        "reasons": [{"code": reason.code, "id": reason.id, "en": reason.en} for reason in reasons],
        "next_step": {"id": next_id, "en": next_en},
        "applications": [dict(one) for one in applications],
    }


def _next_step(
    row: Mapping[str, Any], identity: str, reasons: list[Reason], applications: list[str]
) -> tuple[str | None, str | None]:
    """The one thing to do now."""
    if not row["email_confirmed"]:
        return words.REGISTERED[2:]
    match identity:
        case "none":
            return words.EMAIL_CONFIRMED[2:]
        case "checking":
            return words.NIK_DISAGREES if row["nik_disagrees"] else words.WAIT_FOR_CHECK
        case "mismatch":
            return words.CORRECT_IDENTITY
        case "not-found":
            return words.IDENTITY_NOT_FOUND[2:]
    # An upheld appeal makes a member without an application that was drawn.
    if "selected" in applications or (row["member"] and "revoked" not in applications):
        return words.FOLLOW_TIMELINE
    if reasons:
        return words.CONTACT
    if "applied" in applications:
        return words.APPLIED[2:]
    return words.IDENTITY_VERIFIED[2:]


async def rules_of_today(tx: Transaction, programmes: Programmes, now: datetime) -> Programme:
    """The rules of the wave announced last; before any wave, those of this year, else the newest."""
    waves = [row for row in await QUERIES.waves_all(tx) if row["programme"] in programmes and row["opens_at"]]
    if waves:
        return programmes[max(waves, key=lambda row: row["opens_at"])["programme"]]
    year = now.astimezone(JAKARTA).year
    return max(programmes.values(), key=lambda rules: (rules.year == year, rules.year))


async def timeline(tx: Transaction, programmes: Programmes, citizen_id: str) -> list[dict[str, Any]]:
    """Everything that happened to a citizen, newest last, in plain sentences."""
    rows = await QUERIES.timeline_of(tx, citizen=citizen_id, limit=TIMELINE_MAX)
    steps = []
    for row in sorted(rows, key=lambda row: (row["at"], stage(kind_of(row["what"])), row["position"])):
        data, what = json.loads(row["data"]), kind_of(row["what"])
        told = tell(what, row["at"], data, programmes.get(data.get("programme", "")))
        steps.append(
            {
                "at": row["at"],
                "what": what,
                "programme": data.get("programme"),
                "wave": data.get("wave"),
                "id": told.id,
                "en": told.en,
                "next_id": told.next_id,
                "next_en": told.next_en,
                "deadline": told.deadline,
                "draw": drawn(what, data),
            }
        )
    return steps


async def waves(tx: Transaction) -> list[dict[str, Any]]:
    """The waves as selection announced them."""
    return [dict(row) for row in await QUERIES.waves_all(tx)]
