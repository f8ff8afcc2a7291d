"""What officers can send: the fields of each form, and the step that each one asks for."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from libs.events.database import Transaction
from libs.events.refusal import Refused
from libs.pages.reader import ZONES, reader_of
from services.selection import changes, commands
from services.selection.commands import UNKNOWN_WAVE
from services.selection.domain.wave import REASON_CHARACTERS_MIN, SEATS_MAX
from services.selection.store import Store

Form = Mapping[str, str]
Work = Callable[[Transaction], Awaitable[object]]


class _Times(BaseModel):
    """Times in the zone the officer reads in."""

    model_config = ConfigDict(str_strip_whitespace=True)

    opens_at: datetime | None = None
    closes_at: datetime | None = None
    draws_at: datetime | None = None

    def times(self, request: Request) -> tuple[datetime | None, datetime | None, datetime | None]:
        zone = ZONES[reader_of(request).zone]
        opens, closes, draws = (at and at.replace(tzinfo=zone) for at in (self.opens_at, self.closes_at, self.draws_at))
        return opens, closes, draws


class ProposalForm(_Times):
    """What is left out comes from the programme file."""

    programme: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
    wave: Annotated[int, Field(ge=1, le=1_000_000)]
    seats: Annotated[int, Field(ge=0, le=SEATS_MAX)] | None = None
    recycle: bool = False


class ReasonForm(BaseModel):
    """Published as it stands: one line of printable text."""

    model_config = ConfigDict(str_strip_whitespace=True)

    reason: Annotated[
        str, StringConstraints(min_length=REASON_CHARACTERS_MIN, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")
    ]


class TimesForm(_Times, ReasonForm):
    """Other times for an announced wave; what is left out stays."""


class ChangeForm(BaseModel):
    """The very request that the checker has read: one that replaced it meanwhile is not approved by mistake."""

    change: Annotated[int, Field(ge=1, le=2**62)]


def filled(form: Form) -> dict[str, str]:
    """The fields that were filled in."""
    return {name: value for name, value in form.items() if value}


def step_of(
    request: Request, store: Store, programme: str, wave: int, step: str, form: Form, person: str, now: datetime
) -> tuple[str, Work]:
    """The role a step needs, and what it does in a transaction. Raises Refused for a step that is not there."""
    match step:
        case "approval":
            return "checker", lambda tx: commands.approve(tx, store, programme, wave, person, now)
        case "void":

            async def void(tx: Transaction) -> None:
                told = ReasonForm.model_validate(form)
                await commands.ask_void(tx, store, programme, wave, told.reason, person, now)

            return "maker", void
        case "void-approval":
            return "checker", lambda tx: commands.approve_void(tx, store, programme, wave, person, now)
        case "times":

            async def times(tx: Transaction) -> None:
                told = TimesForm.model_validate(filled(form))
                await changes.ask_times(tx, store, programme, wave, told.times(request), told.reason, person, now)

            return "maker", times
        case "redraw":

            async def redraw(tx: Transaction) -> None:
                told = ReasonForm.model_validate(form)
                await changes.ask_redraw(tx, store, programme, wave, told.reason, person, now)

            return "maker", redraw
        case "change-approval":

            async def approve(tx: Transaction) -> None:
                told = ChangeForm.model_validate(form)
                await changes.approve_change(tx, store, programme, wave, told.change, person, now)

            return "checker", approve
    raise Refused(UNKNOWN_WAVE)
