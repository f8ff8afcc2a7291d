"""The store of work with outside systems: identities to check and messages to send, with their next tries."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from libs.events.database import Transaction
from services.registration.domain.identity import back_off
from services.registration.domain.person import Claim
from services.registration.store import QUERIES
from services.registration.vault import Message, Vault


@dataclass(frozen=True, slots=True)
class Check:
    """A question to the civil registry."""

    reference: str
    claim: Claim = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the civil registry and the other outside checks answered to one question."""

    reference: str
    state: str  # verified, mismatch, not-found
    mismatch_field: str | None
    blacklisted: bool
    other_aid: bool
    laid_off_listed: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A finding that changed something: whose it was, and how the identity now stands."""

    citizen_id: str
    reference: str
    state: str
    mismatch_field: str | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to hand to the gateway."""

    message_id: str
    channel: str
    message: Message = field(repr=False)


class DueStore:
    """Work that is due, each item with its next try booked before this one is made."""

    async def take_checks(self, tx: Transaction, vault: Vault, now: datetime, limit: int) -> list[Check]:
        rows = await QUERIES.checks_due(tx, now=now, limit=limit)
        await QUERIES.checks_try(
            tx,
            references=[row["check_reference"] for row in rows],
            due=[now + back_off(row["check_attempts"] + 1) for row in rows],
        )
        return [
            Check(row["check_reference"], vault.seal(row["citizen_id"], row["wrapped"]).open_claim(row["sealed"]))
            for row in rows
        ]

    async def apply_findings(self, tx: Transaction, findings: Sequence[Finding], now: datetime) -> list[Found]:
        """Store answers; those about submissions that no longer wait are left out."""
        rows = await QUERIES.checks_found(
            tx,
            references=[finding.reference for finding in findings],
            states=[finding.state for finding in findings],
            fields=[finding.mismatch_field for finding in findings],
            blacklisted=[finding.blacklisted for finding in findings],
            other_aid=[finding.other_aid for finding in findings],
            laid_off=[finding.laid_off_listed for finding in findings],
            now=now,
        )
        return [Found(row["citizen_id"], row["check_reference"], row["state"], row["mismatch_field"]) for row in rows]

    async def take_messages(self, tx: Transaction, vault: Vault, now: datetime, limit: int) -> list[Letter]:
        rows = await QUERIES.messages_due(tx, now=now, limit=limit)
        await QUERIES.messages_try(
            tx,
            messages=[row["message_id"] for row in rows],
            due=[now + back_off(row["attempts"] + 1) for row in rows],
        )
        return [
            Letter(
                row["message_id"],
                row["channel"],
                vault.seal(row["citizen_id"], row["wrapped"]).open_message(row["sealed"]),
            )
            for row in rows
        ]

    async def mark_sent(self, tx: Transaction, letters: Sequence[Letter], now: datetime) -> None:
        """The gateway has them: the texts go."""
        await QUERIES.messages_sent(tx, messages=[letter.message_id for letter in letters], now=now)
