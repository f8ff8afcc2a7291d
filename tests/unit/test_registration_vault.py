"""Nothing opens for anybody but the citizen, the purpose and the keys it was closed with."""

import json
from pathlib import Path

import pytest

from services.registration.vault import KEY_BYTES, Message, Unsealable, Vault, open_vault
from tests.unit.registration_examples import KK, NIK, VAULT, claim, registration

SITI, BUDI = "a" * 32, "b" * 32


def test_what_is_closed_opens_again() -> None:
    seal, wrapped = VAULT.new_key(SITI)
    assert VAULT.seal(SITI, wrapped).open_claim(seal.close_claim(claim())) == claim()
    contact = registration().contact
    assert seal.open_contact(seal.close_contact(contact)) == contact
    assert seal.open_message(seal.close_message(Message("a", "b"))) == Message("a", "b")


def test_the_same_data_never_looks_the_same() -> None:
    seal, _ = VAULT.new_key(SITI)
    assert seal.close_claim(claim()) != seal.close_claim(claim())


def test_another_citizens_key_does_not_open_it() -> None:
    siti, _ = VAULT.new_key(SITI)
    budi, wrapped = VAULT.new_key(BUDI)
    with pytest.raises(Unsealable):
        budi.open_claim(siti.close_claim(claim()))
    with pytest.raises(Unsealable):
        VAULT.seal(SITI, wrapped)


def test_a_ciphertext_moved_to_another_column_does_not_open() -> None:
    seal, _ = VAULT.new_key(SITI)
    with pytest.raises(Unsealable):
        seal.open_contact(seal.close_claim(claim()))


def test_without_the_wrapping_key_nothing_opens() -> None:
    _, wrapped = VAULT.new_key(SITI)
    with pytest.raises(Unsealable):
        Vault(b"n" * 32, b"k" * 32, b"x" * 32).seal(SITI, wrapped)


def test_no_exception_shows_what_was_sealed_or_the_key() -> None:
    seal, _ = VAULT.new_key(SITI)
    with pytest.raises(Unsealable) as error:
        seal.open_contact(seal.close_claim(claim()))
    assert NIK not in str(error.value)
    assert error.value.__cause__ is None


def test_every_index_has_a_key_of_its_own() -> None:
    found = [VAULT.nik_index(NIK), VAULT.kk_index(NIK), VAULT.email_index(NIK), VAULT.phone_index(NIK)]
    found.append(VAULT.code_hash("", "", NIK))
    assert len(set(found)) == 5
    assert VAULT.nik_index(NIK) == VAULT.nik_index(NIK)


def test_the_nik_index_depends_on_its_own_key_alone() -> None:
    other = Vault(b"n" * 32, b"x" * 32, b"y" * 32)
    assert other.nik_index(NIK) == VAULT.nik_index(NIK)
    assert other.kk_index(KK) != VAULT.kk_index(KK)


def test_a_code_counts_for_one_citizen_and_one_purpose() -> None:
    assert (
        len({VAULT.code_hash(*told) for told in ((SITI, "e-mail", "1"), (BUDI, "e-mail", "1"), (SITI, "sms", "1"))})
        == 3
    )


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = {"nik_index": "6e" * KEY_BYTES, "kk_index": "6b" * KEY_BYTES, "wrap": "77" * KEY_BYTES}
    file.write_text(json.dumps(keys))
    assert open_vault(file).nik_index(NIK) == VAULT.nik_index(NIK)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"nik_index": "6e", "kk_index": "6b", "wrap": "77"}',
    json.dumps({"nik_index": "6e" * 32, "kk_index": "6e" * 32, "wrap": "77" * 32})])  # fmt: skip
def test_a_bad_key_file_is_named_and_its_keys_are_not(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"keys\.json must be") as error:
        open_vault(file)
    assert "6e6e" not in str(error.value)
