"""The verifier believes an honest bundle and names what is wrong with any other."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from services.selection import verify_draw
from tests.unit.selection_bundles import SIGNER, close, make, people

HONEST = make(people(60))
CHAIN_TOLD = json.loads(HONEST[0]["commitment"])["randomness"]
Values = list[Any]


@pytest.fixture
def no_bls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairing costs half a second; the tests of other things go without it."""
    monkeypatch.setattr(verify_draw, "bls_verify", lambda *_: None)


def verdict(tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    file = tmp_path / "bundle.jsonl"
    file.write_bytes(data)
    code = verify_draw.main([str(file), *more])
    return code, capsys.readouterr().out


def test_an_honest_bundle_is_believed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verdict(tmp_path, close(HONEST), capsys, "--key", SIGNER.public_key.hex())
    assert (code, "DIFF" in said, said.count("WARN")) == (0, False, 1)
    assert f"WARN  the beacon is chain {CHAIN_TOLD['chain']}: " in said
    assert "the beacon's signature is genuine" in said
    assert said.endswith("The draw agrees.\n")


def test_what_a_bundle_can_not_show_by_itself_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], no_bls: None
) -> None:
    """Whoever writes a bundle can sign it with a key of their own, and foresees the rounds of a chain of their own."""
    quicknet = json.loads((Path(__file__).parents[1] / "data" / "drand_quicknet.json").read_text())
    known = {name: quicknet[name] for name in ("genesis_time", "period_seconds", "public_key", "scheme")}
    known |= {"chain": quicknet["chain_hash"]}
    values = copy.deepcopy(HONEST)
    promise(values, lambda told: told["randomness"].update(known))
    _, said = verdict(tmp_path, close(values), capsys)
    assert "WARN  whose key that is was not checked" in said
    assert "the beacon is chain" not in said
    for name in ("chain", "genesis_time", "period_seconds", "public_key"):
        promise(values, lambda told, name=name: told["randomness"].update({**known, name: CHAIN_TOLD[name]}))
        assert "WARN  the beacon is chain" in verdict(tmp_path, close(values), capsys)[1], name


