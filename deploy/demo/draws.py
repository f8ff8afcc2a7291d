"""The published draws: each is fetched once, and verified beside the replay as any citizen could."""

import asyncio
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from deploy.demo.client import PATIENCE_SECONDS, Unexpected
from deploy.demo.figures import PROGRAMME
from deploy.demo.world import World
from deploy.local.layout import ROOT

VERIFIER: Final = ROOT / "services/selection/verify_draw.py"
PATIENTLY: Final = ("nice", "-n", "19")
"""A citizen's own machine would do this: here it takes only what the replay leaves over."""
NOT_YET: Final = 409
LOOK_SECONDS: Final = 0.5
LATER: Final = timedelta(minutes=1)


class Draws:
    """Bundles in `folder`, and what the public verifier says of them."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._folder = folder
        self._verifying: dict[int, asyncio.Task[str]] = {}
        self._turn = asyncio.Semaphore(1)

    async def fetch(self, wave: int) -> bytes:
        """The bundle of a wave. Where the randomness could not be had, selection asks for it again: so do we.

        Raises Unexpected where it is not published after PATIENCE_SECONDS.
        """
        url = self._world.service("selection", f"/v1/waves/{PROGRAMME}/{wave}/bundle")
        deadline = time.monotonic() + PATIENCE_SECONDS
        answer = await self._world.client.call("GET", url, raw=True)
        while answer.status == NOT_YET and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            await self._world.step_to(self._world.now() + LATER)
            answer = await self._world.client.call("GET", url, raw=True)
        if not answer.ok:
            raise Unexpected("GET", url, answer)
        bundle = bytes(answer.body)
        self._verifying[wave] = asyncio.create_task(self._verify(wave, bundle))
        return bundle

    async def verdicts(self) -> dict[int, str]:
        """What the verifier said of each wave: empty where it agrees."""
        return {wave: await said for wave, said in self._verifying.items()}

    async def _verify(self, wave: int, bundle: bytes) -> str:
        path = self._folder / f"{PROGRAMME}-{wave}.draw.jsonl"
        await asyncio.to_thread(_write, path, bundle)
        async with self._turn:
            command = (*PATIENTLY, sys.executable, "-I", str(VERIFIER), str(path))
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            said, _ = await process.communicate()
        words = said.decode(errors="replace").strip().splitlines()
        return "" if process.returncode == 0 else (words[-1] if words else f"exit {process.returncode}")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
