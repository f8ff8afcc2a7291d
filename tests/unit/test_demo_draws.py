"""A draw that is not published yet is waited for, minute by minute; one that never is ends the replay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from deploy.demo.client import Answer, Unexpected
from deploy.demo.draws import Draws
from deploy.demo.world import World

BEGIN = datetime(2020, 4, 17, 3, tzinfo=UTC)


class Programme:
    """A world in which a draw is published after some minutes, and its own client."""

    def __init__(self, minutes: int) -> None:
        self.client, self.at = self, BEGIN
        self.published_at = BEGIN + timedelta(minutes=minutes)

    def service(self, name: str, path: str) -> str:
        return path

    def now(self) -> datetime:
        return self.at

    async def step_to(self, at: datetime) -> None:
        self.at = at

    async def call(self, method: str, url: str, *, raw: bool) -> Answer:
        return Answer(200, b"bundle") if self.at >= self.published_at else Answer(409, b"")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def verify(self: Draws, wave: int, bundle: bytes) -> str:
        return ""

    monkeypatch.setattr(Draws, "_verify", verify)
    monkeypatch.setattr("deploy.demo.draws.LOOK_SECONDS", 0.0)


def draws(world: Any, folder: Path) -> Draws:
    return Draws(cast(World, world), folder)


@pytest.mark.parametrize("minutes", [0, 1, 3])
async def test_a_draw_is_waited_for_until_it_is_published(tmp_path: Path, minutes: int) -> None:
    world = Programme(minutes)
    assert await draws(world, tmp_path).fetch(1) == b"bundle"
    assert world.at == world.published_at


async def test_a_draw_that_is_never_published_ends_the_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.demo.draws.PATIENCE_SECONDS", 0.0)
    with pytest.raises(Unexpected, match="409"):
        await draws(Programme(10), tmp_path).fetch(1)
