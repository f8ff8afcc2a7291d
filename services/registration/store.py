"""The store of what citizens do: rows into domain values and back. Lists go in as parallel arrays."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from libs.events.contracts import Applied
from libs.events.database import Transaction, load_queries
from libs.events.refusal import Refused
from services.registration.domain import identity
from services.registration.domain.application import Applicant, Application, State, Wave
from services.registration.domain.code import Code, Purpose
from services.registration.domain.eligibility import Person
from services.registration.domain.identity import Standing
from services.registration.domain.person import Claim, Contact
from services.registration.domain.steps import Steps
from services.registration.domain.timeline import Entry
from services.registration.vault import Seal, Vault

QUERIES: Final = load_queries(Path(__file__).with_name("queries.sql"))

TAKEN: Final = {"identity_nik_once": identity.NIK_TAKEN}
"""What a broken constraint means to the person whose row broke it."""


@dataclass(frozen=True, slots=True)
class NewCitizen:
    """A row to be: everything personal is sealed or hashed already."""

    citizen_id: str
    registration_id: str
    email_index: bytes = field(repr=False)
    phone_index: bytes = field(repr=False)
    contact: bytes = field(repr=False)
    wrapped_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownCitizen:
    citizen_id: str
    registration_id: str
    email_index: bytes = field(repr=False)
    phone_index: bytes = field(repr=False)
    email_confirmed: bool


@dataclass(frozen=True, slots=True)
class NewIdentity:
    """A submission to be checked."""

    citizen_id: str
    nik_index: bytes = field(repr=False)
    kk_index: bytes = field(repr=False)
    household_id: str  # used where the family card is not known yet
    sealed: bytes = field(repr=False)
    province: str
    occupation: str
    in_education: bool
    nik_disagrees: bool
    reference: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be: recipient and text are sealed."""

    message_id: str
    citizen_id: str
    sealed: bytes = field(repr=False)


