"""The verifier believes an honest bundle and names what is wrong with any other."""

import copy
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest

from services.selection import verify_draw
from services.selection.domain import ceremony
from tests.unit.selection_bundles import SIGNER, close, make, officials, people

HONEST = make(people(60))
WITH_OFFICIALS = make(people(60), planned=officials())
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

    def said_of(**beacon: Any) -> str:
        values = copy.deepcopy(HONEST)
        promise(values, lambda told: told["randomness"].update(beacon))
        return verdict(tmp_path, close(values), capsys)[1]

    assert "WARN  whose key that is was not checked: give the one that the page /periksa shows" in said_of(**known)
    assert "ok    the beacon is drand's quicknet" in said_of(**known)
    # A round that has been out for years would look new if quicknet had begun later, or went slower.
    for name in ("chain", "genesis_time", "period_seconds", "public_key"):
        lie = f"DIFF  the beacon has the name or key of quicknet, but not its {name}:"
        assert lie in said_of(**{**known, name: CHAIN_TOLD[name]}), name
    assert "commitment.randomness.scheme is" in said_of(**{**known, "scheme": "pedersen-bls-chained"})
    other = {name: CHAIN_TOLD[name] for name in ("chain", "public_key")}
    assert "WARN  the beacon is chain" in said_of(**{**known, **other})


