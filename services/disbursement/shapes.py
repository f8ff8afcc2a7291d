"""What goes in and out over HTTP. Wrong fields are told with their remedy, and nothing that was typed is repeated."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from libs.events.contracts import Id, Rail
from services.disbursement.domain.batches import Batch

SURVEY_BYTES_MAX = 8_192
RUPIAH_MAX = 2**53 - 1


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise PydanticCustomError(
            "nul",
            "This holds a character that is not text. Type it again.",
            {"id": "Isian ini memuat tanda yang bukan teks. Ketik ulang."},
        )
    return text


def _account_number(text: str) -> str:
    number = re.sub(r"[\s.-]", "", text)
    if not re.fullmatch(r"\+?[0-9]{6,20}", number):
        raise PydanticCustomError(
            "account-number",
            "An account number has 6 to 20 digits. Write it without letters.",
            {"id": "Nomor rekening terdiri dari 6 sampai 20 angka. Tulis tanpa huruf."},
        )
    return number


def _answers(answers: dict[str, Any]) -> dict[str, Any]:
    written = json.dumps(answers)
    if not answers or len(written) > SURVEY_BYTES_MAX or "\\u0000" in written:
        raise PydanticCustomError(
            "answers",
            "Answer at least one question, with at most 8,000 characters in all.",
            {"id": "Jawab sedikitnya satu pertanyaan, seluruhnya paling banyak 8.000 huruf."},
        )
    return answers


Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_no_nul)]
ProgrammeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
Amount = Annotated[int, Field(gt=0, le=RUPIAH_MAX, strict=True)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class GrantBody(_In):
    programme: ProgrammeName
    amount_rupiah: Amount
    reference: Text


class AccountBody(_In):
    rail: Rail
    provider: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{2,20}$", to_lower=True, strip_whitespace=True)]
    account_number: Annotated[str, Field(max_length=40, repr=False), AfterValidator(_account_number)]
    identity_token: Annotated[str, Field(min_length=1, max_length=8192, repr=False)]


class SurveyBody(_In):
    programme: ProgrammeName
    answers: Annotated[dict[str, Any], Field(repr=False), AfterValidator(_answers)]


class BatchBody(_In):
    programme: ProgrammeName
    rail: Rail


class TotalsBody(_In):
    payouts: Annotated[int, Field(ge=0, strict=True)]
    total_rupiah: Annotated[int, Field(ge=0, le=RUPIAH_MAX, strict=True)]


class WithdrawalBody(_In):
    payout_ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]


class YearEndBody(_In):
    programme: ProgrammeName


class FindingBody(_In):
    finding: Text


class GrantShown(BaseModel):
    appropriation_id: Id
    programme: str
    amount_rupiah: int
    state: Literal["proposed", "approved"]


class GrantRead(GrantShown):
    """A grant with the budget document it rests on."""

    reference: str
    proposed_at: datetime
    approved_at: datetime | None


class YearEndShown(BaseModel):
    """`to_return_rupiah`: what would go back now, neither paid nor on its way. `returns`: how often some has."""

    programme: str
    state: Literal["proposed", "approved", "done"]
    to_return_rupiah: int
    returns: int
    proposed_at: datetime
    approved_at: datetime | None
    done_at: datetime | None


class BatchLineShown(BaseModel):
    """One payout of a batch; `key` stands for its place, and `after` of the next page is the last one."""

    key: str
    payout_id: Id
    milestone: str
    partner_id: str | None
    amount_rupiah: int
    outcome: Literal["paid", "failed", "returned", "withdrawn"] | None
    reason: str | None


class Sentence(BaseModel):
    id: str
    en: str


class AccountShown(BaseModel):
    state: str
    rail: Rail | None = None
    provider: str | None = None
    masked: str | None = None
    next_step: Sentence


class StateShown(BaseModel):
    state: str


class PayoutShown(BaseModel):
    payout_id: Id
    programme: str
    wave: int
    milestone: str
    amount_rupiah: int
    due_at: datetime | None
    state: str
    reason: str | None
    retry_at: datetime | None
    next_step: Sentence


class BatchShown(BaseModel):
    """`batch_id` is null where nothing was due."""

    batch_id: Id | None
    programme: str
    rail: Rail
    state: str | None = None
    payouts: int = 0
    total_rupiah: int = 0
    digest: str | None = None
    proposed_at: datetime | None = None
    approved_at: datetime | None = None

    @classmethod
    def of(cls, batch: Batch) -> "BatchShown":
        return cls(
            batch_id=batch.batch_id,
            programme=batch.programme,
            rail=batch.rail,
            state=batch.state,
            payouts=batch.payouts,
            total_rupiah=batch.total_rupiah,
            digest=batch.digest,
            proposed_at=batch.proposed_at,
            approved_at=batch.approved_at,
        )


class HoldShown(BaseModel):
    hold_id: Id
    reason: str
    reference: str
    raised_at: datetime


class ChecksShown(BaseModel):
    """The same money added up again: all three must be true."""

    postings_add_up_to_zero: bool
    balances_are_their_postings: bool
    reservations_agree: bool


class PartnerOwed(BaseModel):
    """A partner who is owed fees and whose account is not in the file of partners' accounts: add it, and restart."""

    partner_id: str
    payouts: int
    amount_rupiah: int


class LedgerShown(BaseModel):
    """Rupiah by account: appropriation = available + reserved + in_flight + paid + returned."""

    programme: str
    appropriation: int
    available: int
    reserved: int
    in_flight: int
    paid: int
    returned: int
    members: int
    checks: ChecksShown
    sending_held: list[HoldShown]
    partners_without_account: list[PartnerOwed]