class Store:
    """Registration, identity, applications and timeline."""

    async def add_citizens(self, tx: Transaction, new: Sequence[NewCitizen], now: datetime) -> set[str]:
        """Add those who collide with nobody, with their keys; returns the ids that were added."""
        rows = await QUERIES.citizens_add(
            tx,
            citizens=[one.citizen_id for one in new],
            registrations=[one.registration_id for one in new],
            emails=[one.email_index for one in new],
            phones=[one.phone_index for one in new],
            contacts=[one.contact for one in new],
            now=now,
        )
        added = {row["citizen_id"] for row in rows}
        kept = [one for one in new if one.citizen_id in added]
        await QUERIES.keys_add(tx, citizens=[one.citizen_id for one in kept], wrapped=[one.wrapped_key for one in kept])
        return added

    async def citizens_like(self, tx: Transaction, new: Sequence[NewCitizen]) -> list[KnownCitizen]:
        """Everybody who shares the registration, the e-mail or the phone of one of these."""
        rows = await QUERIES.citizens_like(
            tx,
            registrations=[one.registration_id for one in new],
            emails=[one.email_index for one in new],
            phones=[one.phone_index for one in new],
        )
        return [KnownCitizen(**row) for row in rows]

    async def seals(self, tx: Transaction, vault: Vault, citizens: Sequence[str]) -> dict[str, Seal]:
        """The keys of those who exist and were not erased."""
        rows = await QUERIES.keys_of(tx, citizens=citizens)
        return {row["citizen_id"]: vault.seal(row["citizen_id"], row["wrapped"]) for row in rows}

    async def contacts(self, tx: Transaction, citizens: Sequence[str]) -> dict[str, tuple[bytes, bool]]:
        """Sealed contact data, and whether the e-mail address is confirmed."""
        rows = await QUERIES.contacts_of(tx, citizens=citizens)
        return {row["citizen_id"]: (row["contact"], row["email_confirmed"]) for row in rows}

    async def citizens_by_phone(self, tx: Transaction, phones: Sequence[bytes]) -> dict[bytes, str]:
        rows = await QUERIES.citizens_by_phone(tx, phones=phones)
        return {row["phone_index"]: row["citizen_id"] for row in rows}

    async def confirm_emails(self, tx: Transaction, citizens: Sequence[str], now: datetime) -> None:
        if not citizens:
            return
        await QUERIES.emails_confirm(tx, citizens=citizens, now=now)

    async def codes(self, tx: Transaction, citizens: Sequence[str], purpose: Purpose) -> dict[str, Code]:
        """The present codes by citizen, locked."""
        rows = await QUERIES.codes_of(tx, citizens=citizens, purpose=purpose)
        return {row["citizen_id"]: Code(**row) for row in rows}

    async def put_codes(self, tx: Transaction, codes: Sequence[Code], purpose: Purpose) -> None:
        """Store codes of one purpose, at most one for each citizen."""
        if not codes:
            return
        await QUERIES.codes_put(
            tx,
            purpose=purpose,
            citizens=[code.citizen_id for code in codes],
            hashes=[code.hash for code in codes],
            made=[code.made_at for code in codes],
            expires=[code.expires_at for code in codes],
            failures=[code.failures for code in codes],
            today=[code.made_today for code in codes],
        )

    async def drop_codes(self, tx: Transaction, citizens: Sequence[str], purpose: Purpose) -> None:
        if not citizens:
            return
        await QUERIES.codes_drop(tx, citizens=citizens, purpose=purpose)

    async def add_messages(self, tx: Transaction, channel: str, messages: Sequence[Outgoing], now: datetime) -> None:
        if not messages:
            return
        await QUERIES.messages_add(
            tx,
            channel=channel,
            messages=[message.message_id for message in messages],
            citizens=[message.citizen_id for message in messages],
            sealed=[message.sealed for message in messages],
            now=now,
        )

    async def standings(
        self, tx: Transaction, vault: Vault, citizens: Sequence[str]
    ) -> dict[str, tuple[Standing, Seal]]:
        """How far these citizens have come, with their keys; the citizens are locked."""
        rows = await QUERIES.standings(tx, citizens=citizens)
        return {
            row["citizen_id"]: (
                Standing(
                    row["citizen_id"],
                    row["email_confirmed"],
                    identity.State(row["state"] or "none"),
                    row["mismatch_field"],
                    row["submissions"] or 0,
                ),
                vault.seal(row["citizen_id"], row["wrapped"]),
            )
            for row in rows
        }

    async def niks_held(self, tx: Transaction, niks: Sequence[bytes]) -> dict[bytes, str]:
        """Which citizen holds each of these NIKs."""
        rows = await QUERIES.niks_held(tx, niks=niks)
        return {row["nik_index"]: row["citizen_id"] for row in rows}

    async def put_identities(self, tx: Transaction, new: Sequence[NewIdentity], now: datetime) -> set[str]:
        """Store submissions, at most one for each citizen; those that count. Raises Refused for a NIK just taken."""
        cards = {one.kk_index: one.household_id for one in new}
        await QUERIES.households_add(tx, households=list(cards.values()), kks=list(cards))
        rows = await QUERIES.households_of(tx, kks=list(cards))
        households = {row["kk_index"]: row["household_id"] for row in rows}
        try:
            stored = await QUERIES.identities_put(
                tx,
                citizens=[one.citizen_id for one in new],
                niks=[one.nik_index for one in new],
                households=[households[one.kk_index] for one in new],
                sealed=[one.sealed for one in new],
                provinces=[one.province for one in new],
                occupations=[one.occupation for one in new],
                in_education=[one.in_education for one in new],
                disagree=[one.nik_disagrees for one in new],
                references=[one.reference for one in new],
                now=now,
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name not in TAKEN:
                raise
            raise Refused(TAKEN[error.constraint_name]) from None
        return {row["citizen_id"] for row in stored}

    async def verified_identity(self, tx: Transaction, vault: Vault, citizen_id: str) -> tuple[Claim, Contact] | None:
        row = await QUERIES.identity_of(tx, citizen=citizen_id)
        if row is None:
            return None
        seal = vault.seal(citizen_id, row["wrapped"])
        return seal.open_claim(row["sealed"]), seal.open_contact(row["contact"])

    async def hold_waves(self, tx: Transaction, waves: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Wave]:
        """The waves as they are, held so that none of them closes before this transaction ends."""
        rows = await QUERIES.waves_held(
            tx, programmes=[programme for programme, _ in waves], waves=[wave for _, wave in waves]
        )
        return {(row["programme"], row["wave"]): Wave(**row) for row in rows}

    async def applicants(
        self, tx: Transaction, vault: Vault, wanted: Sequence[tuple[str, str, int]]
    ) -> list[Applicant | None]:
        """What the rules ask about (citizen, programme, wave); None for whoever was erased."""
        rows = await QUERIES.applicants(
            tx,
            nths=list(range(len(wanted))),
            citizens=[citizen for citizen, _, _ in wanted],
            programmes=[programme for _, programme, _ in wanted],
            waves=[wave for _, _, wave in wanted],
        )
        found: list[Applicant | None] = [None] * len(wanted)
        for row in rows:
            latest = State(row["live"]) if row["live"] else State.WITHDRAWN if row["applications"] else None
            found[row["nth"]] = Applicant(
                citizen_id=row["citizen_id"],
                household_id=row["household_id"] or "",
                province=row["province"] or "",
                person=person_of(vault.seal(row["citizen_id"], row["wrapped"]), row) if row["sealed"] else None,
                member=row["member"],
                state=latest,
                applications=row["applications"],
            )
        return found

    async def add_applications(self, tx: Transaction, new: Sequence[tuple[Applied, int]], now: datetime) -> set[str]:
        """Add applications, each with its number among the citizen's to that wave; the ids of the new ones."""
        rows = await QUERIES.applications_add(
            tx,
            applications=[event.application_id for event, _ in new],
            citizens=[event.citizen_id for event, _ in new],
            programmes=[event.programme for event, _ in new],
            waves=[event.wave for event, _ in new],
            nths=[nth for _, nth in new],
            now=now,
        )
        return {row["application_id"] for row in rows}

    async def latest_application(
        self, tx: Transaction, citizen_id: str, programme: str, wave: int
    ) -> Application | None:
        """The live application to a wave, else the one withdrawn last; locked."""
        row = await QUERIES.application_latest(tx, citizen=citizen_id, programme=programme, wave=wave)
        return Application(**{**row, "state": State(row["state"])}) if row else None

    async def withdraw_application(self, tx: Transaction, application_id: str) -> None:
        await QUERIES.applications_move(
            tx, applications=[application_id], sources=[State.APPLIED], state=State.WITHDRAWN
        )

    async def add_entries(self, tx: Transaction, entries: Sequence[Entry]) -> None:
        """Steps for timelines; one that stands there already is not repeated."""
        citizens, ids = [entry.citizen_id for entry in entries], [entry.entry_id for entry in entries]
        at, whats = [entry.at for entry in entries], [entry.what for entry in entries]
        await self.add_steps(tx, Steps(citizens, ids, at, whats, [json.dumps(entry.data) for entry in entries]))

    async def add_steps(self, tx: Transaction, steps: Steps) -> None:
        """The same, as columns."""
        if steps.entries:
            await QUERIES.timeline_add(
                tx, citizens=steps.citizens, entries=steps.entries, at=steps.at, whats=steps.whats, data=steps.data
            )


def person_of(seal: Seal, row: Mapping[str, Any]) -> Person:
    """What the rules ask about the person in a row of identity."""
    return Person(
        birth_date=seal.open_claim(row["sealed"]).birth_date,
        in_education=row["in_education"],
        occupation=row["occupation"],
        blacklisted=row["blacklisted"],
        other_aid=row["other_aid"],
        laid_off_listed=row["laid_off_listed"],
    )
