"""One citizen after another, from the first visit to the last payout, whatever is killed on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from deploy.demo.figures import PROGRAMME
from deploy.demo.population import Person, Rail
from libs.events import ids
from tests.fault.town import Over, Town

LOOK_SECONDS: Final = 2.0
TRIES_MAX: Final = 3
SURVEYS: Final = 3
WITHDRAW_SHARE: Final = 0.08
DROPOUT_SHARE: Final = 0.1
TROUBLE_SHARE: Final = 0.15
TROUBLES: Final = {
    Rail.BANK: ("closed-until-repaired", "returns"),
    Rail.E_WALLET: ("wallet-full-until-repaired", "limit-exceeded-until-repaired"),
}
LEAD: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class OpenWave:
    number: int
    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    course_id: str
    starts_at: datetime


@dataclass(slots=True)
class Board:
    """What is on offer, as officers have put it there."""

    waves: list[OpenWave] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)


@dataclass(slots=True)
class Citizen:
    """A person and what they hold, for the questions at the end."""

    person: Person
    citizen_id: str = ""
    token: str = ""
    enrolment_id: str = ""


class Life:
    """`live` goes as far as it can until the load is over."""

    def __init__(self, town: Town, board: Board, person: Person) -> None:
        self._town, self._board, self._person = town, board, person
        self._random = Random(f"gelombang life {town.seed} {person.number}")
        self._tried: set[int] = set()
        self.citizen = Citizen(person)

    async def live(self) -> None:
        try:
            await self._arrive()
            if await self._win():
                await self._learn_and_earn()
        except Over:
            return

    async def _arrive(self) -> None:
        """Open an account, confirm the e-mail, say who one is."""
        town, person = self._town, self._person
        await town.done("POST", town.world.simulator("civil-registry", "/people"), [person.registry_entry()])
        await self._register()
        self._acknowledge("registered")
        url = town.world.service("registration", "/v1/me/email-confirmation")
        while not (await town.call("POST", url, {"code": await self._code()}, self.citizen.token)).ok:
            # A code lapses after a day of programme time, which an outage may outlast; registering again renews it.
            await town.pause()
            await self._register()
        self._acknowledge("confirmed")
        form = person.identity(typed_right=True)
        await self._ask("POST", "registration", "/v1/me/identity", form, landed=("identity-already-verified",))
        self._acknowledge("identity-stated")

    async def _register(self) -> None:
        """The same id again is the same registration."""
        town, person = self._town, self._person
        registration_id = ids.derive("chaos registration", town.seed, str(person.number))
        body = {"registration_id": registration_id, "email": person.email, "phone": person.phone}
        told = await town.done("POST", town.world.service("registration", "/v1/registrations"), body)
        self.citizen.citizen_id, self.citizen.token = told["citizen_id"], told["token"]

    async def _code(self) -> str:
        """The newest code that has reached the inbox."""
        while self._person.email not in self._town.codes:
            await self._town.pause(LOOK_SECONDS / 4)
        return self._town.codes[self._person.email]

    async def _win(self) -> bool:
        """Join one wave after another; whether one of them was won."""
        for _ in range(TRIES_MAX):
            wave = await self._next_wave()
            if not await self._join(wave):
                continue
            if self._random.random() < WITHDRAW_SHARE and await self._withdraw(wave):
                continue
            while (state := (await self._application(wave))["state"]) == "applied":
                await self._town.pause(LOOK_SECONDS)
            if state == "selected":
                return True
        return False

    async def _next_wave(self) -> OpenWave:
        """A wave that is open now and was not chosen before."""
        while True:
            now = self._town.now()
            for wave in self._board.waves:
                if wave.opens_at <= now < wave.closes_at and wave.number not in self._tried:
                    self._tried.add(wave.number)
                    return wave
            await self._town.pause(LOOK_SECONDS / 4)

    async def _join(self, wave: OpenWave) -> bool:
        """False where the wave closed before the identity was verified, or the rules bar this citizen."""
        body = {"programme": PROGRAMME, "wave": wave.number}
        url = self._town.world.service("registration", "/v1/me/applications")
        while self._town.now() < wave.closes_at:
            answer = await self._town.call("POST", url, body, self.citizen.token)
            if answer.ok or answer.code == "already-applied":
                application_id = (
                    answer.body["application_id"] if answer.ok else (await self._application(wave))["application_id"]
                )
                self._acknowledge("joined", application_id=application_id, wave=wave.number)
                return True
            if answer.code not in ("identity-not-verified", "wave-not-open"):
                self._town.puzzled(self.citizen.citizen_id, "POST /v1/me/applications", answer)
                return False
            await self._town.pause(LOOK_SECONDS / 4)
        return False

    async def _withdraw(self, wave: OpenWave) -> bool:
        application_id = (await self._application(wave))["application_id"]
        url = self._town.world.service("registration", f"/v1/me/applications/{PROGRAMME}/{wave.number}")
        answer = await self._town.call("DELETE", url, None, self.citizen.token)
        if answer.ok or answer.code == "not-applied":
            self._acknowledge("withdrawn", application_id=application_id, wave=wave.number)
            return True
        return False

    async def _application(self, wave: OpenWave) -> dict[str, Any]:
        """The latest application to a wave, as the citizen sees it."""
        me = await self._ask("GET", "registration", "/v1/me")
        found: list[dict[str, Any]] = [one for one in me["applications"] if one["wave"] == wave.number]
        if not found:  # acknowledged, and not shown: the only page that may never forget it
            self._town.disowned.append(f"{self.citizen.citizen_id}: no application to wave {wave.number} is shown")
            raise Over
        return found[-1]

    # -- as a member -------------------------------------------------------------------------------------------------

    async def _learn_and_earn(self) -> None:
        told = await self._buy()
        diligence = "drops-out" if self._random.random() < DROPOUT_SHARE else "finishes"
        learner = {"redeem_code": told["redeem_code"], "diligence": diligence}
        await self._town.done("POST", self._town.world.simulator("partner", "/learners"), [learner])
        await self._link()
        rating = {"enrolment_id": told["enrolment_id"], "stars": 5, "review": "Materinya berguna."}
        await self._ask(
            "POST", "training", "/v1/me/ratings", rating, landed=("already-rated",), later=("not-completed",)
        )
        self._acknowledge("rated", enrolment_id=told["enrolment_id"])
        for number in range(1, SURVEYS + 1):
            body = {"programme": PROGRAMME, "answers": {"working": "yes"}}
            waiting = ("first-incentive-not-paid", "not-a-member")
            await self._ask("POST", "disbursement", f"/v1/me/surveys/{number}", body, later=waiting)
            self._acknowledge("survey-answered", number=number)

    async def _buy(self) -> dict[str, Any]:
        """A seat in the next session; the news of being a member may still be on its way to training."""
        while True:
            session = await self._next_session()
            purchase_id = ids.derive("chaos purchase", self._town.seed, self.citizen.citizen_id, session.course_id)
            url = self._town.world.service("training", "/v1/me/purchases")
            body = {"course_id": session.course_id, "purchase_id": purchase_id}
            answer = await self._town.call("POST", url, body, self.citizen.token)
            if answer.ok:
                told: dict[str, Any] = answer.body
                self.citizen.enrolment_id = told["enrolment_id"]
                self._acknowledge("bought", enrolment_id=told["enrolment_id"])
                return told
            if answer.code not in ("not-a-member", "course-started"):
                self._town.puzzled(self.citizen.citizen_id, "POST /v1/me/purchases", answer)
            await self._town.pause()

    async def _next_session(self) -> Session:
        while True:
            soon = self._town.now() + LEAD
            for session in self._board.sessions:
                if session.starts_at > soon:
                    return session
            await self._town.pause()

    async def _link(self) -> None:
        """Make the account exist at its rail, for some with a fault, and link it."""
        town, person = self._town, self._person
        kinds: Sequence[str] = TROUBLES[person.rail]
        troubled = self._random.random() < TROUBLE_SHARE
        account = {
            "account": person.account,
            "nik": person.nik,
            "behaviour": self._random.choice(kinds) if troubled else "good",
        }
        bank = person.rail is Rail.BANK
        account |= {"name": person.name} if bank else {}
        await town.done("POST", town.world.simulator("bank" if bank else "ewallet", "/accounts"), [account])
        while True:
            sealed = await self._ask("POST", "registration", "/v1/me/identity-token", {"audience": "disbursement"})
            body = {
                "rail": person.rail,
                "provider": person.provider,
                "account_number": person.account,
                "identity_token": sealed["identity_token"],
            }
            url = town.world.service("disbursement", "/v1/me/account")
            answer = await town.call("POST", url, body, self.citizen.token)
            if answer.ok:
                self._acknowledge("account-linked")
                return
            # A sealed identity lives for minutes of programme time, which an outage outlasts.
            if answer.code != "identity-token-expired":
                town.puzzled(self.citizen.citizen_id, "POST /v1/me/account", answer)
            await town.pause()

    async def _ask(self, method: str, service: str, path: str, body: Any = None, **how: Any) -> Any:
        url = self._town.world.service(service, path)
        return await self._town.done(method, url, body, self.citizen.token, **how)

    def _acknowledge(self, kind: str, **facts: Any) -> None:
        self._town.world.history.add(kind, citizen_id=self.citizen.citizen_id, **facts)
