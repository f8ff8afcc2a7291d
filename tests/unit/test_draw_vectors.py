"""The published vectors are what the code makes, and the verifier finds any byte that was changed in them."""

import random
from functools import cache
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.selection import verify_draw
from services.selection.domain.ceremony import seed_of
from tests.reference import draw_by_the_letter as letter
from tests.unit.draw_vectors import BUNDLES, FOLDER, files
from tests.unit.selection_bundles import SIGNER

SAMPLE = 500


def judged(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    return verify_draw.main([str(path), "--key", SIGNER.public_key.hex()]), capsys.readouterr().out


def test_the_published_vectors_are_what_the_code_makes() -> None:
    """After a meant change: python -m tests.unit.draw_vectors"""
    for name, data in files().items():
        assert (FOLDER / name).read_bytes() == data, name


@pytest.mark.parametrize("name", BUNDLES)
def test_the_verifier_believes_the_vectors(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = judged(FOLDER / f"{name}.bundle.jsonl", capsys)
    assert (code, "DIFF" in said) == (0, False)
    assert ("did not reveal their secret" in said) == ("ceremony" in name)


@pytest.mark.parametrize("name", BUNDLES)
def test_one_changed_byte_anywhere_is_caught_and_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seeded sample of all bytes, each changed to any other value."""
    monkeypatch.setattr(verify_draw, "bls_verify", lambda *_: None)
    # Ed25519 in plain Python takes some 20 ms, and most of its questions repeat.
    monkeypatch.setattr(verify_draw, "ed25519_verify", cache(verify_draw.ed25519_verify))
    data, chance = (FOLDER / f"{name}.bundle.jsonl").read_bytes(), random.Random(7)
    file = tmp_path / "changed.jsonl"
    for at in sorted(chance.sample(range(len(data)), SAMPLE)):
        changed = bytearray(data)
        changed[at] ^= chance.randrange(1, 256)
        file.write_bytes(bytes(changed))
        code, said = judged(file, capsys)
        assert code == 1, f"byte {at}"
        assert said.count("DIFF") >= 1, f"byte {at}"


def genuine(key: bytes, message: bytes, signature: bytes) -> bool:
    """Ed25519 by OpenSSL, a hundred times as fast as the verifier's own."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_every_byte_of_the_header_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a sample: each byte of the line that holds commitment, reveals and signatures, changed to another value."""
    monkeypatch.setattr(verify_draw, "bls_verify", lambda *_: None)
    monkeypatch.setattr(verify_draw, "ed25519_verify", genuine)
    data, chance = (FOLDER / "draw-1-ceremony.bundle.jsonl").read_bytes(), random.Random(9)
    file = tmp_path / "changed.jsonl"
    for at in range(data.index(b"\n") + 1):
        changed = bytearray(data)
        changed[at] ^= chance.randrange(1, 256)
        file.write_bytes(changed)
        code, said = judged(file, capsys)
        assert (code, "DIFF" in said) == (1, True), f"byte {at}"


def test_the_seed_of_a_ceremony_by_the_letter() -> None:
    """The page's formula against the program's, with one official who did not reveal."""
    planned = BUNDLES["draw-1-ceremony"]
    assert planned is not None
    root, randomness = bytes(32), bytes(range(32))
    document = {"randomness": {"officials": [[o.office, o.secret_commitment.hex()] for o in planned.officials]}}
    closed = {"reveals": [[o.office, o.secret.hex() if o.secret else None] for o in planned.officials]}
    told = [(each.secret_commitment, each.secret) for each in planned.officials]
    assert seed_of(root, randomness, document, closed) == letter.ceremony_seed(root, randomness, told)
    for each in planned.officials:
        if each.secret:
            assert letter.secret_commitment("prakerja-2020", 1, each.secret) == each.secret_commitment