def test_it_runs_from_its_one_file_with_the_standard_library_alone(tmp_path: Path) -> None:
    """Isolated, without site-packages: no other module of the project, no installed package."""
    program, bundle = tmp_path / "verify_draw.py", tmp_path / "bundle.jsonl"
    program.write_text(Path(verify_draw.__file__).read_text())
    bundle.write_bytes(close(HONEST))
    command = [sys.executable, "-I", "-S", str(program), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "BLS signature was not checked" in done.stdout


def promise(values: Values, change: Callable[[dict[str, Any]], Any], sign: bool = True) -> None:
    """Change the commitment, and sign it again unless the forger has no key."""
    told = json.loads(values[0]["commitment"])
    change(told)
    values[0]["commitment"] = json.dumps(told, sort_keys=True, separators=(",", ":"))
    if sign:
        values[0]["signature"] = SIGNER.sign(values[0]["commitment"]).hex()


def entry(values: Values, at: int) -> list[Any]:
    found: list[Any] = values[1 + at]
    return found


def first(values: Values, kind: str) -> int:
    return next(at for at, value in enumerate(values) if isinstance(value, list) and value[0] == kind)


FORGERIES: list[tuple[str, Callable[[Values], Any]]] = [
    ("the signature under the commitment is wrong", lambda v: promise(v, lambda c: c.update(wave=2), sign=False)),
    ("not in its canonical form", lambda v: v[0].update(commitment=v[0]["commitment"] + " ")),
    ("names another algorithm", lambda v: promise(v, lambda c: c.update(algorithm="draw/2"))),
    ("the quotas are doubled", lambda v: promise(v, lambda c: c["quotas"].append(c["quotas"][0]))),
    ("should have won", lambda v: promise(v, lambda c: c["quotas"][0].__setitem__(2, 30))),
    ("the pool does not have the root", lambda v: entry(v, 3).__setitem__(7, "00" * 16)),
    ("the pool does not have the root", lambda v: entry(v, 3).__setitem__(3, "32")),
    ("an entry is missing or doubled", lambda v: v.pop(5)),
    ("an entry is missing or doubled", lambda v: v.insert(5, copy.deepcopy(v[5]))),
    ("has household group", lambda v: entry(v, 3).__setitem__(5, 99)),
    ("places; its household has", lambda v: entry(v, 3).__setitem__(6, 7)),
    ("are not those of the closed intake", lambda v: v.pop(first(v, "x"))),
    ("is there twice, or out of order", lambda v: v[first(v, "x")].__setitem__(1, entry(v, 0)[2])),
    ("another round was used", lambda v: v[0]["randomness"].update(round=1)),
    (
        "another one was announced",
        lambda v: promise(v, lambda c: c["randomness"].update(round=c["randomness"]["round"] + 1)),
    ),
    ("another one was announced", lambda v: promise(v, lambda c: c.update(committed_at=c["draws_at"]))),
    ("randomness is no hash", lambda v: v[0]["randomness"].update(randomness="00" * 32)),
    ("the published seed is another one", lambda v: v[0].update(seed="00" * 32)),
    ("should have won", lambda v: v.pop(first(v, "w"))),
    ("is published as a winner but did not win", lambda v: v[first(v, "w")].__setitem__(1, 1_000)),
    ("among the winners twice", lambda v: v.append(v[-1])),
    ("rank and seat should be", lambda v: v[first(v, "w")].__setitem__(2, 99)),
    ("its header says 3", lambda v: v[0].update(winners=3)),
    ("is no entry, no excluded application", lambda v: v.append(["z"])),
    ("is no entry, no excluded application", lambda v: v.append(v[1])),
    ("is no entry, no excluded application", lambda v: v[4].__setitem__(1, 3.0)),
    ("is no entry, no excluded application", lambda v: v[4].__setitem__(6, 256)),
    ("is no entry, no excluded application", lambda v: v[4].__setitem__(7, v[4][7].upper())),
    ("is there twice, or out of order", lambda v: v[1].__setitem__(2, v[2][2])),
    ("is there twice, or out of order", lambda v: v.insert(first(v, "x"), v[first(v, "x") + 1])),
    ("the header, or the commitment in it", lambda v: v[0].update(more=1)),
    ("of them excluded", lambda v: promise(v, lambda c: c["excluded"].update(blacklist=0))),
    ("a value is missing or has the wrong form", lambda v: v[0].pop("seed")),
]


@pytest.mark.usefixtures("no_bls")
@pytest.mark.parametrize(
    ("named", "forge"), FORGERIES, ids=[f"{at}: {named}" for at, (named, _) in enumerate(FORGERIES)]
)
def test_a_forger_who_closes_the_file_properly_is_found(
    named: str, forge: Callable[[Values], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = copy.deepcopy(HONEST)
    forge(values)
    code, said = verdict(tmp_path, close(values), capsys)
    assert code == 1
    assert named in said


@pytest.mark.usefixtures("no_bls")
def test_another_key_than_the_programmes_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verdict(tmp_path, close(HONEST), capsys, "--key", "11" * 32)
    assert code == 1
    assert "signed by another key" in said


def test_a_beacon_signature_of_another_round_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = copy.deepcopy(HONEST)
    promise(values, lambda told: told["randomness"].update(public_key=told["randomness"]["public_key"][:-2] + "00"))
    code, said = verdict(tmp_path, close(values), capsys)
    assert code == 1
    assert "the beacon's signature is not genuine" in said


@pytest.mark.usefixtures("no_bls")
def test_a_file_that_was_cut_off_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = close(HONEST)
    code, said = verdict(tmp_path, data[: data.rindex(b'{"end"')], capsys)
    assert (code, "the closing line is missing" in said) == (1, True)


@pytest.mark.usefixtures("no_bls")
@pytest.mark.parametrize("kind", ["e", "x", "w", "end"])
def test_any_changed_byte_of_a_line_is_named(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte of one line of each kind, its line end too. (A seeded sample of all bytes: test_draw_vectors.)"""
    monkeypatch.setattr(verify_draw, "ed25519_verify", cache(verify_draw.ed25519_verify))
    data = close(HONEST).splitlines(keepends=True)
    number = next(at for at, line in enumerate(data) if line[2:].startswith(kind.encode()))
    named = [f"line {number + 1}{end}" for end in " :)"]
    named += ["does not have the root", "out of order", "of the closed intake", "household"]
    named += ["should have won", "did not win", "rank and seat"]
    for at in range(len(data[number])):
        line = bytearray(data[number])
        line[at] ^= 1
        code, said = verdict(tmp_path, b"".join((*data[:number], line, *data[number + 1 :])), capsys)
        assert code == 1, f"byte {at} of line {number + 1}"
        assert any(each in said for each in named), f"byte {at} of line {number + 1}: {said}"
