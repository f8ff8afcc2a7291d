"""How people come in: register, confirm, state who they are, join a wave, withdraw, and learn what became of it.

Everything goes over the public API, one request per person and step, as from so many phones. What a service has
acknowledged is added to the outside history; what it refused is counted by its code.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from deploy.demo.client import PATIENCE_SECONDS, Answer, Unexpected, each
from deploy.demo.figures import PROGRAMME, WITHDRAW_SHARE, Figures
from deploy.demo.population import Person, Reach, split_evenly
from deploy.demo.world import World
from libs.events import ids

HOUSEHOLD_CAP: Final = 2
PAGE: Final = 10_000
TRIES_TOLD: Final = 3
LOOK_SECONDS: Final = 0.2
_CODE = re.compile(r"(\d{6})\D*$")


@dataclass(slots=True)
class Citizen:
    """A person and what the programme has told them so far."""

    person: Person
    registration_id: str
    citizen_id: str = ""
    token: str = ""
    typed_right: bool = True
    applications: dict[int, str] = field(default_factory=dict)
    won: int = 0
    enrolment_id: str = ""


class Crowd:
    """All people of the replay."""

    def __init__(self, world: World, figures: Figures, people: Iterable[Person], seed: str) -> None:
        self._world = world
        self._figures = figures
        self.citizens = [
            Citizen(person, ids.derive("demo registration", seed, str(person.number)), typed_right=not person.mistypes)
            for person in people
        ]
        self.refusals: Counter[str] = Counter()
        self.stages: Counter[str] = Counter()
        self._codes: dict[str, str] = {}
        self._cursor = 0
        self._fresh: list[Citizen] = []  # verified, never joined
        self._wrong: list[Citizen] = []  # mistyped their identity and will repair it
        self._returning: list[Citizen] = []  # joined, not drawn
        self._waiting: list[tuple[Citizen, int]] = []  # wanted to join while the identity was still being checked
        self._by_application: dict[str, Citizen] = {}
        self._winners_of_family: Counter[str] = Counter()

    # -- the account ---------------------------------------------------------------------------------------------

    def arriving(self, wave: int) -> list[Citizen]:
        """Those who register for this wave."""
        return [citizen for citizen in self.citizens if citizen.person.wave == wave]

    async def introduce(self, citizens: Sequence[Citizen]) -> None:
        """Let the civil registry know the people who will state an identity: in the world they are born there."""
        entries = [citizen.person.registry_entry() for citizen in citizens if citizen.person.reach in STATING]
        for start in range(0, len(entries), PAGE):
            await self._world.client.post(
                self._world.simulator("civil-registry", "/people"), entries[start : start + PAGE]
            )

    async def register(self, citizens: Sequence[Citizen]) -> None:
        """Open an account with e-mail and phone."""
        url = self._world.service("registration", "/v1/registrations")

        async def one(citizen: Citizen) -> None:
            person = citizen.person
            body = {"registration_id": citizen.registration_id, "email": person.email, "phone": person.phone}
            told = await self._world.client.post(url, body)
            citizen.citizen_id, citizen.token = told["citizen_id"], told["token"]
            self._world.history.add("registered", citizen_id=citizen.citizen_id)

        self._world.show(f"{len(citizens):,} people register")
        await each(citizens, one)
        self.stages["registered"] += len(citizens)

    async def confirm(self, citizens: Sequence[Citizen]) -> None:
        """Confirm the e-mail with the code that came, and state the identity: some with a typing error."""
        confirming = [citizen for citizen in citizens if citizen.person.reach is not Reach.REGISTERED]
        await self._codes_of(confirming)
        url = self._world.service("registration", "/v1/me/email-confirmation")

        async def one(citizen: Citizen) -> None:
            answer = await self._call("POST", url, {"code": self._codes[citizen.person.email]}, citizen)
            if not answer.ok and not answer.repeated:
                raise Unexpected("POST", url, answer)
            self._world.history.add("confirmed", citizen_id=citizen.citizen_id)
            if citizen.person.reach in STATING:
                await self._state(citizen)

        self._world.show(f"{len(confirming):,} people confirm their e-mail and state who they are")
        await each(confirming, one)
        self.stages["confirmed"] += len(confirming)
        able = [citizen for citizen in confirming if citizen.person.reach is Reach.VERIFIED]
        self._fresh += able
        self._wrong += [citizen for citizen in able if not citizen.typed_right]

    async def correct(self) -> None:
        """Those who mistyped and care to repair it send the identity again, right this time."""
        wrong, self._wrong = self._wrong, []

        async def one(citizen: Citizen) -> None:
            citizen.typed_right = True
            await self._state(citizen)

        if wrong:
            self._world.show(f"{len(wrong):,} people correct a typing error")
        await each(wrong, one)
        self.stages["corrected"] += len(wrong)

    async def _state(self, citizen: Citizen) -> None:
        url = self._world.service("registration", "/v1/me/identity")
        answer = await self._call("POST", url, citizen.person.identity(citizen.typed_right), citizen)
        if answer.ok or answer.repeated:
            self._world.history.add("identity-stated", citizen_id=citizen.citizen_id)
            self.stages["verified"] += citizen.typed_right  # the registry knows everybody by the right data
        elif answer.status == 409:
            self.refusals[answer.code] += 1
        else:
            raise Unexpected("POST", url, answer)

    async def _codes_of(self, citizens: Sequence[Citizen]) -> None:
        """Wait until everybody has a code: where the gateway was away, registration sends again. Raises LookupError."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        await self.read_messages()
        while missing := sum(citizen.person.email not in self._codes for citizen in citizens):
            if time.monotonic() > deadline:
                raise LookupError(f"{missing} confirmation e-mails have not come; see the log of registration")
            await asyncio.sleep(LOOK_SECONDS)
            await self.read_messages()

    async def read_messages(self) -> None:
        """Fetch what reached all inboxes since the last time; the newest code of each counts."""
        while True:
            url = self._world.simulator("messages", f"/v1/inboxes?after={self._cursor}&limit={PAGE}")
            page = await self._world.client.get(url)
            for message in page["messages"]:
                if found := _CODE.search(message["text"]):
                    self._codes[message["to"]] = found[1]
            self._cursor = page["cursor"]
            if len(page["messages"]) < PAGE:
                return

    # -- the wave ------------------------------------------------------------------------------------------------

    async def join(self, wave: int) -> None:
        """Fill the wave to its number of applicants: those not drawn before come first, then those who never joined."""
        target = self._figures.applicants[wave]
        # Whoever could not join before the last wave closed has still never joined.
        self._fresh = [citizen for citizen, _ in self._waiting] + self._fresh
        self._waiting = []
        hopeful = [citizen for citizen in self._returning if not self._hopeless(citizen)]
        back, staying = split_evenly(hopeful, min(1, target / len(hopeful))) if hopeful else ([], [])
        barred = [citizen for citizen in self._fresh if citizen.person.barred]
        able = [citizen for citizen in self._fresh if not citizen.person.barred]
        new = able[: max(target - len(back), 0)]
        self._returning, self._fresh = staying, able[len(new) :]
        self._world.show(f"{len(back) + len(new) + len(barred):,} people join wave {wave}")
        await each([*back, *new, *barred], lambda citizen: self._join(citizen, wave))

    @property
    def someone_waits(self) -> bool:
        """Whether anybody could not join yet because the identity was still being checked."""
        return bool(self._waiting)

    async def join_late(self) -> None:
        """Those whose identity was still being checked try again."""
        waiting, self._waiting = self._waiting, []
        await each(waiting, lambda late: self._join(*late))

    async def _join(self, citizen: Citizen, wave: int) -> None:
        url = self._world.service("registration", "/v1/me/applications")
        answer = await self._call("POST", url, {"programme": PROGRAMME, "wave": wave}, citizen)
        if answer.ok:
            self._joined(citizen, wave, answer.body["application_id"])
        elif answer.code == "already-applied" and answer.repeated:
            me = await self._me(citizen)
            standing = [one["application_id"] for one in me["applications"] if one["wave"] == wave]
            self._joined(citizen, wave, standing[0])
        elif answer.code == "identity-not-verified":
            self._waiting.append((citizen, wave))
        elif answer.status in (403, 409):
            self.refusals[answer.code] += 1
        else:
            raise Unexpected("POST", url, answer)

    def _joined(self, citizen: Citizen, wave: int, application_id: str) -> None:
        self.stages["first joined"] += not citizen.applications
        citizen.applications[wave] = application_id
        self._by_application[application_id] = citizen
        self._world.history.add("joined", application_id=application_id, citizen_id=citizen.citizen_id, wave=wave)

    async def withdraw(self, wave: int) -> None:
        """A few think better of it before the wave closes."""
        standing = [citizen for citizen in self.citizens if wave in citizen.applications]
        leaving, _ = split_evenly(standing, WITHDRAW_SHARE)
        url = self._world.service("registration", f"/v1/me/applications/{PROGRAMME}/{wave}")

        async def one(citizen: Citizen) -> None:
            answer = await self._call("DELETE", url, None, citizen)
            if not answer.ok and not answer.repeated:
                raise Unexpected("DELETE", url, answer)
            application_id = citizen.applications.pop(wave)
            self._world.history.add(
                "withdrawn", application_id=application_id, citizen_id=citizen.citizen_id, wave=wave
            )
            self._returning.append(citizen)

        await each(leaving, one)

    def learn(self, wave: int, bundle: bytes) -> list[Citizen]:
        """Read the published draw, as every applicant can. Returns the winners in the order of their numbers."""
        won = winners_of(bundle)
        winners = []
        for citizen in self.citizens:
            application_id = citizen.applications.get(wave)
            if application_id in won:
                citizen.won = wave
                winners.append(citizen)
                self._winners_of_family[citizen.person.kk] += 1
            elif application_id:
                self._returning.append(citizen)
        return winners

    def _hopeless(self, citizen: Citizen) -> bool:
        """Whether the reason they were given says that joining again is of no use."""
        return citizen.person.excluded or self._winners_of_family[citizen.person.kk] >= HOUSEHOLD_CAP

    # -- talking -------------------------------------------------------------------------------------------------

    async def _me(self, citizen: Citizen) -> Any:
        answer = await self._call("GET", self._world.service("registration", "/v1/me"), None, citizen)
        return answer.body

    async def _call(self, method: str, url: str, body: Any, citizen: Citizen) -> Answer:
        return await self._world.client.call(method, url, body, citizen.token)

    async def outlook(self, citizens: Sequence[Citizen]) -> dict[str, Any]:
        """What citizens see of their own applications: application id to state."""
        seen: dict[str, Any] = {}

        async def one(citizen: Citizen) -> None:
            me = await self._me(citizen)
            seen.update({entry["application_id"]: entry["state"] for entry in me["applications"]})

        await each(citizens, one)
        return seen

    async def story(self) -> list[dict[str, Any]]:
        """The timeline of one member, as that member sees it: of those drawn after several tries, the first."""
        members = [citizen for citizen in self.citizens if citizen.enrolment_id]
        if not members:
            return []
        told = max(members, key=lambda citizen: (len(citizen.applications) == TRIES_TOLD, -citizen.person.number))
        answer = await self._call("GET", self._world.service("registration", "/v1/me/timeline"), None, told)
        return list(answer.body)


STATING: Final = frozenset({Reach.MISTYPED, Reach.VERIFIED})
"""Those who come as far as stating an identity."""


def winners_of(bundle: bytes) -> set[str]:
    """The application ids that a published bundle (JSON Lines) names as winners: its `w` lines point at `e` lines."""
    lines = [orjson.loads(line) for line in bundle.splitlines()]
    entries = {line[1]: line[2] for line in lines if isinstance(line, list) and line[0] == "e"}
    return {entries[line[1]] for line in lines if isinstance(line, list) and line[0] == "w"}
