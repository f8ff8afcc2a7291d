"""Sealed means: only with the key, only for whom it was sealed, and not in any text."""

import json
import secrets
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from joserfc.jwk import ECKey

from deploy.local.vault import STAFF
from libs.events.runtime import run
from services.disbursement.identity import Person, person_of
from services.disbursement.partners import BadPartners, load_partners
from services.disbursement.vault import Payee, Vault

PAYEE = Payee("1234567890", "3171010101900001", "Siti", "bni")


def keys(folder: Path, **told: str) -> Path:
    path = folder / "keys.json"
    path.write_text(json.dumps(told or {"wrap": secrets.token_hex(32), "account_index": secrets.token_hex(32)}))
    return path


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    identity = tmp_path / "identity.json"
    identity.write_text(json.dumps(ECKey.generate_key("P-256", private=True).as_dict(private=True)))
    return Vault.open(keys(tmp_path), identity)


def test_a_payee_opens_for_themselves_only(vault: Vault) -> None:
    wrapped = vault.new_payee_key("a")
    sealed = vault.seal_payee(wrapped, "a", PAYEE)
    assert vault.open_payee(wrapped, "a", sealed) == PAYEE
    with pytest.raises(InvalidTag):
        vault.open_payee(wrapped, "b", sealed)
    with pytest.raises(InvalidTag):
        vault.open_payee(vault.new_payee_key("a"), "a", sealed)


def test_sealing_twice_gives_two_ciphertexts(vault: Vault) -> None:
    wrapped = vault.new_payee_key("a")
    assert vault.seal_payee(wrapped, "a", PAYEE) != vault.seal_payee(wrapped, "a", PAYEE)
    assert vault.seal_message("m", b"x") != vault.seal_message("m", b"x")


def test_a_message_opens_under_its_own_id_only(vault: Vault) -> None:
    sealed = vault.seal_message("m", b"bytes")
    assert vault.open_message("m", sealed) == b"bytes"
    with pytest.raises(InvalidTag):
        vault.open_message("n", sealed)


def test_the_same_account_has_the_same_index_and_no_other_key_gives_it(vault: Vault, tmp_path: Path) -> None:
    assert vault.index("bank", "bni", "1") == vault.index("bank", "bni", "1")
    assert vault.index("bank", "bni", "1") != vault.index("bank", "bca", "1")
    other = Vault.open(keys(tmp_path), tmp_path / "identity.json")
    assert vault.index("bank", "bni", "1") != other.index("bank", "bni", "1")


def test_nothing_personal_is_in_a_repr(vault: Vault) -> None:
    text = f"{PAYEE!r} {PAYEE} {vault!r} {[PAYEE]}"
    for secret in ("1234567890", "3171010101900001", "Siti"):
        assert secret not in text


@pytest.mark.parametrize(
    "told",
    [
        {"wrap": "00" * 32},
        {"wrap": "00" * 32, "account_index": "00" * 32},
        {"wrap": "00" * 31, "account_index": "11" * 32},
        {"wrap": "zz", "account_index": "11" * 32},
    ],
)
def test_key_files_that_hold_something_else_stop_the_start(vault: Vault, tmp_path: Path, told: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"keys\.json"):
        Vault.open(keys(tmp_path, **told), tmp_path / "identity.json")


def test_a_public_identity_key_stops_the_start(tmp_path: Path) -> None:
    identity = tmp_path / "identity.json"
    identity.write_text(json.dumps(ECKey.generate_key("P-256", private=True).as_dict(private=False)))
    with pytest.raises(ValueError, match=r"identity\.json"):
        Vault.open(keys(tmp_path), identity)


def test_what_is_no_token_does_not_open(vault: Vault) -> None:
    for token in ("", "x" * 9000, "a.b.c.d.e", "é", "eyJhbGciOiJub25lIn0..."):
        assert vault.unseal(token) is None


CLAIMS = {"sub": "a", "nik": "3171010101900001", "name": "Siti", "phone": "081200000000"}


def test_verified_claims_name_a_person() -> None:
    assert person_of({**CLAIMS, "iat": 1}, "a") == Person("3171010101900001", "Siti", "081200000000")


@pytest.mark.parametrize("changed", [{"sub": "b"}, {"nik": None}, {"name": 1}, {"phone": ["081200000000"]}])
def test_claims_about_somebody_else_or_without_a_part_name_nobody(changed: dict[str, Any]) -> None:
    assert person_of(CLAIMS | changed, "a") is None


def test_every_partner_of_the_local_stack_has_an_account_of_its_own_for_course_fees() -> None:
    partners = {account for account, roles in STAFF if "partner" in roles}
    found = load_partners()
    assert set(found) == partners
    assert len({payee.account_number for payee in found.values()}) == len(partners)
    assert found["partner-a"].account_number == "9000000001"


@pytest.mark.parametrize(
    "text",
    [
        "[partner-b]\naccount_number = '12'\nbank = 'bni'\nname = 'B'",
        "[partner-b]\nbank = 'bni'\nname = 'B'",
        "[partner-b",
    ],
)
def test_a_wrong_partner_file_is_refused_by_name_and_field(tmp_path: Path, text: str) -> None:
    path = tmp_path / "partners.toml"
    path.write_text(text)
    with pytest.raises(BadPartners, match=r"partners\.toml"):
        load_partners(path)


def test_a_wrong_partner_file_ends_the_start_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "partners.toml"
    path.write_text("[partner-b")
    monkeypatch.setattr(sys, "argv", ["disbursement"])
    with pytest.raises(SystemExit, match=r"partners\.toml: not TOML"):
        run(lambda: load_partners(path))  # type: ignore[arg-type, return-value]
