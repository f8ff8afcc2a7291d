"""The scan finds anything personal in every notation, and nothing where there is nothing."""

import hashlib
import json
import os

import pytest

from deploy.demo import figures, population
from deploy.demo.population import Person, Rail
from deploy.demo.scan import PersonalScan, ScanBeside

PEOPLE = population.make(figures.load(10_000), "2020")
SOMEBODY = next(person for person in PEOPLE if person.rail is Rail.BANK)


def seen(text: str | bytes) -> set[str]:
    scan = PersonalScan(PEOPLE)
    scan.feed("here", text if isinstance(text, bytes) else text.encode())
    return {kind for _, kind in scan.findings}


@pytest.mark.parametrize("wrap", ['{{"nik":"{}"}}', "nik={}", "x{}y", "00{}", "{}17"])
def test_a_nik_or_a_family_card_is_found_wherever_it_stands(wrap: str) -> None:
    assert seen(wrap.format(SOMEBODY.nik)) == {"NIK or KK"}
    assert seen(wrap.format(SOMEBODY.kk)) == {"NIK or KK"}


@pytest.mark.parametrize("prefix", ["0", "62", "+62", ""])
def test_a_phone_is_found_however_it_is_written(prefix: str) -> None:
    assert seen(f'"to": "{prefix}{SOMEBODY.phone[1:]}"') == {"phone or account"}


def test_an_account_is_found() -> None:
    assert seen(f"<IBAN>{SOMEBODY.account}</IBAN>") == {"phone or account"}


def test_a_name_is_found_in_any_case_and_also_alone() -> None:
    assert seen(SOMEBODY.name) == {"name or e-mail"}
    assert seen(SOMEBODY.name.upper()) == {"name or e-mail"}
    assert seen(f"no such person: {SOMEBODY.name.split()[0]}!") == {"name or e-mail"}


def test_an_e_mail_is_found() -> None:
    assert "name or e-mail" in seen(f"mail to {SOMEBODY.email}")


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
def test_a_plain_hash_of_a_nik_is_found(algorithm: str) -> None:
    digest = hashlib.new(algorithm, SOMEBODY.nik.encode()).hexdigest()
    assert seen(f'"household_id":"{digest}"') == {"plain hash of a NIK"}


def test_events_full_of_random_ids_hold_nothing_personal() -> None:
    events = [
        {"id": os.urandom(16).hex(), "ticket": os.urandom(32).hex(), "sequence": f"{number:016}", "rupiah": number * 50}
        for number in range(5_000)
    ]
    assert seen("\n".join(map(json.dumps, events))) == set()


def test_a_finding_says_where_and_never_what() -> None:
    scan = PersonalScan(PEOPLE)
    scan.feed("log training.log", f"failed for {SOMEBODY.nik} {SOMEBODY.name}".encode())
    told = repr(scan.findings)
    assert "log training.log" in told
    assert SOMEBODY.nik not in told
    assert not any(word in told for word in SOMEBODY.name.split())


def test_counts_what_it_has_looked_at() -> None:
    scan = PersonalScan([])
    scan.feed("a", b"12345")
    scan.feed("b", b"678")
    assert scan.scanned_bytes == 8


def test_a_person_who_is_not_of_this_replay_is_none_of_its_business() -> None:
    stranger: Person = population.make(figures.load(10_000), "another")[5]
    assert "NIK or KK" not in seen(stranger.nik)


async def test_a_scan_in_another_process_finds_the_same() -> None:
    with ScanBeside(PEOPLE) as scan:
        scan.feed("topic", f"{SOMEBODY.nik} and {SOMEBODY.email}".encode())
        scan.feed("log", b"nothing")
        found, scanned_bytes = await scan.found()
    here = PersonalScan(PEOPLE)
    here.feed("topic", f"{SOMEBODY.nik} and {SOMEBODY.email}".encode())
    assert found == here.findings
    assert found
    assert scanned_bytes == here.scanned_bytes + len(b"nothing")


async def test_a_scan_that_breaks_says_so() -> None:
    with ScanBeside(PEOPLE) as scan:
        scan.feed("log", "not bytes")  # type: ignore[arg-type]
        with pytest.raises((AttributeError, TypeError)):
            await scan.found()
