"""Commands around six-digit codes: confirm an e-mail address, ask for a code by SMS, sign in with it.

Each takes the requests that arrived together and gives one result for each, in order. A refusal is returned and not
raised: the failed attempt it counts must be committed.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from libs.events import ids
from libs.events.database import Transaction
from libs.events.refusal import Refusal
from services.registration.domain.code import WRONG, Code, Purpose, judge, may_renew, renew
from services.registration.domain.identity import UNKNOWN_CITIZEN
from services.registration.domain.timeline import own_step
from services.registration.store import Outgoing, Store
from services.registration.vault import Message, Seal, Vault

EMAIL_TEXT: Final = (
    "Gelombang: masukkan kode ini untuk mengonfirmasi e-mail Anda. Berlaku 24 jam. Jangan berikan kepada siapa pun. "
    "(Enter this code to confirm your e-mail; valid for 24 hours; give it to nobody.) Kode/code: {digits}"
)
SMS_TEXT: Final = (
    "Gelombang: kode masuk Anda, berlaku 10 menit. Jangan berikan kepada siapa pun, juga bukan kepada petugas. "
    "(Your sign-in code; give it to nobody.) Kode/code: {digits}"
)


@dataclass(frozen=True, slots=True)
class Confirmation:
    citizen_id: str
    digits: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignIn:
    phone: str = field(repr=False)
    digits: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who gets a code: where to, and the code it replaces."""

    citizen_id: str
    address: str = field(repr=False)
    seal: Seal = field(repr=False)
    old: Code | None = None


async def send_codes(
    tx: Transaction, store: Store, vault: Vault, purpose: Purpose, recipients: Sequence[Recipient], now: datetime
) -> None:
    """Make a code for each recipient and leave its message for the errand that sends messages."""
    text, channel = (EMAIL_TEXT, "e-mail") if purpose == "e-mail" else (SMS_TEXT, "sms")
    codes, messages = [], []
    for to in recipients:
        digits = f"{secrets.randbelow(1_000_000):06}"
        codes.append(renew(to.old, to.citizen_id, purpose, vault.code_hash(to.citizen_id, purpose, digits), now))
        sealed = to.seal.close_message(Message(to.address, text.format(digits=digits)))
        messages.append(Outgoing(ids.new(now), to.citizen_id, sealed))
    await store.put_codes(tx, codes, purpose)
    await store.add_messages(tx, channel, messages, now)


async def confirm_emails(
    tx: Transaction, requests: Sequence[Confirmation], now: datetime, *, store: Store, vault: Vault
) -> list[str | Refusal]:
    """Confirm addresses by the codes sent there: "confirmed", also for whoever had confirmed before."""
    citizens = sorted({request.citizen_id for request in requests})
    contacts = await store.contacts(tx, citizens)
    confirmed = {citizen for citizen, (_, done) in contacts.items() if done}
    before = set(confirmed)
    codes = await store.codes(tx, citizens, "e-mail")
    changed: dict[str, Code] = {}
    results: list[str | Refusal] = []
    for request in requests:
        citizen = request.citizen_id
        if citizen not in contacts:
            results.append(UNKNOWN_CITIZEN)
            continue
        verdict = (
            None if citizen in confirmed else _attempt(vault, codes, changed, citizen, "e-mail", request.digits, now)
        )
        if verdict is None:
            confirmed.add(citizen)
        results.append(verdict or "confirmed")
    new = sorted(confirmed - before)
    await store.confirm_emails(tx, new, now)
    await store.drop_codes(tx, new, "e-mail")
    await store.put_codes(tx, [code for citizen, code in changed.items() if citizen not in confirmed], "e-mail")
    await store.add_entries(tx, [own_step(citizen, "email-confirmed", now) for citizen in new])
    return results


async def request_sign_ins(
    tx: Transaction, phones: Sequence[str], now: datetime, *, store: Store, vault: Vault
) -> list[None]:
    """Send a code to each number that belongs to a citizen, not more often than the rules allow.

    Every caller gets the same answer, so nobody learns from it which numbers are registered.
    """
    citizens = await store.citizens_by_phone(tx, sorted({vault.phone_index(phone) for phone in phones}))
    found = sorted(citizens.values())
    codes = await store.codes(tx, found, "sign-in")
    due = [citizen for citizen in found if may_renew(codes.get(citizen), now)]
    seals, contacts = await store.seals(tx, vault, due), await store.contacts(tx, due)
    recipients = [
        Recipient(citizen, seals[citizen].open_contact(contacts[citizen][0]).phone, seals[citizen], codes.get(citizen))
        for citizen in due
    ]
    await send_codes(tx, store, vault, "sign-in", recipients, now)
    return [None] * len(phones)


async def sign_in(
    tx: Transaction, requests: Sequence[SignIn], now: datetime, *, store: Store, vault: Vault
) -> list[str | Refusal]:
    """The citizen behind each phone number with the right code, which is then used up."""
    indexes = [vault.phone_index(request.phone) for request in requests]
    citizens = await store.citizens_by_phone(tx, sorted(set(indexes)))
    codes = await store.codes(tx, sorted(citizens.values()), "sign-in")
    changed: dict[str, Code] = {}
    used: set[str] = set()
    results: list[str | Refusal] = []
    for index, request in zip(indexes, requests, strict=True):
        citizen = citizens.get(index)
        verdict: Refusal | None = WRONG
        if citizen is not None:
            verdict = _attempt(vault, codes, changed, citizen, "sign-in", request.digits, now)
        if verdict is None and citizen is not None:
            used.add(citizen)
            del codes[citizen]
            results.append(citizen)
        else:
            results.append(replace(verdict or WRONG, field="otp"))
    await store.drop_codes(tx, sorted(used), "sign-in")
    await store.put_codes(tx, [code for citizen, code in changed.items() if citizen not in used], "sign-in")
    return results


def _attempt(
    vault: Vault,
    codes: dict[str, Code],
    changed: dict[str, Code],
    citizen: str,
    purpose: Purpose,
    digits: str,
    now: datetime,
) -> Refusal | None:
    """Judge one attempt, and keep its failure for the next one of the same batch. None: right."""
    verdict = judge(codes.get(citizen), vault.code_hash(citizen, purpose, digits), now)
    if isinstance(verdict, Code):
        codes[citizen] = changed[citizen] = verdict
        return WRONG
    return verdict