@pytest.mark.usefixtures("no_bls")
def test_which_draw_it_is_stands_at_the_top(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A draw that was set aside agrees, too: only its root tells it from the one that counts."""
    _, said = verdict(tmp_path, close(HONEST), capsys)
    root = json.loads(HONEST[0]["commitment"])["pool"]["root"]
    assert said.startswith(f"draw  prakerja-2020, wave 1, root {root}\n      Compare this root with")


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
    ('commitment.algorithm is "draw/2"', lambda v: promise(v, lambda c: c.update(algorithm="draw/2"))),
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
    ("of them excluded", lambda v: promise(v, lambda c: c["excluded"].update(blacklist=0))),
]


def told_of_officials(values: Values, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the list of reveals, and sign it again."""
    told = json.loads(values[0]["reveals"])
    change(told)
    values[0]["reveals"] = json.dumps(told, sort_keys=True, separators=(",", ":"))
    values[0]["reveals_signature"] = SIGNER.sign_bytes(ceremony.signed_bytes(values[0]["reveals"])).hex()


def same_office(values: Values, *places: int) -> None:
    """One office at all these places, in both signed lists: nothing else is wrong."""

    def rename(pairs: list[list[str]]) -> None:
        for at in places:
            pairs[at][0] = "Bendahara"

    promise(values, lambda told: rename(told["randomness"]["officials"]))
    told_of_officials(values, lambda told: rename(told["reveals"]))


def upper(values: Values, *path: str) -> None:
    *way, last = path
    place = reduce(getitem, way, values[0])
    place[last] = place[last].upper()


MISSHAPEN: list[tuple[str, Callable[[Values], Any]]] = [
    ("header .*'more'", lambda v: v[0].update(more=1)),
    ("header .*'seed'", lambda v: v[0].pop("seed")),
    ("header .*their order", lambda v: v[0].update(seed=v[0].pop("seed"))),
    ("header.randomness .*their order", lambda v: v[0]["randomness"].update(round=v[0]["randomness"].pop("round"))),
    ("header.signature", lambda v: upper(v, "signature")),
    ("header.seed", lambda v: upper(v, "seed")),
    ("header.seed", lambda v: v[0].update(seed=v[0]["seed"] + "00")),
    ("header.winners", lambda v: v[0].update(winners=float(v[0]["winners"]))),
    ("header.randomness.signature", lambda v: upper(v, "randomness", "signature")),
    ("header.randomness.round", lambda v: v[0]["randomness"].update(round=-1)),
    ("header.commitment", lambda v: v[0].update(commitment=["x"])),
    ("header .*'reveals_signature'", lambda v: v[0].update(reveals="x", reveals_signature="00" * 64)),
    ("commitment does not have", lambda v: v[0].update(commitment="[]")),
    (r"commitment .*\['note'\]", lambda v: promise(v, lambda c: c.update(note="hello"))),
    (r"commitment .*'\\udc80", lambda v: promise(v, lambda c: c.update({"\udc80": 1}))),
    (r"commitment .*\['programme'\]", lambda v: promise(v, lambda c: c.pop("programme"))),
    (r"commitment .*\['wave'\]", lambda v: promise(v, lambda c: c.pop("wave"))),
    ("commitment.programme", lambda v: promise(v, lambda c: c.update(programme="Prakerja"))),
    ("commitment.wave", lambda v: promise(v, lambda c: c.update(wave=True))),
    ("commitment.wave", lambda v: promise(v, lambda c: c.update(wave=0))),
    ("commitment.excluded .*'friends'", lambda v: promise(v, lambda c: c.update(excluded={"friends": 8}))),
    ("commitment.excluded.other-aid", lambda v: promise(v, lambda c: c["excluded"].update({"other-aid": -1}))),
    ("commitment.intake.count", lambda v: promise(v, lambda c: c["intake"].update(count=60.0))),
    ("commitment.pool.count", lambda v: promise(v, lambda c: c["pool"].update(count=10**9))),
    ("commitment.household_cap", lambda v: promise(v, lambda c: c.update(household_cap=2.0))),
    ("commitment.household_cap", lambda v: promise(v, lambda c: c.update(household_cap=0))),
    ("commitment.household_cap", lambda v: promise(v, lambda c: c.update(household_cap=256))),
    ("commitment.committed_at", lambda v: promise(v, lambda c: c.update(committed_at="2020-04-16T16:01:00+07:00"))),
    ("out of all bounds", lambda v: promise(v, lambda c: c.update(draws_at="2020-02-31T03:00:00.000000+00:00"))),
    ("commitment.quotas", lambda v: promise(v, lambda c: c["quotas"][0].__setitem__(1, "gold"))),
    ("commitment.quotas", lambda v: promise(v, lambda c: c["quotas"][0].__setitem__(2, -1))),
    ("commitment.signing_key", lambda v: promise(v, lambda c: c.update(signing_key="00"))),
    ("commitment.randomness.scheme", lambda v: promise(v, lambda c: c["randomness"].update(scheme="none"))),
    ("commitment.randomness.source", lambda v: promise(v, lambda c: c["randomness"].update(source="dice"))),
    ("commitment.randomness.round", lambda v: promise(v, lambda c: c["randomness"].update(round=-1))),
    ("commitment.randomness.period", lambda v: promise(v, lambda c: c["randomness"].update(period_seconds=0))),
    ("out of all bounds", lambda v: promise(v, lambda c: c["randomness"].update(period_seconds=10**15 - 1))),
    ("out of all bounds", lambda v: promise(v, lambda c: c["randomness"].update(genesis_time=10**15 - 1))),
    ("out of all bounds", lambda v: v[0].update(commitment=v[0]["commitment"][:-1])),
]
OFFICIAL: list[tuple[str, Callable[[Values], Any]]] = [
    ("header .*'reveals_signature'", lambda v: v[0].pop("reveals_signature")),
    ("commitment.randomness.officials", lambda v: promise(v, lambda c: c["randomness"]["officials"][0].append(1))),
    ("commitment.randomness.officials", lambda v: promise(v, lambda c: c["randomness"]["officials"][0].reverse())),
    ("commitment.randomness.officials", lambda v: promise(v, lambda c: c["randomness"].update(officials={}))),
    (
        "commitment.randomness.officials",
        lambda v: promise(v, lambda c: c["randomness"]["officials"][0].__setitem__(0, 'a "b')),
    ),
    ("the list of reveals is not", lambda v: promise(v, lambda c: c["randomness"]["officials"].pop())),
    ("Bendahara stands more than once among the officials", lambda v: same_office(v, 0, 1, 2)),
    ("Bendahara stands more than once among the officials", lambda v: same_office(v, 0, 2)),
    ("reveals .*'note'", lambda v: told_of_officials(v, lambda told: told.update(note=1))),
    ("reveals.algorithm", lambda v: told_of_officials(v, lambda told: told.update(algorithm="draw/1"))),
    ("reveals.closed_at", lambda v: told_of_officials(v, lambda told: told.update(closed_at="soon"))),
    ("reveals.reveals", lambda v: told_of_officials(v, lambda told: told["reveals"][0].__setitem__(1, "00" * 31))),
    ("reveals.reveals", lambda v: told_of_officials(v, lambda told: told["reveals"][0].__setitem__(1, "null"))),
    ("the list of reveals is not", lambda v: told_of_officials(v, lambda told: told["reveals"].pop())),
]
SHAPES = [(HONEST, *each) for each in MISSHAPEN] + [(WITH_OFFICIALS, *each) for each in OFFICIAL]


@pytest.mark.usefixtures("no_bls")
@pytest.mark.parametrize(("honest", "named", "forge"), SHAPES, ids=[f"{at}: {e[1]}" for at, e in enumerate(SHAPES)])
def test_a_value_that_does_not_have_its_form_is_named(
    honest: Values, named: str, forge: Callable[[Values], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sections 5, 6 and 10, letter by letter, though everything is signed and closed properly."""
    values = copy.deepcopy(honest)
    forge(values)
    code, said = verdict(tmp_path, close(values), capsys)
    assert code == 1
    assert re.search(f"DIFF  .*{named}", said), said


@pytest.mark.usefixtures("no_bls")
def test_an_office_that_stands_twice_is_all_that_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = copy.deepcopy(WITH_OFFICIALS)
    same_office(values, 0, 2)
    _, said = verdict(tmp_path, close(values), capsys)
    assert re.findall("DIFF  (.*)", said) == ["Bendahara stands more than once among the officials"]


@pytest.mark.parametrize("of", ["header", "reveals"])
def test_values_within_values_without_end_are_a_difference(of: str, tmp_path: Path) -> None:
    """In a process of its own: py_ecc lets Python go deeper than its stack, and this one has it already."""
    values = copy.deepcopy(WITH_OFFICIALS)
    values[0]["reveals"] = "[" * 100_000
    file = tmp_path / "deep.jsonl"
    file.write_bytes(close(values) if of == "reveals" else b'{"bundle":"draw/1",' + b'"a":' + b"[" * 100_000 + b"\n")
    command = [sys.executable, verify_draw.__file__, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "DIFF  line 1 is no JSON" in done.stdout


@pytest.mark.usefixtures("no_bls")
def test_more_seats_than_memory_has_room_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = copy.deepcopy(HONEST)
    promise(values, lambda c: c["quotas"][0].__setitem__(2, 10**9 - 1))
    code, said = verdict(tmp_path, close(values), capsys)
    assert (code, "should have won" in said) == (1, True)


@pytest.mark.usefixtures("no_bls")
@pytest.mark.parametrize("block", [1, 2, 4, 64])
def test_nothing_comes_after_the_closing_line(
    block: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that is right for the longer file, wherever the blocks of reading fall."""
    monkeypatch.setattr(verify_draw, "BLOCK", block)
    data = close(HONEST)
    assert verdict(tmp_path, data, capsys)[0] == 0
    end = {"lines": data.count(b"\n"), "sha256": hashlib.sha256(data).hexdigest()}
    second = json.dumps({"end": end}, separators=(",", ":")).encode() + b"\n"
    for more in (second, data[data.rindex(b'{"end"') :], b"\n", b"x"):
        assert verdict(tmp_path, data + more, capsys)[0] == 1


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
