"""Officials add secrets to the randomness of a wave: what is taken, until when, and the seed it makes."""

import json
from datetime import timedelta
from hashlib import sha256

import pytest

from libs.events.refusal import Refusal
from services.selection.domain.ceremony import (
    LAST_WORD,
    REVEAL_LEAST,
    Official,
    earliest_round,
    open_for_hand_in,
    plan,
    reveal,
    reveals,
    secret_commitment,
    seed_of,
)
from services.selection.domain.wave import State
from tests.reference import draw_by_the_letter as letter
from tests.support import jakarta

COMMITTED, DRAWS, CLOSES = (
    jakarta("2020-04-16 16:01:00"),
    jakarta("2020-04-17 10:00:00"),
    jakarta("2020-04-16 16:00:00"),
)
SECRETS = {office: sha256(office.encode()).digest() for office in ("Ombudsman", "Treasury", "Manpower")}
OFFICIALS = [Official(office, secret_commitment("prakerja-2020", 1, secret)) for office, secret in SECRETS.items()]
ROOT, RANDOMNESS = b"r" * 32, b"b" * 32


def document() -> dict[str, object]:
    planned = plan(OFFICIALS, COMMITTED, DRAWS)
    assert planned
    told = [[official.office, official.secret_commitment.hex()] for official in planned.officials]
    return {"pool": {"root": ROOT.hex()}, "randomness": {"source": "ceremony", "officials": told}}


def seed(*silent: str) -> bytes:
    secrets = {office: secret for office, secret in SECRETS.items() if office not in silent}
    return seed_of(ROOT, RANDOMNESS, document(), json.loads(reveals(document(), secrets, DRAWS)))


def test_a_commitment_to_a_secret_is_good_for_one_wave() -> None:
    secret = SECRETS["Treasury"]
    made = {secret_commitment(*wave, secret) for wave in (("prakerja-2020", 1), ("prakerja-2020", 2), ("prakerja", 1))}
    assert len(made) == 3
    assert secret_commitment("prakerja-2020", 1, secret) == letter.secret_commitment("prakerja-2020", 1, secret)


@pytest.mark.parametrize("state", State)
def test_commitments_are_taken_before_anybody_can_know_the_pool(state: State) -> None:
    refusal = open_for_hand_in(state, CLOSES, CLOSES - timedelta(seconds=1))
    assert (refusal is None) == (state in (State.ANNOUNCED, State.OPEN))
    assert isinstance(open_for_hand_in(state, CLOSES, CLOSES), Refusal)


def test_the_beacon_decides_alone_with_fewer_than_two_officials() -> None:
    assert plan([], COMMITTED, DRAWS) is None
    assert plan(OFFICIALS[:1], COMMITTED, DRAWS) is None
    assert earliest_round(None, DRAWS) == DRAWS


def test_the_last_word_is_ten_minutes_before_the_round_and_an_hour_after_the_commitment() -> None:
    planned = plan(OFFICIALS, COMMITTED, DRAWS)
    assert planned
    assert planned.reveal_until == DRAWS - LAST_WORD
    assert earliest_round(planned, DRAWS) == DRAWS
    late = DRAWS + timedelta(hours=2)
    planned = plan(OFFICIALS, late, DRAWS)
    assert planned
    assert planned.reveal_until == late + REVEAL_LEAST
    assert earliest_round(planned, DRAWS) == planned.reveal_until + LAST_WORD
    assert [official.secret_commitment for official in planned.officials] == sorted(
        official.secret_commitment for official in OFFICIALS
    )


def test_a_secret_is_taken_in_time_from_whoever_committed_to_it() -> None:
    until, official, secret = DRAWS - LAST_WORD, OFFICIALS[0], SECRETS["Ombudsman"]

    def refused(told: Refusal | None) -> str:
        assert told
        return told.code

    wave = ("prakerja-2020", 1, State.COMMITTED, until)
    assert reveal(*wave, official, secret, until) is None
    assert refused(reveal(*wave, official, SECRETS["Treasury"], until)) == "wrong-secret"
    assert refused(reveal(*wave, official, secret, until + timedelta(microseconds=1))) == "no-reveals-now"
    assert refused(reveal(*wave, None, secret, until)) == "not-an-official"
    for state in set(State) - {State.COMMITTED}:
        assert refused(reveal("prakerja-2020", 1, state, until, official, secret, until)) == "no-reveals-now"


def test_who_did_not_reveal_is_named() -> None:
    told = json.loads(reveals(document(), {"Treasury": SECRETS["Treasury"]}, DRAWS))
    assert dict(told["reveals"]) == {"Ombudsman": None, "Manpower": None, "Treasury": SECRETS["Treasury"].hex()}
    assert (told["algorithm"], told["closed_at"]) == ("draw/1 reveals", "2020-04-17T03:00:00.000000+00:00")


def test_the_seed_is_that_of_the_specification_whoever_keeps_silent() -> None:
    ordered = sorted(OFFICIALS, key=lambda official: official.secret_commitment)
    for silent in ((), ("Treasury",), ("Treasury", "Manpower"), tuple(SECRETS)):
        told = [
            (official.secret_commitment, None if official.office in silent else SECRETS[official.office])
            for official in ordered
        ]
        assert seed(*silent) == letter.ceremony_seed(ROOT, RANDOMNESS, told)
    # Every secret, every silence and the round count.
    assert len({seed(), *(seed(office) for office in SECRETS), seed_of(ROOT, b"c" * 32, document(), closed())}) == 5


def closed() -> dict[str, object]:
    told: dict[str, object] = json.loads(reveals(document(), SECRETS, DRAWS))
    return told


def test_an_official_says_who_they_are_by_office_alone() -> None:
    assert {"office", "secret_commitment", "secret"} == set(Official.__slots__)
