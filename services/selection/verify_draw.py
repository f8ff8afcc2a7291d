#!/usr/bin/env python3
"""Run a published draw again: `python verify_draw.py BUNDLE`. Needs this file and Python 3.11, nothing else.

Written by the letter of the specification `draw/1` (docs/draw.md) and sharing no code with the service that drew, so
that the two can disagree. Exit code 0: everything agrees. 1: something differs, and each difference is explained.
With `--key HEX` the commitment must be signed by that key; without it, compare the key printed here with the one the
programme publishes elsewhere. The beacon's BLS signature is checked where the library py_ecc is installed; otherwise a
warning says how to check that one number by other means.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512
from importlib import import_module
from pathlib import Path
from typing import Any

Point = tuple[int, int, int, int]

TIERS = ("priority", "public")
DIFFERENCES_SHOWN_MAX = 20


class Broken(Exception):
    """The bundle can not be read far enough to go on."""


class Report:
    """Collects what was found; prints sentences."""

    differences = 0

    def ok(self, sentence: str) -> None:
        print(f"ok    {sentence}")

    def warn(self, sentence: str) -> None:
        print(f"WARN  {sentence}")

    def differ(self, sentence: str) -> None:
        self.differences += 1
        if self.differences <= DIFFERENCES_SHOWN_MAX + 1:
            print(f"DIFF  {sentence if self.differences <= DIFFERENCES_SHOWN_MAX else '... and more'}")

    def check(self, agrees: bool, fine: str, different: str) -> bool:
        if agrees:
            self.ok(fine)
        else:
            self.differ(different)
        return agrees


class Bundle:
    """The lines of the file, sorted by kind."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self.promise: dict[str, Any] = {}
        self.entries: list[list[Any]] = []
        self.excluded: list[list[Any]] = []
        self.winners: list[list[Any]] = []


def read(path: str, report: Report) -> Bundle:
    """Read the file. Raises Broken."""
    bundle, told, count, end = Bundle(), sha256(), 0, None
    kinds = {"e": (8, bundle.entries), "x": (2, bundle.excluded), "w": (5, bundle.winners)}
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                value = json.loads(line)
            except ValueError:
                raise Broken(f"line {number} is not JSON") from None
            if end is not None:
                raise Broken(f"line {number} comes after the closing line")
            if isinstance(value, dict) and set(value) == {"end"}:
                end = value["end"]
                continue
            told.update(line)
            count += 1
            if number == 1 and isinstance(value, dict):
                bundle.header = value
            elif isinstance(value, list) and value and value[0] in kinds and len(value) == kinds[value[0]][0]:
                kinds[value[0]][1].append(value)
            else:
                raise Broken(f"line {number} is no entry, no excluded application and no winner")
    if bundle.header.get("bundle") != "draw/1":
        raise Broken("the first line is not the header of a draw/1 bundle")
    if end is None:
        raise Broken("the closing line is missing: the file is not complete")
    whole = end == {"lines": count, "sha256": told.hexdigest()}
    report.check(whole, f"the file is whole ({count} lines)", "the file was changed: its closing hash differs")
    bundle.promise = json.loads(bundle.header["commitment"])
    return bundle


