"""The store of this service: rows to values and back, by the named queries of `queries.sql`."""

from services.disbursement.store_money import MoneyStore
from services.disbursement.store_payouts import PayoutStore
from services.disbursement.store_rails import RailStore


class Store(MoneyStore, PayoutStore, RailStore):
    """Has no state. Every method takes the transaction it works in."""
