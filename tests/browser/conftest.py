"""Selection's pages from a real PostgreSQL, the sign-in simulator, and a real Chromium that looks at them.

`site` runs both servers in a thread of its own; `site.do(coroutine)` does something in the world behind them.
With GELOMBANG_SHOTS=FOLDER every page that a test has `seen` is kept there as a picture, to be looked at.
"""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import uvicorn
from fastapi import FastAPI

from deploy.simulators import oidc
from libs.events.access import open_access
from services.selection.api import create_api
from tests.conftest import MakeDatabase
from tests.integration.selection_world import PLACES, World, crowd, open_world

CHROMIUM: Final = Path(os.environ.get("GELOMBANG_CHROMIUM", "/usr/bin/chromium"))
SHOTS: Final = os.environ.get("GELOMBANG_SHOTS")
SIZES: Final = {"phone": (360, 740), "desktop": (1280, 900)}
CLIENTS: Final = "".join(
    f'[[clients]]\nclient_id = "{account}"\nclient_secret = "secret of {account}"\nperson = "{account}"\n'
    f"roles = {json.dumps(roles.split())}\n"
    for account, roles in (
        ("ani", "maker office:committee"), ("budi", "checker office:management"), ("citra", "partner"),
        ("dewi", "official office:ombudsman"), ("eka", "maker checker"),
    )
)  # fmt: skip
CROWD: Final = 600


@dataclass
class Site:
    """The pages, and the world behind them."""

    url: str
    world: World
    loop: asyncio.AbstractEventLoop
    application_ids: list[str] = field(default_factory=list)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)


@pytest.fixture(scope="module")
def site(module_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site without waves."""
    ready: Future[tuple[Site, asyncio.Event]] = Future()
    folder = tmp_path_factory.mktemp("site")
    thread = threading.Thread(target=lambda: asyncio.run(_serve(module_database, folder, ready)), daemon=True)
    thread.start()
    made, stop = ready.result(60)
    yield made
    made.loop.call_soon_threadsafe(stop.set)
    thread.join(30)


@pytest.fixture(scope="module")
def published(site: Site) -> Site:
    """The same with wave 1 published: 120 seats, 600 applications."""
    people = crowd(CROWD)
    site.do(site.world.run_wave(people, seats=120))
    site.application_ids = [each.application_id for each in people]
    return site


async def _serve(database: MakeDatabase, folder: Path, ready: "Future[tuple[Site, asyncio.Event]]") -> None:
    stop = asyncio.Event()
    try:
        async with AsyncExitStack() as stack:
            world = await stack.enter_async_context(open_world(database))
            (folder / "clients.toml").write_text(CLIENTS)
            # The issuer must know its own address before it is served, so its port is found first.
            settings = oidc.Settings(port=0, book=folder / "book", clients=folder / "clients.toml")
            issuer = await _listen(
                stack, lambda url: oidc.create(settings.model_copy(update={"issuer": url}), world.clock)
            )

            def selection(_url: str) -> FastAPI:
                machine = world.machine
                access = open_access(issuer, f"{issuer}/jwks", folder / "none", world.clock)
                api = create_api(
                    machine.store, machine.pools, machine.programmes, PLACES, access, machine.signer.public_key
                )
                api.state.database, api.state.clock = world.database, world.clock
                return api

            url = await _listen(stack, selection)
            ready.set_result((Site(url, world, asyncio.get_running_loop()), stop))
            await stop.wait()
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)
        raise


async def _listen(stack: AsyncExitStack, make: Callable[[str], FastAPI]) -> str:
    """Serve what `make` gives for its address, until the stack is unwound."""
    listening = await asyncio.get_running_loop().run_in_executor(None, _free_socket)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(make(url), log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve([listening]))

    async def end() -> None:
        server.should_exit = True
        await serving

    stack.push_async_callback(end)
    return url


def _free_socket() -> Any:
    import socket

    made = socket.create_server(("127.0.0.1", 0))
    made.setblocking(False)
    return made


@pytest.fixture(scope="session")
def playwright() -> Any:
    """Playwright, where it and Chromium are there; else skips with a sentence, before any server is started."""
    found = pytest.importorskip("playwright.sync_api", reason="install playwright to look at pages in a browser")
    if not CHROMIUM.exists():
        pytest.skip(
            f"there is no Chromium at {CHROMIUM}, so nobody looked at the pages: install it (Debian: apt install "
            "chromium), or say in GELOMBANG_CHROMIUM where it is"
        )
    return found


@pytest.fixture(scope="module")
def chromium(playwright: Any) -> Iterator[Any]:
    """A browser. It ends with the module: while Playwright runs, no other test can have an event loop of its own."""
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Window:
    """One page of a browser that remembers what it complained about."""

    page: Any
    name: str
    complaints: list[str] = field(default_factory=list)

    def follow(self, selector: str) -> None:
        """Click what leads to another page, and wait for that."""
        with self.page.expect_navigation():
            self.page.click(selector)

    def tab_to(self, found: str) -> None:
        """Press Tab until the focused element is the one that the expression of `e` names."""
        for _ in range(60):
            self.page.keyboard.press("Tab")
            if self.page.evaluate(f"((e) => {found})(document.activeElement)"):
                return
        raise AssertionError(f"no Tab leads to {found}")

    def failed(self, url: str, why: str) -> None:
        """Note what could not be fetched; not what the browser itself gave up because the reader went on."""
        if "ERR_ABORTED" not in why:
            self.complaints.append(f"{url} failed: {why}")

    def seen(self, what: str) -> None:
        """Nothing was complained about, nothing is wider than the screen; keeps a picture if asked to."""
        assert self.complaints == []
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{what} is {wide} pixels wider than the screen"
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{what}-{self.name}.png", full_page=True)


@contextmanager
def opened(chromium: Any, size: str = "phone", language: str = "id", **options: Any) -> Iterator[Window]:
    """A fresh window with nothing remembered, of a size, in a language."""
    width, height = SIZES[size]
    context = chromium.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(10_000)
    page = context.new_page()
    window = Window(page, f"{size}-{language}")
    page.on("console", lambda said: window.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: window.complaints.append(str(error)))
    page.on("requestfailed", lambda request: window.failed(request.url, request.failure or ""))
    try:
        yield window
    finally:
        context.close()


def sign_in(site: Site, window: Window, account: str, password: str | None = None) -> None:
    """As an officer, by the sign-in service and back."""
    page = window.page
    page.goto(site.url + "/petugas")
    window.follow("main a.button")
    page.fill("[name=account]", account)
    page.fill("[name=password]", password or f"secret of {account}")
    window.follow("button")


def seen_everywhere(chromium: Any, site: Site, what: str, path: str, officer: Window | None = None) -> None:
    """Look at a page in every size and language; as an officer who is signed in, if one is given."""
    held = officer.page.context.cookies(site.url + "/petugas") if officer else []
    for size, language in ((size, language) for size in SIZES for language in ("id", "en")):
        with opened(chromium, size, language) as window:
            context = window.page.context
            context.add_cookies([cookie for cookie in held if cookie["name"] == "gelombang_staff"])
            context.add_cookies([{"name": "lang", "value": language, "url": site.url}])
            window.page.goto(site.url + path)
            window.seen(what)
            assert window.page.locator("h1").count() == 1


@pytest.fixture(params=[(size, language) for size in SIZES for language in ("id", "en")], ids="-".join)
def window(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Window]:
    """Every size in every language."""
    size, language = request.param
    with opened(chromium, size, language) as made:
        made.page.context.add_cookies([{"name": "lang", "value": language, "url": "http://127.0.0.1"}])
        yield made
