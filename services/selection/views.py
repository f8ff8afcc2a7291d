"""What officers, the public and citizens are shown: rows as JSON."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.selection.domain import pool
from services.selection.domain.ceremony import Official
from services.selection.domain.quotas import Province, Stratum
from services.selection.domain.wave import State, mark
from services.selection.views_due import Row, due, steps, time_of


def result_is_public(view: Row) -> bool:
    """Whether what was drawn may be told: once it is published, or was given up. Not while it is being sent."""
    return view["drawn_at"] is not None and view["state"] in (State.PUBLISHED, State.VOIDED)


def wave(
    view: Row,
    quotas: Mapping[Stratum, tuple[int, int]],
    strata: Sequence[Row],
    sources: Sequence[Row],
    provinces: Mapping[str, Province],
    now: datetime,
) -> dict[str, Any]:
    """Everything the public may know about a wave."""
    drawn = view if result_is_public(view) else dict.fromkeys(view.keys())
    results = {Stratum(row["province"], row["tier"]): row for row in strata if result_is_public(view)}
    return {
        "programme": view["programme"],
        "wave": view["wave"],
        "state": view["state"],
        "legal_steps": list(steps(view, now)),
        **{name: time_of(view[name]) for name in ("opens_at", "closes_at", "draws_at")},
        "seats": sum(seats for seats, _ in quotas.values()),
        "recycled_seats": sum(recycled for _, recycled in quotas.values()),
        "recycled_from": [dict(row) for row in sources],
        "quotas_decreed": view["decreed"],
        "quotas": [
            {
                "province": stratum.province,
                "province_name": provinces[stratum.province].name if stratum.province in provinces else None,
                "tier": stratum.tier,
                "seats": quotas.get(stratum, (0, 0))[0],
                "recycled": quotas.get(stratum, (0, 0))[1],
                **_result(results.get(stratum)),
            }
            for stratum in sorted(quotas.keys() | results.keys())
        ],
        "applications": view["intake_count"],
        "pool_count": view["pool_count"],
        "root": _hex(view["root"]),
        "commitment": json.loads(view["commitment"]) if view["commitment"] else None,
        "commitment_text": view["commitment"],
        "signature": _hex(view["signature"]),
        "committed_at": time_of(view["committed_at"]),
        "beacon_round": view["beacon_round"],
        "draw_due_at": time_of(view["draw_due_at"]),
        **{name: _hex(drawn[name]) for name in ("beacon_signature", "randomness", "seed")},
        "drawn_at": time_of(view["drawn_at"]),
        "winners": drawn["winners"],
        "not_selected": view["not_selected"] if view["published_at"] else None,
        "published_at": time_of(view["published_at"]),
        "void": _void(view),
        "attempt": view["attempt"],
        "due": due(view),
        "mark": mark(view),
    }


def ceremony(officials: Sequence[Official], view: Row) -> dict[str, Any] | None:
    """Who has committed to a secret and who has revealed it; None where nobody takes part."""
    if not officials:
        return None
    return {
        "officials": [
            {
                "office": official.office,
                "secret_commitment": _hex(official.secret_commitment),
                "secret": _hex(official.secret),
            }
            for official in officials
        ],
        "reveal_until": time_of(view["reveal_until"]),
        # Nobody is called silent while there is time.
        "silent": [official.office for official in officials if official.secret is None]
        if view["reveals"] or view["waiting"] == "reveals-too-late"
        else [],
        "reveals_text": view["reveals"],
        "reveals_signature": _hex(view["reveals_signature"]),
    }


def changes(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What officers have changed, or have asked to change, about a wave; by whom is not public."""
    return [
        {
            "change_id": row["change_id"],
            "step": row["step"],
            **{name: time_of(row[name]) for name in ("opens_at", "closes_at", "draws_at")},
            "reason": row["reason"],
            "asked_at": time_of(row["asked_at"]),
            "approved_at": time_of(row["decided_at"]),
        }
        for row in rows
    ]


