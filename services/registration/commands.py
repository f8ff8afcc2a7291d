"""What citizens ask: register, say who they are, join and leave waves.

The hot ones take the requests that arrived together and give one result for each, in order; a refusal is a result.
The caller opens the transaction and commits it before anybody is answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from libs.events import ids, outbox
from libs.events.contracts import ApplicationWithdrawn, Applied
from libs.events.database import Transaction
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from services.registration.codes import Recipient, send_codes
from services.registration.domain import application, identity
from services.registration.domain.application import State
from services.registration.domain.code import may_renew, usable
from services.registration.domain.identity import UNKNOWN_CITIZEN
from services.registration.domain.person import Claim, Contact, nik_disagrees
from services.registration.domain.timeline import entry_of, own_step
from services.registration.store import KnownCitizen, NewCitizen, NewIdentity, Store
from services.registration.vault import Seal, Vault

REGISTRATION_ID_USED: Final = Refusal(
    "registration-id-used",
    409,
    "Nomor pendaftaran ini sudah dipakai dengan e-mail atau ponsel lain. Mulai pendaftaran baru.",
    "This registration id was used with another e-mail or phone. Begin a new registration.",
    "registration_id",
)
EMAIL_TAKEN: Final = Refusal(
    "email-taken",
    409,
    "Alamat e-mail ini sudah terdaftar. Masuk dengan nomor ponsel, atau pakai alamat lain.",
    "This e-mail address is registered already. Sign in by phone number, or use another address.",
    "email",
)
PHONE_TAKEN: Final = Refusal(
    "phone-taken",
    409,
    "Nomor ponsel ini sudah terdaftar. Masuk dengan kode SMS, atau pakai nomor lain.",
    "This phone number is registered already. Sign in with a code by SMS, or use another number.",
    "phone",
)


@dataclass(frozen=True, slots=True)
class Registration:
    registration_id: str  # made by the client: the same again is the same citizen
    contact: Contact = field(repr=False)


@dataclass(frozen=True, slots=True)
class Submission:
    citizen_id: str
    claim: Claim = field(repr=False)
    province: str
    occupation: str
    in_education: bool


@dataclass(frozen=True, slots=True)
class Submitted:
    status: str
    nik_disagrees: bool


@dataclass(frozen=True, slots=True)
class Join:
    citizen_id: str
    programme: str
    wave: int


async def register(
    tx: Transaction, requests: Sequence[Registration], now: datetime, *, store: Store, vault: Vault
) -> list[str | Refusal]:
    """Register citizens: their ids. The same registration again gives the same id, and a fresh code if it needs one."""
    first: dict[str, tuple[Registration, NewCitizen, Seal]] = {}
    for request in requests:
        if request.registration_id not in first:
            first[request.registration_id] = (request, *_prepare(vault, request, now))
    added = await store.add_citizens(tx, [new for _, new, _ in first.values()], now)
    born = [entry for entry in first.values() if entry[1].citizen_id in added]
    recipients = [Recipient(new.citizen_id, request.contact.email, seal) for request, new, seal in born]
    await send_codes(tx, store, vault, "e-mail", recipients, now)
    await store.add_entries(tx, [own_step(new.citizen_id, "registered", now) for _, new, _ in born])
    rest = [new for _, new, _ in first.values() if new.citizen_id not in added]
    known = await store.citizens_like(tx, rest) if rest else []
    results = [_registered(vault, request, first[request.registration_id][1], added, known) for request in requests]
    await _send_again(tx, store, vault, [one for one in known if one.citizen_id in results], now)
    return results


def _prepare(vault: Vault, request: Registration, now: datetime) -> tuple[NewCitizen, Seal]:
    citizen_id = ids.new(now)
    seal, wrapped = vault.new_key(citizen_id)
    contact = request.contact
    indexes = vault.email_index(contact.email), vault.phone_index(contact.phone)
    return NewCitizen(citizen_id, request.registration_id, *indexes, seal.close_contact(contact), wrapped), seal


def _registered(
    vault: Vault, request: Registration, new: NewCitizen, added: set[str], known: Sequence[KnownCitizen]
) -> str | Refusal:
    """The answer to one registration: by itself, by an earlier one with its id, or by whoever stands in its way."""
    mine = vault.email_index(request.contact.email), vault.phone_index(request.contact.phone)
    if new.citizen_id in added:
        return new.citizen_id if mine == (new.email_index, new.phone_index) else REGISTRATION_ID_USED
    same = next((one for one in known if one.registration_id == request.registration_id), None)
    if same:
        return same.citizen_id if mine == (same.email_index, same.phone_index) else REGISTRATION_ID_USED
    return EMAIL_TAKEN if any(one.email_index == mine[0] for one in known) else PHONE_TAKEN


async def _send_again(
    tx: Transaction, store: Store, vault: Vault, known: Sequence[KnownCitizen], now: datetime
) -> None:
    """A fresh code for whoever registers again without having confirmed, once the old code has lapsed."""
    waiting = sorted(one.citizen_id for one in known if not one.email_confirmed)
    if not waiting:
        return
    codes = await store.codes(tx, waiting, "e-mail")
    due = [one for one in waiting if not usable(codes.get(one), now) and may_renew(codes.get(one), now)]
    seals, contacts = await store.seals(tx, vault, due), await store.contacts(tx, due)
    recipients = [
        Recipient(one, seals[one].open_contact(contacts[one][0]).email, seals[one], codes.get(one)) for one in due
    ]
    await send_codes(tx, store, vault, "e-mail", recipients, now)


async def submit_identities(
    tx: Transaction, requests: Sequence[Submission], now: datetime, *, store: Store, vault: Vault
) -> list[Submitted | Refusal]:
    """Take down who citizens say they are, to be checked. Of two submissions of one citizen the last one counts."""
    standings = await store.standings(tx, vault, sorted({request.citizen_id for request in requests}))
    niks = [vault.nik_index(request.claim.nik) for request in requests]
    held = await store.niks_held(tx, sorted(set(niks)))
    accepted: dict[str, NewIdentity] = {}
    results: list[Submitted | Refusal] = []
    for request, nik_index in zip(requests, niks, strict=True):
        citizen = request.citizen_id
        standing, seal = standings.get(citizen, (None, None))
        refusal = identity.submit(standing)
        if refusal is None and held.get(nik_index, citizen) != citizen:
            refusal = identity.NIK_TAKEN
        if refusal or standing is None or seal is None:
            results.append(refusal or UNKNOWN_CITIZEN)
            continue
        held[nik_index] = citizen
        new = _identity(vault, seal, request, nik_index, now)
        accepted[citizen] = new
        results.append(Submitted("checking", new.nik_disagrees))
    stored = await store.put_identities(tx, list(accepted.values()), now)
    await store.add_entries(
        tx,
        [
            own_step(new.citizen_id, "identity-submitted", now, new.reference, nik_disagrees=new.nik_disagrees)
            for new in accepted.values()
            if new.citizen_id in stored
        ],
    )
    # Whoever is missing was verified while this was being read.
    late = accepted.keys() - stored
    return [
        identity.ALREADY_VERIFIED if isinstance(result, Submitted) and request.citizen_id in late else result
        for request, result in zip(requests, results, strict=True)
    ]


def _identity(vault: Vault, seal: Seal, request: Submission, nik_index: bytes, now: datetime) -> NewIdentity:
    claim = request.claim
    return NewIdentity(
        citizen_id=request.citizen_id,
        nik_index=nik_index,
        kk_index=vault.kk_index(claim.kk),
        household_id=ids.new(now),
        sealed=seal.close_claim(claim),
        province=request.province,
        occupation=request.occupation,
        in_education=request.in_education,
        nik_disagrees=nik_disagrees(claim.nik, claim.birth_date),
        reference=ids.new(now),
    )


async def join(
    tx: Transaction,
    requests: Sequence[Join],
    now: datetime,
    *,
    store: Store,
    vault: Vault,
    programmes: Mapping[str, Programme],
) -> list[Applied | Refusal]:
    """Enter citizens into waves that are open. The waves are held: none closes between the look and the commit."""
    wanted = [(request.citizen_id, request.programme, request.wave) for request in requests]
    waves = await store.hold_waves(tx, sorted({(programme, wave) for _, programme, wave in wanted}))
    applicants = await store.applicants(tx, vault, wanted)
    results: list[Applied | Refusal] = []
    entered: dict[str, tuple[Applied, int]] = {}
    for request, applicant in zip(requests, applicants, strict=True):
        if applicant is None:
            results.append(UNKNOWN_CITIZEN)
            continue
        wave = waves.get((request.programme, request.wave))
        result = application.join(programmes.get(request.programme), wave, applicant, now)
        if isinstance(result, Applied):
            if result.application_id in entered:  # the same citizen twice in one batch: the id derives to the same
                result = application.ALREADY_APPLIED
            else:
                entered[result.application_id] = result, applicant.applications + 1
        results.append(result)
    added = await store.add_applications(tx, list(entered.values()), now)
    events = [event for event, _ in entered.values() if event.application_id in added]
    await outbox.add(tx, events)
    await store.add_entries(tx, [entry_of(event) for event in events])
    return [
        application.ALREADY_APPLIED if isinstance(result, Applied) and result.application_id not in added else result
        for result in results
    ]


async def withdraw(tx: Transaction, store: Store, request: Join, now: datetime) -> State:
    """Take a citizen out of a wave whose intake is open. Raises Refused."""
    waves = await store.hold_waves(tx, [(request.programme, request.wave)])
    wave = waves.get((request.programme, request.wave))
    latest = await store.latest_application(tx, request.citizen_id, request.programme, request.wave)
    result = application.withdraw(wave, latest, now)
    if isinstance(result, Refusal):
        raise Refused(result)
    if isinstance(result, ApplicationWithdrawn):
        await store.withdraw_application(tx, result.application_id)
        await outbox.add(tx, [result])
        await store.add_entries(tx, [entry_of(result)])
    return State.WITHDRAWN
