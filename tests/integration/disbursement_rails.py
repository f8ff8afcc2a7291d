"""The simulators of the rails, run in the process of a test."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from deploy.simulators import bank, common, ewallet
from libs.events.clock import FixedClock
from libs.events.contracts import Rail


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """The address of a simulator that runs in this process."""
    listener = socket.create_server(("127.0.0.1", 0))  # whoever calls before it serves waits in the backlog
    server = uvicorn.Server(uvicorn.Config(common.with_cuts(app), log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def simulated(folder: Path, clock: FixedClock, faults: Mapping[str, float]) -> AsyncIterator[dict[Rail, str]]:
    """Their addresses. Faults are off unless named: bank_..., ewallet_..."""
    rates = {f"{rail}_{kind}_percent": 0.0 for rail in ("bank", "ewallet") for kind in ("twice", "timeout")}
    rates |= {"bank_late_percent": 0.0, "bank_never_percent": 0.0, "ewallet_pending_percent": 0.0, **faults}
    of = {
        rail: {name.removeprefix(f"{rail}_"): rate for name, rate in rates.items() if name.startswith(rail)}
        for rail in ("bank", "ewallet")
    }
    bank_settings = bank.Settings.model_validate(
        {"port": 0, "book": folder / "bank.sqlite3", "hang_seconds": 0.05} | of["bank"]
    )
    ewallet_settings = ewallet.Settings.model_validate(
        {"port": 0, "book": folder / "ewallet.sqlite3", "hang_seconds": 0.05} | of["ewallet"]
    )
    async with (
        serving(bank.create(bank_settings, clock)) as bank_url,
        serving(ewallet.create(ewallet_settings, clock)) as ewallet_url,
    ):
        yield {"bank": bank_url, "e-wallet": ewallet_url}
