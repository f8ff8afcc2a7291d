"""A public bundle made without a store, for the verifier to judge."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.simulators.beacon import chain_info, secret_key, sign
from services.selection.bundle import header, lines
from services.selection.domain import ceremony
from services.selection.domain.beacon import Chain, announced_round
from services.selection.domain.ceremony import Ceremony, Official
from services.selection.domain.commitment import Commitment
from services.selection.domain.pool import SALT_BYTES, Rules
from services.selection.domain.quotas import Stratum, Tier
from services.selection.domain.tickets import seed_of
from services.selection.signing import Signer
from tests.unit.listed_draw import Application, draw, freeze, intake_digest, leaf_hashes, levels_of, root_of

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32))
INFO = chain_info("test")
CHAIN = Chain(INFO["hash"], INFO["public_key"], INFO["genesis_time"], INFO["period"])
COMMITTED, DRAWS = datetime(2020, 4, 16, 9, 1, tzinfo=UTC), datetime(2020, 4, 17, 3, tzinfo=UTC)
ROUND = announced_round(CHAIN, COMMITTED, DRAWS)
BEACON_SIGNATURE = sign(secret_key("test"), ROUND)
QUOTAS = {
    Stratum("11", "priority"): 6,
    Stratum("11", "public"): 2,
    Stratum("31", "priority"): 6,
    Stratum("31", "public"): 2,
}


def people(count: int, seed: int = 1) -> list[Application]:
    """Applicants of three provinces, one of which has no seats; some excluded, some households with members."""
    chance = random.Random(seed)
    tiers: tuple[Tier, Tier] = ("priority", "public")
    found = []
    for application_id in sorted(chance.randbytes(16) for _ in range(count)):
        household = chance.randrange(count // 2)
        stratum = Stratum(chance.choice(("11", "31", "91")), chance.choice(tiers))
        exclusions = ("blacklist",) if chance.random() < 0.1 else ()
        members = household % 3 // 2
        found.append(Application(application_id, household.to_bytes(16, "big"), stratum, exclusions, False, members))
    return found


def officials() -> Ceremony:
    """Three officials, of whom the last one does not reveal. Their secrets are known to whoever reads this."""
    offices = ("Kepala Pelaksana", "Inspektorat", "Ombudsman")
    secrets = [hashlib.sha256(office.encode()).digest() for office in offices]
    handed_in = [ceremony.secret_commitment("prakerja-2020", 1, secret) for secret in secrets]
    found = zip(offices, handed_in, (*secrets[:2], None), strict=True)
    told = sorted((Official(*each) for each in found), key=lambda official: official.secret_commitment)
    return Ceremony(tuple(told), DRAWS - ceremony.LAST_WORD)


def make(
    applications: Sequence[Application], quotas: Mapping[Stratum, int] = QUOTAS, planned: Ceremony | None = None
) -> list[Any]:
    """The values of a bundle's lines, without the closing one."""
    frozen = freeze(applications, Rules(other_aid=False, household_cap=2))
    entries = frozen.pool
    salts = random.Random(2).randbytes(SALT_BYTES * len(entries))
    root = root_of(levels_of(leaf_hashes(entries, salts)))
    promise = Commitment(
        programme="prakerja-2020", wave=1, intake_count=len(applications),
        intake_digest=intake_digest([each.application_id for each in applications]),
        excluded=frozen.counts, pool_count=len(entries), root=root, quotas=quotas, household_cap=2,
        chain=CHAIN, beacon_round=ROUND, draws_at=DRAWS, committed_at=COMMITTED, signing_key=SIGNER.public_key,
        ceremony=planned,
    )  # fmt: skip
    randomness = hashlib.sha256(BEACON_SIGNATURE).digest()
    seed, reveals = seed_of(root, randomness), None
    if planned:
        document = promise.document()
        secrets = {each.office: each.secret for each in planned.officials if each.secret}
        reveals = ceremony.reveals(document, secrets, planned.reveal_until + timedelta(seconds=10))
        seed = ceremony.seed_of(root, randomness, document, json.loads(reveals))
    outcome = draw(entries, quotas, seed)
    first = header(
        {
            "commitment": promise.canonical(), "signature": SIGNER.sign(promise.canonical()), "beacon_round": ROUND,
            "beacon_signature": BEACON_SIGNATURE, "randomness": randomness, "seed": seed, "winners": outcome.winners,
            "reveals": reveals,
            "reveals_signature": SIGNER.sign_bytes(ceremony.signed_bytes(reveals)) if reveals else None,
        }
    )  # fmt: skip
    columns = zip(entries.ids, entries.strata, entries.groups, entries.places, strict=True)
    pool = [
        ["e", at, application_id.hex(), *stratum, group, places, salts[at * SALT_BYTES :][:SALT_BYTES].hex()]
        for at, (application_id, stratum, group, places) in enumerate(columns)
    ]
    excluded = [["x", application_id.hex()] for application_id, _ in frozen.excluded]
    winners = [["w", at, outcome.ranks[at], *seat] for at, seat in enumerate(outcome.seats) if seat]
    return [first, *pool, *excluded, *winners]


def close(values: Sequence[Any]) -> bytes:
    """The file with a closing line that is right for whatever the lines say."""
    data = lines(values)
    return data + lines([{"end": {"lines": len(values), "sha256": hashlib.sha256(data).hexdigest()}}])