def recycled_seat(row: Row) -> dict[str, Any]:
    """One recycled seat. Its id is random: it says nothing of who held it, and shows that no seat is given twice."""
    return {
        "number": row["number"],
        "seat_id": row["seat_id"],
        "from_wave": row["from_wave"],
        "province": row["province"],
        "tier": row["tier"],
        "reason": row["reason"],
        "freed_at": time_of(row["freed_at"]),
    }


def set_aside(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The draws of a wave that were given up, each with its reason; the bundle of each that was drawn is out."""
    return [
        {
            "attempt": row["attempt"],
            "root": _hex(row["root"]),
            "pool_count": row["pool_count"],
            "committed_at": time_of(row["committed_at"]),
            "beacon_round": row["beacon_round"],
            "seed": _hex(row["seed"]),
            "drawn_at": time_of(row["drawn_at"]),
            "reason": row["void_reason"],
            "set_aside_at": time_of(row["voided_at"]),
        }
        for row in rows
    ]


def listed(row: Row) -> dict[str, Any]:
    """One line of the list of waves."""
    told = dict(row) | {name: time_of(row[name]) for name in ("opens_at", "closes_at", "draws_at")}
    hidden = [] if row["state"] == State.PUBLISHED else ["not_selected"]
    return told | dict.fromkeys([*hidden, "winners"] if row["state"] == State.DRAWN else hidden)


def citizen_draw(row: Row, proof: Sequence[bytes] | None) -> dict[str, Any]:
    """A citizen's own part in one wave: from the commitment on the proof, from publication on the result."""
    told: dict[str, Any] = {
        "programme": row["programme"],
        "wave": row["wave"],
        "attempt": row["attempt"],
        "wave_state": row["state"],
        "application_id": row["application_id"],
        "province": row["province"],
        "tier": row["tier"],
        "state": "waiting",
    }
    if proof is not None:
        stratum = Stratum(row["province"], row["tier"])
        entry = pool.entry_bytes(bytes.fromhex(row["application_id"]), stratum, row["household_group"], row["places"])
        told["inclusion"] = {
            "leaf": row["leaf"],
            "pool_count": row["pool_count"],
            "entry": entry.hex(),
            "salt": row["salt"].hex(),
            "proof": [step.hex() for step in proof],
            "root": row["root"].hex(),
            "commitment": row["commitment"],
            "signature": row["signature"].hex(),
        }
    if row["state"] == State.PUBLISHED:
        told |= _outcome(row)
    elif row["state"] == State.VOIDED:
        told["state"] = "voided"
    return told


def _outcome(row: Row) -> dict[str, Any]:
    won = row["seat_province"] is not None
    reason = None if won else row["excluded"] or ("lost-draw" if row["rank"] else "household-cap")
    return {
        "state": "selected" if won else "not-selected",
        "reason": reason,
        "ticket": _hex(row["ticket"]),
        "rank": row["rank"],
        "applicants": row["applicants"] if row["rank"] else None,
        "cutoff": _hex(row["cutoff"]) if row["ticket"] else None,
        "seat": {"province": row["seat_province"], "tier": row["seat_tier"]} if won else None,
        "randomness": _hex(row["randomness"]),
        "seed": _hex(row["seed"]),
    }


def _result(row: Row | None) -> dict[str, Any]:
    """What became of a stratum; nothing before the draw."""
    if row is None:
        return {}
    return {"applicants": row["applicants"], "winners": row["winners"], "cutoff": _hex(row["cutoff"])}


def _void(view: Row) -> dict[str, Any] | None:
    if view["void_reason"] is None:
        return None
    return {
        "reason": view["void_reason"],
        "asked_at": time_of(view["void_asked_at"]),
        "voided_at": time_of(view["voided_at"]),
    }


def _hex(data: bytes | None) -> str | None:
    return data.hex() if data is not None else None