def check_commitment(bundle: Bundle, key: str | None, report: Report) -> None:
    """The signature under the commitment, and the form of what it fixes."""
    text, promise = bundle.header["commitment"], bundle.promise
    canonical = json.dumps(promise, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    report.check(canonical == text, "the commitment is canonical", "the commitment is not in its canonical form")
    report.check(promise["algorithm"] == "draw/1", "the algorithm is draw/1", "the commitment names another algorithm")
    signer = bytes.fromhex(promise["signing_key"])
    message, signature = b"gelombang draw/1 commitment\x00" + text.encode(), bytes.fromhex(bundle.header["signature"])
    signed = ed25519_verify(signer, message, signature)
    report.check(signed, f"the commitment is signed by {signer.hex()}", "the signature under the commitment is wrong")
    if key:
        report.check(key.lower() == signer.hex(), "that is the expected key", "the commitment is signed by another key")
    strata = [(province, tier) for province, tier, _ in promise["quotas"]]
    fine = strata == sorted(set(strata)) and all(
        tier in TIERS and isinstance(seats, int) and seats >= 0 for _, tier, seats in promise["quotas"]
    )
    seats = sum(row[2] for row in promise["quotas"])
    wrong = "the quotas are doubled, unsorted or not whole numbers"
    report.check(fine, f"the quotas are consistent ({seats} seats)", wrong)


def check_pool(bundle: Bundle, report: Report) -> None:
    """Every entry's form, the order, the groups, the Merkle root, and the intake that registration stated."""
    promise, cap = bundle.promise, bundle.promise["household_cap"]
    leaves: list[bytes] = []
    ids: list[bytes] = []
    places: dict[int, int] = {}
    last = ""
    for number, (_, leaf, application, province, tier, group, free, salt) in enumerate(bundle.entries):
        where = f"application {application}"
        if leaf != number:
            report.differ(f"{where} has leaf {leaf}; {number} was next: an entry is missing or doubled")
        if application <= last:
            report.differ(f"{where} is doubled or out of order")
        if group not in places and group != len(places):
            report.differ(f"{where} has household group {group}; {len(places)} was next")
        if places.setdefault(group, free) != free or not 0 <= free <= cap:
            report.differ(f"{where} has {free} places; its household has {places[group]}, the cap is {cap}")
        last = application
        ids.append(bytes.fromhex(application))
        try:
            entry = ids[-1] + province.encode("ascii") + bytes((1 + TIERS.index(tier),)) + group.to_bytes(4, "big")
            leaves.append(sha256(b"\x00" + bytes.fromhex(salt) + entry + bytes((free,))).digest())
        except (ValueError, OverflowError):
            raise Broken(f"{where} has a field that draw/1 does not know") from None
    count, root = promise["pool"]["count"], promise["pool"]["root"]
    report.check(len(ids) == count, f"the pool has {count} entries", f"{len(ids)} entries, {count} were signed")
    same = merkle_root(leaves).hex() == root
    report.check(same, f"the root is {root}", "the pool does not have the root that was signed")
    excluded = [bytes.fromhex(row[1]) for row in bundle.excluded]
    everybody = sorted(ids + excluded)
    once = len(set(everybody)) == len(everybody)
    report.check(once, "no application is there twice", "an application is there twice")
    intake = promise["intake"]
    report.check(
        len(everybody) == intake["count"] and sha256(b"".join(everybody)).hexdigest() == intake["digest"],
        f"pool and excluded applications are the {intake['count']} of the closed intake",
        "pool and excluded applications together are not those of the closed intake",
    )
    report.check(
        len(excluded) == sum(promise["excluded"].values()),
        f"{len(excluded)} applications were excluded before the draw: {promise['excluded']}",
        f"{len(excluded)} excluded applications, {sum(promise['excluded'].values())} were signed",
    )


def merkle_root(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, over leaf hashes."""
    if not leaves:
        return sha256().digest()
    while len(leaves) > 1:
        odd = leaves[-1:] if len(leaves) % 2 else []
        leaves = [sha256(b"\x01" + leaves[at] + leaves[at + 1]).digest() for at in range(0, len(leaves) - 1, 2)] + odd
    return leaves[0]


def check_randomness(bundle: Bundle, report: Report) -> bytes:
    """The announced round, when it was out, its hash and, where possible, its BLS signature; the seed."""
    told, announced = bundle.header["randomness"], bundle.promise["randomness"]
    number, ceremony = announced["round"], announced["source"] == "ceremony"
    used = told["round"] == number
    report.check(used, f"round {number} was announced and used", "another round was used than announced")
    if not ceremony and announced["source"] != "drand":
        raise Broken(f"the commitment names a source of randomness that draw/1 does not know: {announced['source']}")
    genesis = datetime.fromtimestamp(announced["genesis_time"], UTC)
    period = timedelta(seconds=announced["period_seconds"])
    out_at = genesis + period * (number - 1)
    committed = datetime.fromisoformat(bundle.promise["committed_at"])
    earliest = max(datetime.fromisoformat(bundle.promise["draws_at"]), committed + timedelta(seconds=60))
    if ceremony:
        earliest = max(earliest, datetime.fromisoformat(announced["reveal_until"]) + timedelta(seconds=60))
    first = max(1, -((genesis - earliest) // period) + 1)
    report.check(
        number == first and out_at > committed,
        f"it was out at {out_at.isoformat()}, the first one after the commitment and the draw's time",
        f"round {first} is the first one after the commitment and the draw's time; another one was announced",
    )
    signature, randomness = bytes.fromhex(told["signature"]), bytes.fromhex(told["randomness"])
    hashed = sha256(signature).digest() == randomness
    report.check(hashed, "randomness = hash of signature", "randomness is no hash of it")
    verdict = bls_verify(announced, number, signature)
    if verdict is not None:
        report.check(verdict, "the beacon's signature is genuine", "the beacon's signature is not genuine")
    else:
        report.warn(
            "the beacon's BLS signature was not checked (pip install py_ecc). Compare round "
            f"{number} of chain {announced['chain']} with what the beacon publishes: {told['signature']}"
        )
    parts = check_reveals(bundle, committed, out_at, report) if ceremony else []
    tag = b"gelombang draw/1 ceremony\x00" if ceremony else b"gelombang draw/1 seed\x00"
    return sha256(tag + bytes.fromhex(bundle.promise["pool"]["root"]) + randomness + b"".join(parts)).digest()


def check_reveals(bundle: Bundle, committed: datetime, out_at: datetime, report: Report) -> list[bytes]:
    """Section 6: the officials, the signed list of reveals and its time; each official's part of the seed."""
    promise, text = bundle.promise, bundle.header["reveals"]
    officials, told = promise["randomness"]["officials"], json.loads(text)
    until, closed = (datetime.fromisoformat(at) for at in (promise["randomness"]["reveal_until"], told["closed_at"]))
    hashes = [promised for _, promised in officials]
    key, signature = bytes.fromhex(promise["signing_key"]), bytes.fromhex(bundle.header["reveals_signature"])
    report.check(
        len(hashes) > 1 and hashes == sorted(set(hashes)) and committed < until <= closed < out_at
        and (told["algorithm"], told["root"]) == ("draw/1 reveals", promise["pool"]["root"])
        and text == json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        and [office for office, _ in told["reveals"]] == [office for office, _ in officials]
        and ed25519_verify(key, b"gelombang draw/1 reveals\x00" + text.encode(), signature),
        f"the list of reveals was closed and signed before the round was out, at {closed.isoformat()}",
        "the list of reveals is not the signed one of this wave, or was not closed in time",
    )  # fmt: skip
    about, parts = promise["programme"].encode() + b"\x00" + promise["wave"].to_bytes(4, "big"), []
    for (office, promised), (_, secret) in zip(officials, told["reveals"], strict=False):
        if secret is None:
            report.warn(f"{office} did not reveal their secret; it had no part in the seed")
        elif sha256(b"gelombang draw/1 secret\x00" + about + bytes.fromhex(secret)).hexdigest() != promised:
            report.differ(f"the secret of {office} is not the one they had committed to")
        parts.append(b"\x00" + bytes.fromhex(promised) if secret is None else b"\x01" + bytes.fromhex(secret))
    return parts


def draw(bundle: Bundle, seed: bytes) -> dict[int, tuple[int, str, str]]:
    """The winners by the letter of section 8: leaf -> (rank, province and tier of the seat)."""
    ordered = sorted(
        (sha256(b"gelombang draw/1 ticket\x00" + seed + bytes.fromhex(row[2])).digest(), bytes.fromhex(row[2]), row)
        for row in bundle.entries
    )
    left: dict[int, int] = {}
    queues: dict[tuple[str, str], list[int]] = {}
    ranks: dict[int, int] = {}
    for _, _, (_, leaf, _, province, tier, group, places, _) in ordered:
        left.setdefault(group, places)
        if left[group] == 0:
            continue
        left[group] -= 1
        queue = queues.setdefault((province, tier), [])
        queue.append(leaf)
        ranks[leaf] = len(queue)
    free: dict[tuple[str, str], int] = {}
    won: dict[int, tuple[str, str]] = {}
    for province, tier, seats in bundle.promise["quotas"]:
        queue = queues.get((province, tier), [])
        won.update((leaf, (province, tier)) for leaf in queue[:seats])
        free[province, tier] = max(0, seats - len(queue))
    for province, tier in sorted(free):
        other = (province, "public" if tier == "priority" else "priority")
        for leaf in queues.get(other, []):
            if free[province, tier] and leaf not in won:
                won[leaf] = (province, tier)
                free[province, tier] -= 1
    seats = [stratum for stratum in sorted(free) for _ in range(free[stratum])]
    waiting = [row[1] for _, _, row in ordered if row[1] in ranks and row[1] not in won]
    won.update(zip(waiting, seats, strict=False))
    return {leaf: (ranks[leaf], *stratum) for leaf, stratum in won.items()}


def check_winners(bundle: Bundle, seed: bytes, report: Report) -> None:
    """The seed, and every winner with rank and seat."""
    report.check(seed.hex() == bundle.header["seed"], f"the seed is {seed.hex()}", "the published seed is another one")
    ours = draw(bundle, seed)
    theirs: dict[int, tuple[int, str, str]] = {}
    for _, leaf, rank, province, tier in bundle.winners:
        if leaf in theirs:
            report.differ(f"leaf {leaf} is among the winners twice")
        theirs[leaf] = (rank, province, tier)
    name = {row[1]: row[2] for row in bundle.entries}
    for leaf in sorted(ours.keys() | theirs.keys()):
        mine, published = ours.get(leaf), theirs.get(leaf)
        who = f"application {name.get(leaf, '?')} (leaf {leaf})"
        if mine is not None and published is None:
            report.differ(f"{who} should have won: rank {mine[0]}, a seat of {mine[1]} {mine[2]}")
        elif mine is None:
            report.differ(f"{who} is published as a winner but did not win")
        elif mine != published:
            report.differ(f"{who}: rank and seat should be {mine}, published are {published}")
    if ours == theirs:
        report.ok(f"the {len(ours)} winners are the same, with the same ranks and seats")
    number = bundle.header["winners"] == len(ours)
    report.check(number, "so is their number", "the header has another number of winners")


# Ed25519 (RFC 8032, section 5.1), verification only.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def recover(data: bytes) -> Point | None:
    """The point of 32 bytes in extended coordinates, or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def plus(a: Point, b: Point) -> Point:
    c, d = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    e, f = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    g, h, i, j = d - c, f - e, f + e, d + c
    return g * h % P, i * j % P, h * i % P, g * j % P


def times(scalar: int, point: Point) -> Point:
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = plus(total, point)
        point, scalar = plus(point, point), scalar >> 1
    return total


def ed25519_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is genuine."""
    if len(key) != 32 or len(signature) != 64:
        return False
    public, r, s = recover(key), recover(signature[:32]), int.from_bytes(signature[32:], "little")
    base = recover((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    if public is None or r is None or base is None or s >= L:
        return False
    h = int.from_bytes(sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = times(s, base), plus(r, times(h, public))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def bls_verify(announced: dict[str, Any], number: int, signature: bytes) -> bool | None:
    """Whether the chain's key signed this round; None where py_ecc is not installed."""
    try:
        points = import_module("py_ecc.bls.g2_primitives")
        hashing = import_module("py_ecc.bls.hash_to_curve")
        curve = import_module("py_ecc.optimized_bls12_381")
    except ImportError:
        return None
    key = bytes.fromhex(announced["public_key"])
    if announced["scheme"] != "bls-unchained-g1-rfc9380" or len(signature) != 48 or len(key) != 96:
        return False
    try:
        point, public = points.pubkey_to_G1(signature), points.signature_to_G2(key)
    except ValueError:
        return False
    if any(curve.is_inf(place) or not points.subgroup_check(place) for place in (point, public)):
        return False
    message = sha256(number.to_bytes(8, "big")).digest()
    hashed = hashing.hash_to_G1(message, b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_", sha256)
    left = curve.pairing(public, hashed, final_exponentiate=False)
    right = curve.pairing(curve.G2, curve.neg(point), final_exponentiate=False)
    return bool(curve.final_exponentiate(left * right) == curve.FQ12.one())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run a published draw again and compare everything.")
    parser.add_argument("bundle", help="the bundle, as downloaded")
    parser.add_argument("--key", help="the Ed25519 key that must have signed the commitment (hexadecimal)")
    given = parser.parse_args(arguments)
    report = Report()
    try:
        bundle = read(given.bundle, report)
        check_commitment(bundle, given.key, report)
        check_pool(bundle, report)
        check_winners(bundle, check_randomness(bundle, report), report)
    except Broken as error:
        report.differ(str(error))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        report.differ(f"a value is missing or has the wrong form: {error!r}")
    except OSError as error:
        report.differ(f"the file can not be read: {error.strerror}")
    if report.differences:
        print(f"The draw does NOT agree: {report.differences} difference(s).")
        return 1
    print("The draw agrees.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
