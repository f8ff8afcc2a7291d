"""What several pages say of a wave: its title, its steps, what it waits for, its provinces, its officials."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Path, Request

from libs.events.clock import end_of_day
from libs.events.programme import Programme
from libs.pages.reader import reader_of
from services.selection import views_due
from services.selection.domain.ceremony import Official
from services.selection.domain.quotas import TIERS, Stratum
from services.selection.domain.wave import State

STEPS: Final = {  # a step of a wave's life with the column of its time, and where it is planned before it happened
    State.ANNOUNCED: ("approved_at", "approved_at"),
    State.OPEN: ("opens_at", "opens_at"),
    State.CLOSED: ("closes_at", "closes_at"),
    State.COMMITTED: ("committed_at", "committed_at"),
    State.DRAWN: ("drawn_at", "draws_at"),
    State.PUBLISHED: ("published_at", "published_at"),
}

PROGRAMME_PATTERN: Final = r"^[a-z0-9-]{1,40}$"
ProgrammeName = Annotated[str, Path(pattern=PROGRAMME_PATTERN)]
WaveNumber = Annotated[int, Path(ge=1, le=1_000_000)]


def title(request: Request, programmes: Mapping[str, Programme], name: str) -> str:
    """A programme's title in the reader's language; its name where the file is gone."""
    rules = programmes.get(name)
    if rules is None:
        return name
    return rules.title_en if reader_of(request).language == "en" else rules.title_id


def due(request: Request, view: Mapping[str, Any]) -> str:
    """What a wave waits for, as a sentence; empty where nothing is due."""
    told = views_due.due(view)
    return str(told[reader_of(request).language]) if told else ""


def waits(request: Mapping[str, Any], person: str, now: datetime) -> bool:
    """Whether an open request stands in a person's queue: what would be refused now does not, nor another's secret."""
    kind = request["kind"]
    if kind == "reveal":
        return bool(request["person"] == person and now <= request["at"])
    return kind == "proposal" or kind in views_due.steps(request, now)


def plain(typed: str) -> str:
    """A number as somebody typed or copied it: without spaces and hyphens, in small letters."""
    return re.sub(r"[\s-]", "", typed).lower()


def steps(view: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A wave's life with the time of each step: done, now, or still to come. A voided wave only shows what it did."""
    times = {step: (view[happened], view[happened] or view[planned]) for step, (happened, planned) in STEPS.items()}
    if view["state"] == State.VOIDED:
        taken = {step: at for step, (at, _) in times.items() if at is not None and at <= view["voided_at"]}
        return [{"name": step, "at": at, "stage": "done"} for step, at in taken.items()]
    done = list(STEPS).index(view["state"]) + 1 if view["state"] in STEPS else 0
    stages = ["done"] * done + ["now"] + ["later"] * len(STEPS)
    return [
        {"name": step, "at": at, "stage": stage} for (step, (_, at)), stage in zip(times.items(), stages, strict=False)
    ]


def by_province(
    quotas: Mapping[Stratum, tuple[int, int]],
    strata: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
    appealed: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Seats and results of each province, priority before public; provinces nobody applied from have seats alone.

    `appealed`: seats that upheld appeals took out of the quotas, by stratum and by the wave they contested.
    """
    taken = Counter[Stratum]()
    for row in appealed:
        taken[Stratum(row["province"], row["tier"])] += row["seats"]
    results = {Stratum(row["province"], row["tier"]): row for row in strata}
    found = []
    for code in sorted({stratum.province for stratum in (*quotas, *results, *taken)}):
        tiers = []
        for tier in TIERS:
            stratum = Stratum(code, tier)
            result = results.get(stratum)
            tiers.append(
                {
                    "tier": tier,
                    "seats": quotas.get(stratum, (0, 0))[0],
                    "appealed": taken[stratum],
                    "applicants": result["applicants"] if result else 0,
                    "winners": result["winners"] if result else 0,
                    "everybody": bool(result and 0 < result["applicants"] == result["winners"]),
                    "share": share(result["cutoff"]) if result and result["cutoff"] else None,
                }
            )
        found.append({"code": code, "name": names.get(code), "tiers": tiers})
    return found


def share(ticket: bytes) -> float:
    """Where a ticket lies between the lowest possible one, 0, and the highest, 1. For the eye only."""
    return int.from_bytes(ticket[:6], "big") / 2**48


def entry_parts(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """One application's part in a draw, with where its ticket and its stratum's cut-off lie."""
    if row is None:
        return None
    return dict(row) | {
        "share": share(row["ticket"]) if row["ticket"] else None,
        "cutoff_share": share(row["cutoff"]) if row["cutoff"] else None,
    }


def ceremony_parts(officials: Sequence[Official], view: Mapping[str, Any]) -> dict[str, Any] | None:
    """Who takes part in a ceremony and how far each has come; None where nobody does.

    The stage is `gathering` before the pool is frozen, `alone` where too few came and the beacon decides by itself,
    then `revealing` until the list is `closed`, `late` where it was not closed in time, `stopped` in a voided wave.
    """
    if not officials:
        return None
    if view["root"] is None:
        stage = "gathering"
    elif view["reveal_until"] is None:
        stage = "alone"
    elif view["reveals"] is not None:
        stage = "closed"
    elif view["state"] == State.VOIDED:
        stage = "stopped"
    else:
        stage = "late" if view["waiting"] == "reveals-too-late" else "revealing"
    silent = {"closed": "silent", "late": "silent", "revealing": "waiting"}.get(stage, "committed")
    return {
        "stage": stage,
        "revealed": sum(each.secret is not None for each in officials),
        "officials": [
            {
                "office": each.office,
                "commitment": each.secret_commitment.hex(),
                "secret": each.secret.hex() if each.secret else None,
                "stage": "revealed" if each.secret else silent,
            }
            for each in officials
        ],
    }


def appeal_until(view: Mapping[str, Any], rules: Programme | None) -> datetime | None:
    """The last moment to contest an exclusion of a published wave; None before that, or where the programme is gone."""
    if view["state"] != State.PUBLISHED or rules is None:
        return None
    return end_of_day(view["published_at"], rules.draw.appeal_days)
