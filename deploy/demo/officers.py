"""What staff of the programme do, over the services' own APIs: one prepares, another approves."""

import asyncio
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from deploy.demo.client import Answer, Unexpected
from deploy.demo.figures import PROGRAMME
from deploy.demo.world import World
from libs.events.programme import Wave

TOKEN_KEPT: Final = timedelta(minutes=50)  # the issuer gives an hour of programme time
RAILS: Final = ("bank", "e-wallet")


class Officers:
    """Signs in as any account of staff, and does their work."""

    def __init__(self, world: World) -> None:
        self._world = world
        clients = tomllib.loads(world.credentials.read_text())["clients"]
        self._secrets = {str(entry["client_id"]): str(entry["client_secret"]) for entry in clients}
        self._tokens: dict[str, tuple[str, datetime]] = {}
        self._signing_in = asyncio.Lock()

    async def token(self, account: str) -> str:
        """A token that is good now, by programme time."""
        async with self._signing_in:
            held, since = self._tokens.get(account, ("", None))
            now = self._world.now()
            if not since or now - since > TOKEN_KEPT:
                held = await self._world.client.sign_in(
                    self._world.simulator("oidc", "/token"), account, self._secrets[account]
                )
                self._tokens[account] = (held, now)
            return held

    async def _call(self, account: str, service: str, path: str, body: Any) -> Answer:
        token = await self.token(account)
        return await self._world.client.call("POST", self._world.service(service, path), body, token)

    async def _done(self, account: str, service: str, path: str, body: Any, again: tuple[str, ...] = ()) -> Any:
        """The body of a success. `again`: refusals that mean an earlier try, whose answer was lost, had landed."""
        answer = await self._call(account, service, path, body)
        if not answer.ok and not (answer.repeated and (not again or answer.code in again)):
            raise Unexpected("POST", self._world.service(service, path), answer)
        return answer.body

    async def announce(self, wave: Wave, seats: int, recycle: bool = False) -> None:
        """Propose a wave as one officer and approve it as another."""
        body = {
            "programme": PROGRAMME,
            "wave": wave.number,
            "seats": seats,
            "recycle": recycle,
            "opens_at": wave.opens.isoformat(),
            "closes_at": wave.closes.isoformat(),
            "draws_at": wave.draws.isoformat(),
        }
        await self._done("officer-maker", "selection", "/v1/waves", body)
        # A proposal is shown to officers alone.
        read = {"mark": (await self.wave(wave.number, await self.token("officer-checker")))["mark"]}
        await self._done("officer-checker", "selection", f"/v1/waves/{PROGRAMME}/{wave.number}/approval", read)
        told = await self.wave(wave.number)
        self._world.history.add(
            "wave-announced", wave=wave.number, seats=sum(quota["seats"] for quota in told["quotas"]), recycle=recycle
        )

    async def wave(self, number: int, token: str | None = None) -> dict[str, Any]:
        """The public view of a wave; with an officer's token also of a proposal."""
        url = self._world.service("selection", f"/v1/waves/{PROGRAMME}/{number}")
        return dict(await self._world.client.get(url, token))

    async def appropriate(self, amount_rupiah: int) -> None:
        """Book the State's grant."""
        body = {"programme": PROGRAMME, "amount_rupiah": amount_rupiah, "reference": "DIPA BA 999.08"}
        made = await self._done("finance-maker", "disbursement", "/v1/appropriations", body)
        path = f"/v1/appropriations/{made['appropriation_id']}/approval"
        await self._done("finance-checker", "disbursement", path, {})
        self._world.history.add("appropriated", amount_rupiah=amount_rupiah)

    async def offer(self, course: Mapping[str, Any]) -> str:
        """Offer a course as the partner; returns its id."""
        made = await self._done("partner-a", "training", "/v1/courses", dict(course))
        return str(made["course_id"])

    async def pay(self) -> int:
        """Batch everything due, on every rail, and approve it with its control totals. Returns how many payouts."""
        for rail in RAILS:
            await self._done("finance-maker", "disbursement", "/v1/batches", {"programme": PROGRAMME, "rail": rail})
        # Asked for and not taken from the answers: a batch whose answer was lost is there all the same.
        token = await self.token("finance-checker")
        batches = await self._world.client.get(self._world.service("disbursement", "/v1/batches"), token)
        payouts = 0
        for batch in batches:
            if batch["state"] != "proposed":
                continue
            totals = {"payouts": batch["payouts"], "total_rupiah": batch["total_rupiah"]}
            await self._done("finance-checker", "disbursement", f"/v1/batches/{batch['batch_id']}/approval", totals)
            self._world.history.add("batch-approved", batch_id=batch["batch_id"], **totals)
            payouts += batch["payouts"]
        return payouts

    async def end_year(self) -> None:
        """Return what is left to the treasury."""
        await self._done("finance-maker", "disbursement", "/v1/year-end", {"programme": PROGRAMME})
        await self._done("finance-checker", "disbursement", f"/v1/year-end/{PROGRAMME}/approval", {})
        self._world.history.add("year-ended")

    async def ledger(self) -> dict[str, Any]:
        token = await self.token("auditor")
        told = await self._world.client.get(self._world.service("disbursement", f"/v1/ledger/{PROGRAMME}"), token)
        return dict(told)

    async def books(self) -> dict[str, Any]:
        token = await self.token("auditor")
        told = await self._world.client.get(self._world.service("finance", f"/v1/books/{PROGRAMME}"), token)
        return dict(told)
