"""What citizens ask: link an account, answer surveys. Requests that arrive together share a transaction.

Each function takes them as a list and gives one result for each, in order; a refusal is a result. Of two requests of
one citizen the earlier comes first.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from libs.events import ids
from libs.events.contracts import Rail
from libs.events.database import Transaction
from libs.events.programme import Programme
from libs.events.refusal import Refusal
from services.disbursement.domain.accounts import may_link, normal_phone
from services.disbursement.domain.books import NO_SUCH_PROGRAMME
from services.disbursement.domain.milestones import Owed, answer_survey
from services.disbursement.identity import Person
from services.disbursement.store import Store
from services.disbursement.store_payouts import Account
from services.disbursement.vault import Payee, Vault

Rules = Mapping[str, Programme]


@dataclass(frozen=True, slots=True, repr=False)
class Link:
    """An account a citizen wants to be paid to. Never printed: it names an account and its owner."""

    citizen_id: str
    person: Person
    rail: Rail
    provider: str
    account_number: str


@dataclass(frozen=True, slots=True)
class Survey:
    """The answers to one survey of a programme."""

    citizen_id: str
    programme: str
    number: int
    answers: Mapping[str, object] = field(repr=False)


async def link_accounts(
    tx: Transaction, links: Sequence[Link], now: datetime, *, store: Store, vault: Vault, rules: Rules
) -> list[str | Refusal]:
    """Link accounts; their rails are asked about them next. Gives the state of each.

    The same account again, while it is valid or being checked, changes nothing. Of several accounts of one citizen the
    last one counts.
    """
    citizens = {link.citizen_id for link in links}
    programmes, standing = await store.programmes_of(tx, citizens), await store.accounts_of(tx, citizens)
    own = {one: [rules[name] for name in programmes.get(one, ()) if name in rules] for one in citizens}
    refusals = [may_link(one.rail, one.account_number, one.person.phone, own[one.citizen_id], now) for one in links]
    allowed = {link.citizen_id for link, refusal in zip(links, refusals, strict=True) if not refusal}
    keys = await _payee_keys(tx, store, vault, allowed)
    results: list[str | Refusal] = []
    new: dict[str, Account] = {}
    for link, refusal in zip(links, refusals, strict=True):
        if refusal:
            results.append(refusal)
            continue
        number = normal_phone(link.account_number) if link.rail == "e-wallet" else link.account_number
        index = vault.index(link.rail, link.provider, number)
        before = standing.get(link.citizen_id)
        if before is None or before.number_index != index or before.state not in ("valid", "checking"):
            wrapped = keys[link.citizen_id]
            payee = Payee(link.account_number, link.person.nik, link.person.name, link.provider)
            sealed = vault.seal_payee(wrapped, link.citizen_id, payee)
            before = Account(ids.new(now), link.rail, link.provider, index, sealed, "checking", now, wrapped)
            standing[link.citizen_id] = new[link.citizen_id] = before
        results.append(before.state)
    await store.link(tx, new)
    return results


async def answer_surveys(
    tx: Transaction, surveys: Sequence[Survey], now: datetime, *, store: Store, vault: Vault, rules: Rules
) -> list[Refusal | None]:
    """Keep the answers, sealed, and owe what they earn. The same survey again changes nothing."""
    views = await store.survey_views(tx, {(one.citizen_id, one.programme) for one in surveys})
    results: list[Refusal | None] = []
    taken: list[tuple[Survey, Owed]] = []
    for one in surveys:
        if one.programme not in rules:
            results.append(NO_SUCH_PROGRAMME)
            continue
        view = views.get((one.citizen_id, one.programme))
        if view and one.number in view.answered:
            results.append(None)
            continue
        owed = answer_survey(
            one.citizen_id,
            rules[one.programme],
            one.number,
            now,
            wave=view.wave if view else None,
            answered=view.answered if view else (),
            first_incentive_paid=bool(view and view.first_incentive_paid),
        )
        if isinstance(owed, Refusal):
            results.append(owed)
            continue
        assert view is not None, "refused otherwise"
        view.answered.append(one.number)
        taken.append((one, owed))
        results.append(None)
    keys = await _payee_keys(tx, store, vault, {one.citizen_id for one, _ in taken})
    sealed = [vault.seal(keys[one.citizen_id], one.citizen_id, json.dumps(one.answers).encode()) for one, _ in taken]
    kept = [(one.citizen_id, one.programme, one.number, told) for (one, _), told in zip(taken, sealed, strict=True)]
    await store.keep_surveys(tx, kept, now)
    await store.schedule(tx, [owed for _, owed in taken if owed.amount_rupiah], now)
    return results


async def _payee_keys(tx: Transaction, store: Store, vault: Vault, citizens: Iterable[str]) -> dict[str, bytes]:
    """The wrapped key of each payee; whoever has none yet is given one."""
    wanted = sorted(citizens)
    known = await store.payee_keys(tx, wanted)
    missing = [citizen_id for citizen_id in wanted if citizen_id not in known]
    if missing:
        await store.add_payee_keys(tx, missing, [vault.new_payee_key(citizen_id) for citizen_id in missing])
        known |= await store.payee_keys(tx, missing)  # read again: another process may have been first
    return known
