"""A wave with officials' secrets, on a real PostgreSQL: in time, with one who keeps silent, and too late."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from libs.events.access import Staff
from libs.events.clock import FixedClock
from libs.events.refusal import Refused
from services.selection import bundle, ceremony, verify_draw
from services.selection.domain.ceremony import LAST_WORD, secret_commitment, signed_bytes
from services.selection.domain.wave import Step
from services.selection.draws import draw_one
from services.selection.views_due import steps
from tests.conftest import MakeDatabase
from tests.integration.selection_world import (
    CLOSES,
    DRAWS,
    OPENS,
    PROGRAMME,
    World,
    bundle_file,
    closed,
    crowd,
    open_world,
)
from tests.reference import draw_by_the_letter as letter

SECRETS = {person: sha256(person.encode()).digest() for person in ("ani", "budi", "citra")}
OFFICES = {"ani": "ombudsman", "budi": "committee", "citra": "management"}
TITLES = {
    "ombudsman": "Ombudsman Republik Indonesia", "committee": "Komite Cipta Kerja", "management": "Manajemen Pelaksana",
}  # fmt: skip
DEADLINE = DRAWS - LAST_WORD


@pytest_asyncio.fixture
async def world(database: MakeDatabase) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened


async def hand_in(world: World, person: str, secret: bytes | None = None, office: str = "") -> None:
    machine = world.machine
    async with world.database.transaction() as tx:
        await ceremony.hand_in(
            tx, machine.store, machine.programmes, PROGRAMME, 1, office=office or OFFICES[person],
            secret_commitment=secret_commitment(PROGRAMME, 1, secret or SECRETS[person]),
            staff=Staff(person, person, frozenset({f"office:{OFFICES[person]}"})), now=world.clock.now(),
        )  # fmt: skip


async def reveal(world: World, person: str, secret: bytes | None = None, at: datetime | None = None) -> None:
    async with world.database.transaction() as tx:
        await ceremony.reveal(
            tx, world.machine.store, PROGRAMME, 1, secret or SECRETS[person], person, at or world.clock.now()
        )


async def until_committed(world: World, *people: str) -> None:
    await world.announce(seats=10)
    for person in people:
        await hand_in(world, person)
    applications = crowd(40)
    await world.tick(OPENS)
    await world.tell(*applications)
    await world.tick(CLOSES)
    await world.tell(closed(applications))
    await world.tick()
    assert await world.state() == "committed"


async def test_secrets_and_the_round_make_the_seed_and_the_silent_one_is_named(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await until_committed(world, *SECRETS)
    view = await world.view()
    randomness = json.loads(view["commitment"])["randomness"]
    assert randomness["source"] == "ceremony"
    assert randomness["officials"] == sorted(
        (
            [TITLES[OFFICES[person]], secret_commitment(PROGRAMME, 1, secret).hex()]
            for person, secret in SECRETS.items()
        ),
        key=lambda official: official[1],
    )
    assert (view["reveal_until"], view["draw_due_at"]) == (DEADLINE, DRAWS)
    await reveal(world, "ani")
    await reveal(world, "ani")
    await reveal(world, "budi", at=DEADLINE)
    with pytest.raises(Refused, match="no-reveals-now"):
        await reveal(world, "citra", at=DEADLINE + timedelta(seconds=1))
    await world.tick(DEADLINE)
    assert (await world.view())["reveals"] is None
    await world.tick(DEADLINE + timedelta(seconds=10))
    view = await world.view()
    assert view["state"] == "committed"
    with pytest.raises(Refused, match="no-reveals-now"):
        await reveal(world, "citra", at=DEADLINE)
    named = dict(json.loads(view["reveals"])["reveals"])
    spoken_for = {TITLES[OFFICES[person]]: SECRETS[person].hex() for person in ("ani", "budi")}
    assert named == spoken_for | {TITLES["management"]: None}
    Ed25519PublicKey.from_public_bytes(world.machine.signer.public_key).verify(
        view["reveals_signature"], signed_bytes(view["reveals"])
    )
    await world.tick(DRAWS)
    view = await world.view()
    assert (view["state"], view["winners"]) == ("published", 10)
    told = [
        (bytes.fromhex(committed), bytes.fromhex(named[office]) if named[office] else None)
        for office, committed in randomness["officials"]
    ]
    assert view["seed"] == letter.ceremony_seed(view["root"], view["randomness"], told)
    pages = [page async for page in bundle.write(world.database, world.machine.pools, view)]
    file = bundle_file(tmp_path, b"".join(pages))
    key = ["--key", world.machine.signer.public_key.hex()]
    assert verify_draw.main([str(file), *key]) == 0
    said = capsys.readouterr().out
    assert "the list of reveals was closed and signed" in said
    assert "Manajemen Pelaksana did not reveal their secret" in said
    # The silent one can not be left out, nor somebody else's secret be put in afterwards.
    silent, spoken = b'\\"Manajemen Pelaksana\\",null', b'\\"Manajemen Pelaksana\\",\\"' + b"22" * 32 + b'\\"'
    for old, new in ((silent, spoken), (SECRETS["ani"].hex().encode(), b"11" * 32)):
        assert file.read_bytes().count(old) == 1
        file.write_bytes(b"".join(pages).replace(old, new))
        assert verify_draw.main([str(file), *key]) == 1
        assert "the list of reveals is not the signed one" in capsys.readouterr().out
        file.write_bytes(b"".join(pages))


async def test_a_list_that_was_not_closed_in_time_stops_the_draw(world: World) -> None:
    """Once the outcome can be computed nobody may decide about a secret: officers have to say in public what now."""
    await until_committed(world, "ani", "budi")
    await world.tick(DRAWS)
    view = await world.view()
    assert (view["state"], view["waiting"], view["reveals"]) == ("committed", "reveals-too-late", None)
    with pytest.raises(asyncpg.CheckViolationError, match="wave_reveals_in_time"):
        async with world.database.transaction() as tx:
            await tx.execute(
                "UPDATE wave SET reveals = '', reveals_signature = decode(repeat('00', 64), 'hex'),"
                " reveals_closed_at = draw_due_at"
            )
    # Drawing again would rest on the beacon alone, and that is not what was promised: the wave is voided in public.
    with pytest.raises(Refused, match="ceremony-once"):
        await world.redraw()
    assert await world.void() == "voided"


async def test_a_list_that_somebody_holds_up_until_the_round_is_out_was_not_closed(world: World) -> None:
    await until_committed(world, "ani", "budi")

    class Slow(FixedClock):
        """In time when it is asked first, and too late at the last look before COMMIT."""

        def now(self) -> datetime:
            self.at, before = DRAWS, self.at
            return before

    clock = Slow(DEADLINE + timedelta(seconds=10))
    machine = world.machine
    assert await ceremony.close_reveals(machine.store, machine.signer, world.database, clock) == 0
    assert (await world.view())["reveals"] is None
    await world.tick(DRAWS)
    assert (await world.view())["waiting"] == "reveals-too-late"


async def test_a_wave_with_a_ceremony_is_not_drawn_again_whenever_it_is_asked(world: World) -> None:
    await until_committed(world, "ani", "budi")
    assert steps(await world.view(), world.clock.now()) == (Step.DRAW, Step.VOID), "nothing is offered to be refused"
    with pytest.raises(Refused, match="ceremony-once"):
        await world.redraw()
    await reveal(world, "ani")
    await world.tick(DEADLINE + timedelta(seconds=10))
    world.clock.at = DRAWS
    await draw_one(world.machine, world.database, DRAWS)
    assert await world.state() == "drawn"
    with pytest.raises(Refused, match="ceremony-once"):
        await world.redraw()
    assert await world.void() == "voided"


async def test_one_official_alone_is_no_ceremony(world: World) -> None:
    await until_committed(world, "ani")
    assert json.loads((await world.view())["commitment"])["randomness"]["source"] == "drand"
    with pytest.raises(Refused, match="no-reveals-now"):
        await reveal(world, "ani")


async def test_a_commitment_is_handed_in_once_and_in_time(world: World) -> None:
    await world.announce(seats=10)
    await hand_in(world, "ani")
    await hand_in(world, "ani")
    with pytest.raises(Refused, match="already-handed-in"):
        await hand_in(world, "ani", b"x" * 32)
    with pytest.raises(Refused, match="already-handed-in"):
        await hand_in(world, "budi", SECRETS["ani"])
    await world.tick(CLOSES)
    with pytest.raises(Refused, match="hand-in-closed"):
        await hand_in(world, "budi")


async def test_nobody_speaks_for_an_office_that_is_not_theirs(world: World) -> None:
    await world.announce(seats=10)
    with pytest.raises(Refused, match="not-your-office"):
        await hand_in(world, "ani", office="committee")
    with pytest.raises(Refused, match="no-such-office") as refused:
        await hand_in(world, "ani", office="palace")
    assert "committee, management, ombudsman" in refused.value.refusals[0].en
    assert (await world.view())["reveal_until"] is None


async def test_a_wrong_secret_and_a_stranger_are_refused(world: World) -> None:
    await until_committed(world, "ani", "budi")
    with pytest.raises(Refused, match="wrong-secret"):
        await reveal(world, "ani", b"x" * 32)
    with pytest.raises(Refused, match="not-an-official"):
        await reveal(world, "citra")
