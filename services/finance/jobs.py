"""What time asks: the proof that the books are right."""

from datetime import datetime

from libs.events.database import Transaction
from services.finance.domain.proof import examine
from services.finance.store import Store


async def prove(tx: Transaction, store: Store, now: datetime, limit: int) -> int:
    """Prove up to `limit` books that have moved since their last proof; raise and clear alarms. Safe to repeat."""
    findings = await store.findings(tx, limit)
    if findings:
        alarms = [alarm for finding in findings for alarm in examine(finding)]
        await store.save_proofs(tx, findings, alarms, now)
    return len(findings)
