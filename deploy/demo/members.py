"""What members do once they are drawn: buy, learn, rate, link an account, answer surveys, repair what failed.

Who buys, finishes and gets into trouble follows the published shares, evenly spaced over the winners of each wave, so a
small replay keeps to them as closely as a large one.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploy.demo.citizens import Citizen
from deploy.demo.client import Answer, Unexpected, each
from deploy.demo.figures import PROGRAMME, Figures
from deploy.demo.population import Rail, split_evenly
from deploy.demo.world import World
from libs.events import ids

SURVEYS: Final = 3
STARS: Final = (5, 4, 5, 3, 5, 4)
TROUBLES: Final = {
    # Shown when the account is linked (the first two), when money is sent, or when it comes back.
    Rail.BANK: ("identity-mismatch", "closed", "closed-until-repaired", "returns"),
    Rail.E_WALLET: (
        "not-verified-until-repaired",
        "wallet-full-until-repaired",
        "limit-exceeded-until-repaired",
        "phone-changed-until-repaired",
    ),
}
LINKED_WRONG: Final = frozenset({"identity-mismatch", "closed", "returns"})
"""Troubles that only another, sound account ends; the others end at the rail itself."""

FAILURES: Final = frozenset({"incentive-failed", "incentive-returned"})


@dataclass(slots=True)
class Trouble:
    """Somebody whose account does not take money yet. `repairs`: whether they ever see to it."""

    citizen: Citizen
    behaviour: str
    repairs: bool


class Members:
    """Everybody who was drawn."""

    def __init__(self, world: World, figures: Figures, seed: str) -> None:
        self._world = world
        self._figures = figures
        self._seed = seed
        self.stages: Counter[str] = Counter()
        self.bought: Counter[int] = Counter()  # by wave
        self.refusals: Counter[str] = Counter()
        self._to_rate: list[Citizen] = []
        self._to_link: list[Citizen] = []
        self._surveys: deque[tuple[Citizen, int]] = deque()
        self._newly_linked: list[Citizen] = []  # nobody of these can have been paid yet
        self._troubles: list[Trouble] = []
        self.reasons: Counter[str] = Counter()

    async def buy(self, winners: Sequence[Citizen], wave: int, courses: Sequence[str]) -> None:
        """Spend learning credit on a course each, but for those who forfeit; hand the redeem code to the partner."""
        forfeiting, buying = split_evenly(winners, self._figures.revoked_share[wave])
        self.stages["selected"] += len(winners)
        self.stages["forfeiting"] += len(forfeiting)
        finishing, quitting = split_evenly(buying, self._figures.finished_share)
        finishes = {citizen.person.number for citizen in finishing}
        learners: list[dict[str, str]] = []

        async def one(citizen: Citizen) -> None:
            told = await self._purchase(citizen, courses)
            citizen.enrolment_id = told["enrolment_id"]
            number = citizen.person.number
            quits = "drops-out" if number % 2 else "never-redeems"
            diligence = "finishes" if number in finishes else quits
            learners.append({"redeem_code": told["redeem_code"], "diligence": diligence})
            self._world.history.add(
                "bought", enrolment_id=citizen.enrolment_id, citizen_id=citizen.citizen_id, wave=wave
            )

        self._world.show(f"{len(buying):,} members of wave {wave} buy a course")
        await each(buying, one)
        if learners:
            await self._world.client.post(self._world.simulator("partner", "/learners"), learners)
        self.bought[wave] += len(buying)
        self.stages["quit"] += len(quitting)
        self._to_rate += finishing

    async def _purchase(self, citizen: Citizen, courses: Sequence[str]) -> Any:
        """The first course that still has a seat, starting from one's own favourite."""
        url = self._world.service("training", "/v1/me/purchases")
        first = citizen.person.number % len(courses)
        for course_id in (*courses[first:], *courses[:first]):
            purchase_id = ids.derive("demo purchase", self._seed, citizen.citizen_id, course_id)
            answer = await self._call("POST", url, {"course_id": course_id, "purchase_id": purchase_id}, citizen)
            if answer.ok:
                return answer.body
            if answer.code != "no-seats-left":
                break
            self.refusals[answer.code] += 1
        raise Unexpected("POST", url, answer)

    async def rate(self) -> None:
        """Rate the finished course; whose certificate is not there yet tries again later."""
        due, self._to_rate = self._to_rate, []
        url = self._world.service("training", "/v1/me/ratings")
        rated: list[Citizen] = []

        async def one(citizen: Citizen) -> None:
            stars = STARS[citizen.person.number % len(STARS)]
            body = {"enrolment_id": citizen.enrolment_id, "stars": stars, "review": "Materinya berguna."}
            answer = await self._call("POST", url, body, citizen)
            if answer.ok or (answer.repeated and answer.code == "already-rated"):
                self._world.history.add("rated", enrolment_id=citizen.enrolment_id, citizen_id=citizen.citizen_id)
                rated.append(citizen)
            elif answer.code == "not-completed":
                self._to_rate.append(citizen)
            else:
                raise Unexpected("POST", url, answer)

        await each(due, one)
        self.stages["finished"] += len(rated)
        rated.sort(key=lambda citizen: citizen.person.number)
        await self._link_first(rated)

    # -- accounts ------------------------------------------------------------------------------------------------

    async def _link_first(self, citizens: Sequence[Citizen]) -> None:
        """Open an account in the world and link it; for a published share something is wrong with it."""
        troubled, sound = split_evenly(citizens, self._figures.trouble_share)
        never, _ = split_evenly(troubled, self._figures.unpaid_share / self._figures.trouble_share)
        idle = {citizen.person.number for citizen in never}
        behaviours = [(citizen, "good") for citizen in sound]
        for citizen in troubled:
            kinds = TROUBLES[citizen.person.rail]
            behaviour = kinds[self.stages["troubled"] % len(kinds)]
            self.stages["troubled"] += 1
            self.reasons[behaviour.removesuffix("-until-repaired")] += 1
            self._troubles.append(Trouble(citizen, behaviour, citizen.person.number not in idle))
            behaviours.append((citizen, behaviour))
        await self._load_accounts(behaviours)
        self._world.show(f"{len(citizens):,} members link an account")
        await each(citizens, self._link)
        self._newly_linked += citizens

    async def _load_accounts(self, behaviours: Sequence[tuple[Citizen, str]]) -> None:
        """Make the accounts exist at their rails; they belong to the people who will link them."""
        for rail, simulator in ((Rail.BANK, "bank"), (Rail.E_WALLET, "ewallet")):
            accounts = []
            for citizen, behaviour in behaviours:
                person = citizen.person
                if person.rail is rail:
                    account = {"account": person.account, "nik": person.nik, "behaviour": behaviour}
                    accounts.append(account | ({"name": person.name} if rail is Rail.BANK else {}))
            if accounts:
                await self._world.client.post(self._world.simulator(simulator, "/accounts"), accounts)

    async def _link(self, citizen: Citizen) -> None:
        """Carry a sealed identity from registration to disbursement, with the account."""
        person = citizen.person
        asked = self._world.service("registration", "/v1/me/identity-token")
        sealed = await self._world.client.post(asked, {"audience": "disbursement"}, citizen.token)
        body = {
            "rail": person.rail,
            "provider": person.provider,
            "account_number": person.account,
            "identity_token": sealed["identity_token"],
        }
        await self._world.client.post(self._world.service("disbursement", "/v1/me/account"), body, citizen.token)
        self._world.history.add("account-linked", citizen_id=citizen.citizen_id)

    async def repair(self) -> None:
        """Those who see that their money did not come, and why, do what the reason asks for."""
        standing, self._troubles = self._troubles, []
        mending: list[Trouble] = []

        async def look(trouble: Trouble) -> None:
            wrong = trouble.repairs and await self._has_failed(trouble.citizen)
            (mending if wrong else self._troubles).append(trouble)

        await each(standing, look)
        if not mending:
            return
        self._world.show(f"{len(mending):,} members repair the account their money did not reach")
        relinking = [trouble.citizen for trouble in mending if trouble.behaviour in LINKED_WRONG]
        await self._load_accounts([(citizen, "good") for citizen in relinking])
        await each(relinking, self._link)
        for rail, simulator in ((Rail.BANK, "bank"), (Rail.E_WALLET, "ewallet")):
            mended = [
                {"account": trouble.citizen.person.account}
                for trouble in mending
                if trouble.behaviour not in LINKED_WRONG and trouble.citizen.person.rail is rail
            ]
            if mended:
                await self._world.client.post(self._world.simulator(simulator, "/repairs"), mended)
        self.stages["repaired"] += len(mending)

    async def _has_failed(self, citizen: Citizen) -> bool:
        """Whether the linked account was refused, or the citizen's own timeline tells of money that did not stay."""
        account = await self._world.client.get(self._world.service("disbursement", "/v1/me/account"), citizen.token)
        if account["state"] not in ("valid", "checking"):
            return True
        timeline = await self._world.client.get(self._world.service("registration", "/v1/me/timeline"), citizen.token)
        return any(entry["what"] in FAILURES for entry in timeline)

    # -- surveys -------------------------------------------------------------------------------------------------

    async def answer_surveys(self) -> None:
        """Answer the next survey; whoever has not been paid the first incentive yet is told so and waits."""
        due, self._surveys = list(self._surveys), deque()

        async def one(entry: tuple[Citizen, int]) -> None:
            citizen, number = entry
            url = self._world.service("disbursement", f"/v1/me/surveys/{number}")
            body = {"programme": PROGRAMME, "answers": {"working": "yes" if citizen.person.number % 3 else "no"}}
            answer = await self._call("POST", url, body, citizen)
            if answer.ok:
                self._world.history.add("survey-answered", citizen_id=citizen.citizen_id, number=number)
                self.stages["surveys"] += 1
                if number < SURVEYS:
                    self._surveys.append((citizen, number + 1))
            elif answer.status == 409:
                self.refusals[answer.code] += 1
                self._surveys.append(entry)
            else:
                raise Unexpected("POST", url, answer)

        if due:
            self._world.show(f"{len(due):,} members answer a survey")
        await each(due, one)
        self._surveys += [(citizen, 1) for citizen in self._newly_linked]
        self._newly_linked = []

    async def _call(self, method: str, url: str, body: Any, citizen: Citizen) -> Answer:
        return await self._world.client.call(method, url, body, citizen.token)
