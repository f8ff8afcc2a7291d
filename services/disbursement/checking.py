"""Asks the rails whether linked accounts exist and belong to their owners, beside the requests of citizens."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from libs.events.database import Database
from services.disbursement.domain.accounts import CHECKS_MAX, RECHECK_AFTER, finding_of
from services.disbursement.domain.settlement import ASK_APART_MIN
from services.disbursement.rails import INQUIRIES_MAX, AccountInquiry, NotReady, Rails, Unclear
from services.disbursement.store import Store
from services.disbursement.store_rails import AccountToCheck
from services.disbursement.vault import Vault

RETRIES_MAX: Final = 5_000


async def check_accounts(*, database: Database, store: Store, vault: Vault, rails: Rails, now: datetime) -> int:
    """Ask each rail about up to 500 accounts, and schedule again what waited for an account that is valid now.

    Answers how many were asked about. A rail that does not answer is asked again later.
    """
    asked = 0
    for rail, client in rails.items():
        async with database.connection() as reading:
            accounts = await store.accounts_to_check(reading, rail, now, INQUIRIES_MAX)
        if not accounts:
            continue
        try:
            found = await client.inquire([_inquiry(vault, account) for account in accounts])
        except (Unclear, NotReady):
            async with database.transaction() as tx:
                await store.postpone_checks(tx, [account.account_id for account in accounts], now + ASK_APART_MIN)
            continue
        await _keep(database, store, accounts, found, now)
        asked += len(accounts)
    return asked


async def _keep(
    database: Database, store: Store, accounts: Sequence[AccountToCheck], found: Mapping[str, str], now: datetime
) -> None:
    told = [
        (account.account_id, finding_of(found[account.account_id]).value)
        for account in accounts
        if account.account_id in found
    ]
    silent = [account.account_id for account in accounts if account.account_id not in found]
    async with database.transaction() as tx:
        await store.keep_findings(tx, told, now, now + RECHECK_AFTER, CHECKS_MAX)
        await store.postpone_checks(tx, silent, now + ASK_APART_MIN)
        await store.retry(tx, now, RETRIES_MAX)


def _inquiry(vault: Vault, account: AccountToCheck) -> AccountInquiry:
    payee = vault.open_payee(account.wrapped, account.citizen_id, account.sealed)
    return AccountInquiry(account.account_id, payee.account_number, payee.nik)
