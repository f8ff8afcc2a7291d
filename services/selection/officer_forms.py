"""What officers can send: the fields of each form, the step that each one asks for, and how it is done."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal
from urllib.parse import parse_qs

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from libs.events import problems
from libs.events.access import ROLE_MISSING, Staff
from libs.events.api import TOO_LARGE
from libs.events.database import Transaction
from libs.events.programme import OfficeName, Programme
from libs.events.refusal import Refusal, Refused
from libs.pages.reader import ZONES, reader_of
from services.selection import ceremony, changes, commands
from services.selection.domain.decree import TABLE_CHARACTERS_MAX
from services.selection.domain.wave import REASON_CHARACTERS_MIN, SEATS_MAX
from services.selection.page_parts import plain
from services.selection.sign_in import ROLES, Session
from services.selection.store import Store

FORM_BYTES_MAX: Final = 16_384
MAKER: Final = frozenset({"maker"})
CHECKER: Final = frozenset({"checker"})
UNKNOWN_STEP: Final = Refusal(
    "unknown-step",
    404,
    "Langkah ini tidak dikenal, jadi tidak ada yang berubah. Buka lagi halamannya dan pakai tombol di sana.",
    "This step is not known, so nothing was changed. Open the page again and use a button on it.",
)

Form = Mapping[str, str]
Work = Callable[[Transaction], Awaitable[object]]


QuotaTable = Annotated[str, StringConstraints(min_length=1, max_length=TABLE_CHARACTERS_MAX)]
"""Lines such as `11,priority,120`: see `domain/decree.py`."""


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
    quotas: QuotaTable | None = None
    recycle: bool = False


class ReasonForm(BaseModel):
    """Published as it stands: one line of printable text."""

    model_config = ConfigDict(str_strip_whitespace=True)

    reason: Annotated[
        str, StringConstraints(min_length=REASON_CHARACTERS_MIN, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")
    ]


class TimesForm(_Times, ReasonForm):
    """Other times for an announced wave; what is left out stays."""


def _digits(told: object) -> object:
    return plain(told) if isinstance(told, str) else told


Bytes32 = Annotated[str, BeforeValidator(_digits), StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class HandInForm(BaseModel):
    """What an official commits to; the title of the office is published, the person is not."""

    model_config = ConfigDict(str_strip_whitespace=True)

    office: OfficeName
    secret_commitment: Bytes32


class RevealForm(BaseModel):
    """Published at once."""

    secret: Bytes32


class FindingForm(BaseModel):
    """A maker's finding on an appeal; a checker sends the one they have read and agree to."""

    finding: Literal["record-wrong", "record-right", "no-evidence"]


class ChangeForm(BaseModel):
    """The very request that the checker has read: one that replaced it meanwhile is not approved by mistake."""

    change: Annotated[int, Field(ge=1, le=2**62)]


def filled(form: Form) -> dict[str, str]:
    """The fields that were filled in."""
    return {name: value for name, value in form.items() if value}


@dataclass(frozen=True, slots=True)
class Asked:
    """A step that somebody asks of a wave."""

    request: Request
    store: Store
    programmes: Mapping[str, Programme]
    programme: str
    wave: int
    form: Form
    staff: Staff
    now: datetime

    @property
    def person(self) -> str:
        return self.staff.person

    @property
    def named(self) -> tuple[Store, str, int]:
        return self.store, self.programme, self.wave

    @property
    def mark(self) -> str:
        """What stood on the checker's page."""
        return self.form.get("mark", "")


async def _approve(tx: Transaction, asked: Asked) -> None:
    await commands.approve(tx, *asked.named, asked.mark, asked.person, asked.now)


async def _void(tx: Transaction, asked: Asked) -> None:
    told = ReasonForm.model_validate(asked.form)
    await commands.ask_void(tx, *asked.named, told.reason, asked.person, asked.now)


async def _approve_void(tx: Transaction, asked: Asked) -> None:
    await commands.approve_void(tx, *asked.named, asked.mark, asked.person, asked.now)


async def _times(tx: Transaction, asked: Asked) -> None:
    told = TimesForm.model_validate(filled(asked.form))
    await changes.ask_times(tx, *asked.named, told.times(asked.request), told.reason, asked.person, asked.now)


async def _redraw(tx: Transaction, asked: Asked) -> None:
    told = ReasonForm.model_validate(asked.form)
    await changes.ask_redraw(tx, *asked.named, told.reason, asked.person, asked.now)


async def _approve_change(tx: Transaction, asked: Asked) -> None:
    told = ChangeForm.model_validate(asked.form)
    await changes.approve_change(tx, *asked.named, told.change, asked.person, asked.now)


async def _hand_in(tx: Transaction, asked: Asked) -> None:
    told = HandInForm.model_validate(asked.form)
    await ceremony.hand_in(
        tx, asked.store, asked.programmes, asked.programme, asked.wave, office=told.office,
        secret_commitment=bytes.fromhex(told.secret_commitment), staff=asked.staff, now=asked.now,
    )  # fmt: skip


async def _reveal(tx: Transaction, asked: Asked) -> None:
    told = RevealForm.model_validate(asked.form)
    await ceremony.reveal(tx, *asked.named, bytes.fromhex(told.secret), asked.person, asked.now)


STEPS: Final[Mapping[str, tuple[frozenset[str], Callable[[Transaction, Asked], Awaitable[None]]]]] = {
    "approval": (CHECKER, _approve),
    "void": (MAKER, _void),
    "void-approval": (CHECKER, _approve_void),
    "times": (MAKER, _times),
    "redraw": (MAKER, _redraw),
    "change-approval": (CHECKER, _approve_change),
    "commitment": (ROLES, _hand_in),
    "reveal": (ROLES, _reveal),
}
"""What can be asked of a wave, and which roles may."""


def step_of(step: str, asked: Asked) -> tuple[frozenset[str], Work]:
    """The roles of which a step needs one, and what it does in a transaction. Raises Refused for an unknown step."""
    if step not in STEPS:
        raise Refused(UNKNOWN_STEP)
    roles, work = STEPS[step]
    return roles, lambda tx: work(tx, asked)


async def do(request: Request, officer: Session, roles: frozenset[str], work: Work) -> Sequence[Refusal]:
    """Do it in one transaction; what was refused, if anything, with the transaction rolled back."""
    if roles.isdisjoint(officer.staff.roles):
        return [ROLE_MISSING]
    try:
        async with request.app.state.database.transaction() as tx:
            await work(tx)
    except Refused as refused:
        return refused.refusals
    except ValidationError as error:
        return problems.refusals_of(error.errors())
    return []


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a sent form. Raises Refused when it is larger than any of ours."""
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise Refused(TOO_LARGE)
    told = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in told.items()}
