"""Draws at the edges: nobody loses, or nobody wins. Each goes through the service, and whoever checks it agrees."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.events.contracts import Applied
from services.selection import bundle, verify_draw
from tests.conftest import MakeDatabase
from tests.integration.selection_world import World, applied, bundle_file, crowd, open_world


@pytest_asyncio.fixture
async def world(database: MakeDatabase) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened


async def agreed(world: World, wave: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the verifier says of the wave's bundle, with which it must agree."""
    view = await world.view(wave)
    assert view["state"] == "published"
    pages = [page async for page in bundle.write(world.database, world.machine.pools, view)]
    code, said = verify_draw.main([str(bundle_file(folder, b"".join(pages)))]), capsys.readouterr().out
    assert code == 0, said
    return said


async def outcome(world: World, people: list[Applied]) -> Counter[str]:
    """How many of these people were told what."""
    ids = {each.application_id for each in people}
    told = [event["data"] for event in await world.said("selected-in-batch", "not-selected")]
    return Counter(data.get("reason", "selected") for data in told if data["application_id"] in ids)


async def test_a_draw_in_which_nobody_loses(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seats enough in every stratum, and no household with more applicants than places."""
    people = [applied(f"warga-{number}", tier="priority" if number % 2 else "public") for number in range(40)]
    await world.run_wave(people, seats=5_000)
    assert await outcome(world, people) == {"selected": 40}
    view = await world.view()
    assert (view["pool_count"], view["winners"], view["not_selected"]) == (40, 40, 0)
    assert "the 40 winners are the same" in await agreed(world, 1, tmp_path, capsys)


async def test_one_applicant_who_wins(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = [applied("siti")]
    await world.run_wave(people, seats=10)
    assert await outcome(world, people) == {"selected": 1}
    await agreed(world, 1, tmp_path, capsys)


async def test_a_draw_in_which_everybody_was_excluded(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = [applied(f"warga-{number}", exclusions=("blacklist",)) for number in range(10)]
    await world.run_wave(people, seats=10)
    assert await outcome(world, people) == {"blacklist": 10}
    view = await world.view()
    assert (view["pool_count"], view["winners"], view["not_selected"]) == (0, 0, 10)
    await agreed(world, 1, tmp_path, capsys)


async def test_a_draw_in_which_nobody_of_the_pool_wins(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All have tickets, and every household has had its places: the seats stay free."""
    families = [applied(f"{who}-{home}", household=f"kk-{home}") for home in range(5) for who in ("ayah", "ibu")]
    await world.run_wave(families, seats=5_000)
    children = [applied(f"anak-{home}", wave=2, household=f"kk-{home}") for home in range(5)]
    await world.run_wave(children, wave=2, seats=100)
    assert await outcome(world, children) == {"household-cap": 5}
    view = await world.view(2)
    assert (view["pool_count"], view["winners"], view["not_selected"]) == (5, 0, 5)
    await agreed(world, 2, tmp_path, capsys)


async def test_a_draw_among_a_crowd_of_whom_all_but_one_lose(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = crowd(60)
    await world.run_wave(people, seats=1)
    assert (await outcome(world, people))["selected"] == 1
    await agreed(world, 1, tmp_path, capsys)
