"""Synthetic people, the same for the same seed: who they are, how far they come, and what they get wrong.

Nobody here exists. A NIK is built as the real one is (place of first issue, birth date with 40 added to a woman's day,
serial), so one in ten was issued elsewhere than where its owner lives now. Everything personal of the replay is made in
this module, so `secrets_of` can tell the checks exactly what must never appear on the bus, in a log or in a metric.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from random import Random
from typing import Any, Final, TypeVar

from deploy.demo import figures
from deploy.demo.figures import Figures, Province

T = TypeVar("T")

GIVEN, FAMILY = figures.names("given"), figures.names("family")

E_MAIL_HOST: Final = "posmaya.invalid"  # reserved: no message can ever leave (RFC 2606)
PREFIXES: Final = ("0811", "0812", "0813", "0821", "0852", "0857", "0877", "0896")
FIRST_DAY: Final = date(2020, 4, 11)
OCCUPATIONS: Final = ("job-seeker", "laid-off", "furloughed", "worker", "micro-business")


class Reach(StrEnum):
    """How far a person comes before a wave."""

    REGISTERED = "registered"  # never confirms the e-mail
    CONFIRMED = "confirmed"  # never sends the identity
    MISTYPED = "mistyped"  # sends it with a typing error and gives up
    VERIFIED = "verified"


class Rail(StrEnum):
    BANK = "bank"
    E_WALLET = "e-wallet"


PROVIDERS: Final = (("bni", Rail.BANK), ("ovo", Rail.E_WALLET), ("linkaja", Rail.E_WALLET), ("gopay", Rail.E_WALLET))


@dataclass(frozen=True, slots=True)
class Person:
    """One synthetic person. `mistypes` names the field of a first, wrong attempt; empty where there is none."""

    number: int
    wave: int
    reach: Reach
    nik: str
    kk: str
    name: str
    birth_date: date
    phone: str
    email: str
    province: str
    occupation: str
    in_education: bool
    blacklisted: bool
    other_aid: bool
    laid_off_listed: bool
    mistypes: str
    provider: str
    rail: Rail
    account: str

    @property
    def barred(self) -> bool:
        """Whether the eligibility rules of 2020 bar this person before any draw."""
        return self.in_education or self.occupation == "barred-office"

    @property
    def excluded(self) -> bool:
        """Whether the outside checks bar this person in the draw."""
        return self.blacklisted or self.other_aid

    def registry_entry(self) -> dict[str, Any]:
        """What the civil registry knows about this person."""
        return {
            "nik": self.nik,
            "kk": self.kk,
            "name": self.name,
            "birth_date": self.birth_date.isoformat(),
            "alive": True,
            "blacklisted": self.blacklisted,
            "other_aid": self.other_aid,
            "laid_off_listed": self.laid_off_listed,
        }

    def identity(self, typed_right: bool) -> dict[str, Any]:
        """The identity form as this person fills it in."""
        form: dict[str, Any] = {
            "nik": self.nik,
            "kk": self.kk,
            "name": self.name,
            "birth_date": self.birth_date.isoformat(),
            "province": self.province,
            "occupation": self.occupation,
            "in_education": self.in_education,
            "statement": True,
        }
        if not typed_right:
            form[self.mistypes] = _mistyped(self.mistypes, form[self.mistypes])
        return form


def _mistyped(field: str, value: str) -> str:
    if field == "name":
        return value[:-1]
    if field == "birth_date":
        return (date.fromisoformat(value) + timedelta(days=1)).isoformat()
    return value[:-2] + value[-1] + value[-2] if value[-1] != value[-2] else value[:-1] + str((int(value[-1]) + 1) % 10)


def make(told: Figures, seed: str) -> list[Person]:
    """Everybody who will ever register in a replay, in the order in which they come."""
    random = Random(f"gelombang demo {seed}")
    people: list[Person] = []
    taken: set[str] = set()
    codes = [province.code for province in told.provinces]
    shares = [province.share for province in told.provinces]
    mistyped = figures.largest_remainder(told.mistyped, [stage.confirmed for stage in told.arrivals.values()])
    for (wave, stage), wrong in zip(told.arrivals.items(), mistyped, strict=True):
        reaches = _reaches(stage, wrong)
        random.shuffle(reaches)
        homes = random.choices(codes, shares, k=len(reaches))
        repaired = wrong
        for reach, home in zip(reaches, homes, strict=True):
            typo = reach is Reach.MISTYPED or (reach is Reach.VERIFIED and repaired > 0)
            repaired -= typo and reach is Reach.VERIFIED
            people.append(_person(random, told, len(people), wave, reach, home, codes, taken, typo))
    return _families(random, people)


def _reaches(stage: figures.Stage, wrong: int) -> list[Reach]:
    return (
        [Reach.VERIFIED] * stage.verified
        + [Reach.MISTYPED] * min(wrong, stage.confirmed - stage.verified)
        + [Reach.CONFIRMED] * max(stage.confirmed - stage.verified - wrong, 0)
        + [Reach.REGISTERED] * (stage.registered - stage.confirmed)
    )


def _person(
    random: Random,
    told: Figures,
    number: int,
    wave: int,
    reach: Reach,
    home: str,
    codes: Sequence[str],
    taken: set[str],
    typo: bool,
) -> Person:
    birth_date = FIRST_DAY - timedelta(days=random.randint(18 * 366, 60 * 365))
    nik = _numbered(random, taken, _nik_stem(random, home, codes, birth_date))
    given, family = random.choice(GIVEN), random.choice(FAMILY)
    listed, barred = random.random() < told.priority_share, random.random() < figures.BARRED_SHARE
    provider, rail = PROVIDERS[number % len(PROVIDERS)]
    phone = _phone(number)
    return Person(
        number=number,
        wave=wave,
        reach=reach,
        nik=nik,
        kk=_numbered(random, taken, f"{home}{random.randint(1, 30):02}{random.randint(1, 20):02}010110"),
        name=f"{given} {family}",
        birth_date=birth_date,
        phone=phone,
        email=f"{given.lower()}.{family.lower()}.{number}@{E_MAIL_HOST}",
        province=home,
        occupation="laid-off" if listed else _occupation(random, barred),
        in_education=not listed and barred and random.random() < 0.5,
        blacklisted=random.random() < figures.BLACKLISTED_SHARE,
        other_aid=random.random() < figures.OTHER_AID_SHARE,
        laid_off_listed=listed,
        mistypes=("kk", "name", "birth_date", "nik")[number % 4] if typo else "",
        provider=provider,
        rail=rail,
        account=_bank_account(number) if rail is Rail.BANK else phone,
    )


def _nik_stem(random: Random, home: str, codes: Sequence[str], born: date) -> str:
    issued = home if random.random() < 0.9 else random.choice(codes)
    day = born.day + 40 * random.randint(0, 1)
    return f"{issued}{random.randint(1, 30):02}{random.randint(1, 20):02}{day:02}{born:%m%y}"


def _numbered(random: Random, taken: set[str], stem: str) -> str:
    """`stem` and a free serial of four digits."""
    serial = random.randint(1, 9999)
    while (number := f"{stem}{serial:04}") in taken:
        serial = serial % 9999 + 1
    taken.add(number)
    return number


def _phone(number: int) -> str:
    # A fixed odd multiplier walks through all eight-digit numbers once, so that no two people share a phone.
    return f"{PREFIXES[number % len(PREFIXES)]}{(number * 37_412_347 + 20_201_411) % 10**8:08}"


def _bank_account(number: int) -> str:
    # Twelve digits: longer than any amount of the replay, so that the scan for accounts never meets one by chance.
    return f"88{(number * 3_141_592_653 + 1_618_033_989) % 10**10:010}"


def _occupation(random: Random, barred: bool) -> str:
    return "barred-office" if barred and random.random() < 0.5 else random.choice(OCCUPATIONS)


def _families(random: Random, people: list[Person]) -> list[Person]:
    """Let some of those who verify share a family card, and a province with it."""
    verified = [person.number for person in people if person.reach is Reach.VERIFIED]
    random.shuffle(verified)
    pairs = int(len(verified) * figures.PAIR_SHARE) // 2
    triples = int(len(verified) * figures.TRIPLE_SHARE) // 3
    sizes = [2] * pairs + [3] * triples
    start = 0
    for size in sizes:
        head, *rest = verified[start : start + size]
        start += size
        for number in rest:
            people[number] = replace(people[number], kk=people[head].kk, province=people[head].province)
    return people


def split_evenly(items: Iterable[T], share: float) -> tuple[list[T], list[T]]:
    """Take `share` of the items, evenly spaced, so that even small groups keep to a published share. (taken, others)"""
    taken: list[T] = []
    others: list[T] = []
    due = 0.5
    for item in items:
        due += share
        if due >= 1:
            due -= 1
            taken.append(item)
        else:
            others.append(item)
    return taken, others


def province_names(provinces: Iterable[Province]) -> dict[str, str]:
    return {province.code: province.name for province in provinces}


def secrets_of(people: Iterable[Person]) -> tuple[set[str], set[str]]:
    """What must never leave the identity store: (numbers as bare digits, words of names and e-mails in lower case)."""
    numbers: set[str] = set()
    words: set[str] = {E_MAIL_HOST.split(".")[0]}
    for person in people:
        # The significant digits of a phone: every way of writing it (08.., 62 8.., +62 8..) ends with them.
        numbers.update((person.nik, person.kk, person.phone[1:], person.account.removeprefix("0")))
        words.update(person.name.lower().split())
    return numbers, words
