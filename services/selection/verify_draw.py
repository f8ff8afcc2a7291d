#!/usr/bin/env python3
"""Run a published draw again: `python verify_draw.py BUNDLE`. Needs this file and Python 3.11, nothing else.

Written by the letter of docs/draw.md and sharing no code with the service that drew, so that the two can disagree. Exit
code 0: everything agrees. 1: something differs, and it is said what. Warnings say what no bundle can show by itself:
whose key signed it (give `--key HEX`), whose beacon it used and, without py_ecc, whether that beacon signed it.
"""

import argparse
import json
import os
import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512
from importlib import import_module
from itertools import chain, groupby, islice, pairwise, repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

Point = tuple[int, int, int, int]
TIERS, COMPACT = ("priority", "public"), (",", ":")
BLOCK = 1 << 16  # entries that one process hashes together: a power of two, so that they are one branch of the tree
LARGE = 1 << 24  # bytes of a file from which on all processors read it
# Section 10: every line has one form, so nothing is left to the taste of a parser.
NUMBER, HEX, STRATUM = rb"(0|[1-9][0-9]{0,8})", rb'"([0-9a-f]{32})"', rb'"([0-9]{2}","(?:priority|public))"'
PLACES = rb"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
ENTRY, EXCLUDED, WINNER, CLOSING = KINDS = b'["e"', b'["x"', b'["w"', b'{"en'
FIELDS = (NUMBER, HEX, STRATUM, NUMBER, PLACES, HEX), (HEX,), (NUMBER, NUMBER, STRATUM)
FORMS = {k: re.compile(rb"(?m)^\%b,%b\]\n" % (k, b",".join(of))) for k, of in zip(KINDS, FIELDS, strict=False)}
# A stratum is one number that ascends as strata do: 2 x province, + 1 for public. LEFT: its household had no place.
CELLS = {f'{cell >> 1:02}","{TIERS[cell & 1]}'.encode(): cell for cell in range(200)}
SPELLED = {each: (each[:2] + bytes((1 + CELLS[each] % 2,))).hex().encode() for each in CELLS}
LEFT = len(CELLS)
LEAD = timedelta(seconds=600)  # sections 5 and 6: how far the round lies behind the commitment and the last word
QUICKNET = {  # section 6: the beacon that is known here
    "chain": "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971", "genesis_time": 1692803367,
    "period_seconds": 3, "public_key": "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a"
    "6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
    "scheme": "bls-unchained-g1-rfc9380"}  # fmt: skip
# The form of line 1: these keys in this order, and the expressions that their values match as they are written there.
TEXT, HASH, SIGNATURE, LIST = '"[ -~]*"', '"[0-9a-f]{64}"', '"[0-9a-f]{128}"', r"\[(?:{0}(?:,{0})*)?\]".format
COUNT, LONG, CAP = "0|[1-9][0-9]{0,8}", "[1-9][0-9]{0,14}", "[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5]"
TIME = '"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3])(:[0-9]{2}){2}[.][0-9]{6}[+]00:00"'
SEATS, OFFICE = rf'\["[0-9]{{2}}","(?:priority|public)",(?:{COUNT})\]', r'"[ !#-\[\]-~]{1,80}"'
DRAND = {
    "chain": HASH, "genesis_time": "0|" + LONG, "period_seconds": LONG, "public_key": '"[0-9a-f]{192}"', "round": LONG,
    "scheme": f'"{QUICKNET["scheme"]}"', "source": '"drand"'}  # fmt: skip
OFFICIALS = {"officials": LIST(rf"\[{OFFICE},{HASH}\]"), "reveal_until": TIME, "source": '"ceremony"'}
PROMISE = {
    "algorithm": '"draw/1"', "committed_at": TIME, "draws_at": TIME,
    "excluded": {"already-member": COUNT, "blacklist": COUNT, "other-aid": COUNT}, "household_cap": CAP,
    "intake": {"count": COUNT, "digest": HASH}, "pool": {"count": COUNT, "root": HASH},
    "programme": '"[a-z0-9-]{1,40}"', "quotas": LIST(SEATS), "randomness": DRAND, "signing_key": HASH,
    "wave": "[1-9][0-9]{0,8}"}  # fmt: skip
HEADER = {
    "bundle": '"draw/1"', "commitment": TEXT, "signature": SIGNATURE, "randomness":
    {"round": LONG, "signature": '"[0-9a-f]{96}"', "randomness": HASH}, "seed": HASH, "winners": COUNT}  # fmt: skip
REVEALED = {"reveals": TEXT, "reveals_signature": SIGNATURE}
PARTS = LIST(rf"\[{OFFICE},(?:null|{HASH})\]")
REVEALS = {"algorithm": '"draw/1 reveals"', "closed_at": TIME, "reveals": PARTS, "root": HASH}


class Broken(Exception):
    """The bundle can not be read far enough to go on."""


class Verifier:
    """What was read, the pool as columns in the order of the file; what was found goes to the screen, in sentences."""

    def __init__(self) -> None:
        self.differences, self.header, self.promise, self.told = 0, dict[str, Any](), dict[str, Any](), dict[str, Any]()
        self.prefix, self.branches, self.ids = b"", list[bytes](), list[bytes]()  # prefix + id is hashed to a ticket
        self.groups, self.heads, self.cells, self.places = array("I"), array("Q"), bytearray(), bytearray()
        self.rows: dict[bytes, list[Any]] = {EXCLUDED: [], WINNER: []}

    def say(self, word: str, sentence: str) -> None:
        self.differences += word == "DIFF"
        if word != "DIFF" or self.differences <= 20:  # more would hide the first ones
            print(f"{word:5} {sentence}")

    def check(self, agrees: bool, fine: str, different: str) -> None:
        self.say("ok" if agrees else "DIFF", fine if agrees else different)

    def check_commitment(self, line: bytes, key: str | None) -> None:
        """The header, the signature under the commitment, and the form of what it fixes. Raises Broken."""
        if not line.startswith(b'{"bundle":"draw/1",'):
            raise Broken("line 1 is not the header of a draw/1 bundle")
        self.header = json.loads(line)
        text = str(self.header.get("commitment"))
        ceremony = '"source":"ceremony"' in text
        check_form("header", self.header, HEADER | REVEALED if ceremony else HEADER)
        promise = self.promise = json.loads(text)
        drawn = dict(sorted((DRAND | OFFICIALS).items())) if ceremony else DRAND
        check_form("commitment", promise, PROMISE | {"randomness": drawn})
        self.told = json.loads(self.header["reveals"]) if ceremony else {}
        check_form("reveals", self.told, REVEALS if ceremony else {})
        self.say("draw", f"{promise['programme']}, wave {promise['wave']}, root {promise['pool']['root']}")
        self.say("", "Compare this root with the one that the programme published for the wave, on its page or in its")
        self.say("", "public event: a draw that was set aside has a bundle that agrees, too, but another root.")
        form = json.dumps(self.header, separators=COMPACT) + "\n"
        canonical = form.encode() == line and json.dumps(promise, sort_keys=True, separators=COMPACT) == text
        wrong = "line 1: the header, or the commitment in it, is not in its canonical form"
        self.check(canonical, "header and commitment are canonical", wrong)
        signer = bytes.fromhex(promise["signing_key"])
        message, signature = b"gelombang draw/1 commitment\x00" + text.encode(), bytes.fromhex(self.header["signature"])
        fine, wrong = f"the commitment is signed by {signer.hex()}", "the signature under the commitment is wrong"
        self.check(ed25519_verify(signer, message, signature), fine, wrong)
        if key:
            self.check(key.lower() == signer.hex(), "by the expected key", "the commitment is signed by another key")
        else:
            self.say("WARN", "whose key that is was not checked: give the one that the page /periksa shows as --key")
        cells = [CELLS[f'{province}","{tier}'.encode()] for province, tier, _ in promise["quotas"]]
        fine = f"the quotas are consistent ({sum(count for _, _, count in promise['quotas'])} seats)"
        self.check(cells == sorted(set(cells)), fine, "the quotas are doubled or unsorted")

    def check_randomness(self) -> None:
        """The announced round, when it was out, its hash and, where possible, its BLS signature; the seed."""
        told, announced = self.header["randomness"], self.promise["randomness"]
        number, ceremony = announced["round"], announced["source"] == "ceremony"
        self.check(told["round"] == number, f"round {number} was announced and used", "another round was used")
        tag = {"ceremony": b"gelombang draw/1 ceremony\x00", "drand": b"gelombang draw/1 seed\x00"}[announced["source"]]
        genesis = datetime.fromtimestamp(announced["genesis_time"], UTC)
        period = timedelta(seconds=announced["period_seconds"])
        out_at = genesis + period * (number - 1)
        committed = datetime.fromisoformat(self.promise["committed_at"])
        earliest = max(datetime.fromisoformat(self.promise["draws_at"]), committed + LEAD)
        if ceremony:
            earliest = max(earliest, datetime.fromisoformat(announced["reveal_until"]) + LEAD)
        first = max(1, -((genesis - earliest) // period) + 1)
        after = "the first one after the commitment and the draw's time"
        wrong = f"round {first} is {after}; another one was announced"
        self.check(number == first and out_at > committed, f"it was out at {out_at.isoformat()}, {after}", wrong)
        other = [name for name, known in QUICKNET.items() if announced[name] != known]
        if not {"chain", "public_key"} <= set(other):
            wrong = f"the beacon has the name or key of quicknet, but not its {', '.join(other)}: it may be long known"
            self.check(not other, "the beacon is drand's quicknet", wrong)
        else:
            foreseen = "this file knows drand's quicknet alone, and who owns a chain can foresee its rounds"
            self.say("WARN", f"the beacon is chain {announced['chain']}: {foreseen}")
        signature, randomness = bytes.fromhex(told["signature"]), bytes.fromhex(told["randomness"])
        hashed, of = sha256(signature).digest() == randomness, "hash of the beacon's signature"
        self.check(hashed, f"randomness = {of}", f"randomness is no {of}")
        verdict = bls_verify(announced, number, signature)
        if verdict is not None:
            self.check(verdict, "the beacon's signature is genuine", "the beacon's signature is not genuine")
        else:
            compare = f"Compare round {number} of chain {announced['chain']} with the beacon's own: {told['signature']}"
            self.say("WARN", f"the beacon's BLS signature was not checked (pip install py_ecc). {compare}")
        parts = self.check_reveals(committed, out_at) if ceremony else []
        seed = sha256(tag + bytes.fromhex(self.promise["pool"]["root"]) + randomness + b"".join(parts)).digest()
        self.prefix, same = b"gelombang draw/1 ticket\x00" + seed, seed.hex() == self.header["seed"]
        self.check(same, f"the seed is {seed.hex()}", "the published seed is another one")

    def check_reveals(self, committed: datetime, out_at: datetime) -> list[bytes]:
        """Section 6: the officials, the signed list of reveals and its time; each official's part of the seed."""
        promise, text, told = self.promise, self.header["reveals"], self.told
        officials = promise["randomness"]["officials"]
        until, closed = map(datetime.fromisoformat, (promise["randomness"]["reveal_until"], told["closed_at"]))
        offices, hashes = [office for office, _ in officials], [promised for _, promised in officials]
        key, signature = bytes.fromhex(promise["signing_key"]), bytes.fromhex(self.header["reveals_signature"])
        for office in sorted({office for office, other in pairwise(sorted(offices)) if office == other}):
            self.say("DIFF", f"{office} stands more than once among the officials")
        self.check(
            len(hashes) > 1 and hashes == sorted(set(hashes)) and committed < until <= closed < out_at
            and told["root"] == promise["pool"]["root"] and text == json.dumps(told, sort_keys=True, separators=COMPACT)
            and [office for office, _ in told["reveals"]] == offices
            and ed25519_verify(key, b"gelombang draw/1 reveals\x00" + text.encode(), signature),
            f"the list of reveals was closed and signed before the round was out, at {closed.isoformat()}",
            "the list of reveals is not the signed one of this wave, or was not closed in time",
        )  # fmt: skip
        about, parts = promise["programme"].encode() + b"\x00" + promise["wave"].to_bytes(4, "big"), []
        for (office, promised), (_, secret) in zip(officials, told["reveals"], strict=False):
            if secret is None:
                self.say("WARN", f"{office} did not reveal their secret; it had no part in the seed")
            elif sha256(b"gelombang draw/1 secret\x00" + about + bytes.fromhex(secret)).hexdigest() != promised:
                self.say("DIFF", f"the secret of {office} is not the one they had committed to")
            parts.append(b"\x00" + bytes.fromhex(promised) if secret is None else b"\x01" + bytes.fromhex(secret))
        return parts

    def read(self, path: Path) -> None:
        """Read all lines after the header; a large file by all processors. Raises Broken."""
        columns, large = (self.groups, self.heads, self.cells, self.places), path.stat().st_size >= LARGE
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) if large else nullcontext() as processes:
            for branch, ids, *more in (processes.map if processes else map)(read_block, self.scan(path)):
                self.branches.append(branch)
                self.ids += [ids[at : at + 16] for at in range(0, len(ids), 16)]
                for column, values in zip(columns, more, strict=True):
                    column.extend(values)
                if large and sys.stderr.isatty():
                    print(f"      {len(self.ids):,} entries read", end="\r", file=sys.stderr, flush=True)

    def scan(self, path: Path) -> Iterator[tuple[Path, int, int, int, bytes]]:
        """Hash the file, take in its shorter lists, and say where the entries stand, block by block. Raises Broken."""
        kinds = list(KINDS)
        with path.open("rb") as file:
            line = file.readline()
            told, before, offset = sha256(line), 1, len(line)
            for lines in iter(lambda: list(islice(file, BLOCK)), []):
                alike = lines[0][:4] == lines[-1][:4]
                for kind, run in [(lines[0][:4], lines)] if alike else groupby(lines, key=lambda line: line[:4]):
                    data, kinds = b"".join(run), kinds[kinds.index(kind) :] if kind in kinds else []
                    if kind == CLOSING and kinds:
                        closing = b'{"end":{"lines":%d,"sha256":"%b"}}\n' % (before, told.hexdigest().encode())
                        wrong = f"the file was changed: its closing hash (line {before + 1}) differs"
                        self.check(data == closing, f"the file is whole ({before} lines)", wrong)
                        kinds = []  # nothing comes after it
                    elif kind == ENTRY and kinds:
                        yield path, offset, len(data), before, self.prefix
                    else:
                        self.rows.get(kind, []).extend(fields(data, kind if kinds else b"", before))
                    told.update(data)
                    before, offset = before + data.count(b"\n"), offset + len(data)
        if kinds:
            raise Broken("the closing line is missing: the file is not complete")

    def check_pool(self) -> None:
        """The order of the applications, the Merkle root, and the intake that registration stated."""
        promise, ids, excluded = self.promise, self.ids, [bytes.fromhex(row.decode()) for row in self.rows[EXCLUDED]]
        everybody = sorted(ids + excluded)
        for each in ids, excluded, everybody:
            for before, after in () if all(map(bytes.__lt__, each, islice(each, 1, None))) else pairwise(each):
                if before >= after:
                    self.say("DIFF", f"application {after.hex()} is there twice, or out of order")
        found = {"count": len(ids), "root": merkle_root(self.branches).hex()}
        wrong = f"the pool does not have the root that was signed: {found} instead of {promise['pool']}"
        self.check(found == promise["pool"], f"the root of the {len(ids)} entries is {found['root']}", wrong)
        count, intake = len(excluded), {"count": len(everybody), "digest": sha256(b"".join(everybody)).hexdigest()}
        same = intake == promise["intake"] and count == sum(promise["excluded"].values())
        wrong = f"are not those of the closed intake: {intake}, {count} of them excluded"
        fine = f"are the {len(everybody)} of the closed intake; excluded before the draw: {promise['excluded']}"
        self.check(same, f"pool and excluded applications {fine}", f"pool and excluded applications together {wrong}")

    def lowest(self, leaves: Sequence[int], count: int) -> list[int]:
        """The `count` lowest tickets in their order: by 8 bytes (heads) or, where any are equal, by all and the id."""
        # Where enough are below a bar, nobody above it needs to be sorted.
        bar = (2 * count + 500) * 2**64 // max(1, len(leaves))
        below = [leaf for leaf in leaves if self.heads[leaf] < bar]
        found = sorted(below if len(below) >= count else leaves, key=self.heads.__getitem__)
        if len(set(map(self.heads.__getitem__, found))) < len(found):
            found.sort(key=lambda leaf: (sha256(self.prefix + self.ids[leaf]).digest(), self.ids[leaf]))
        return found[:count]

    def staying(self) -> Sequence[Sequence[int]]:
        """Section 8.1: who stays, by stratum in the order of the pool; and the form of the groups. Raises Broken."""
        free, members, cap = bytearray(), array("I"), self.promise["household_cap"]
        for leaf, (group, places) in enumerate(zip(self.groups, self.places, strict=True)):
            if group == len(free):
                free.append(places)
                members.append(0)
            elif group > len(free):
                raise Broken(f"application {self.ids[leaf].hex()} has household group {group}; {len(free)} was next")
            members[group] += 1
            if places != free[group] or places > cap:
                wrong = f"{places} places; its household has {free[group]}, the cap is {cap}"
                self.say("DIFF", f"application {self.ids[leaf].hex()} has {wrong}")
        cells, crowded = bytearray(self.cells), dict[int, list[int]]()
        for leaf, group in enumerate(self.groups):
            if members[group] > free[group]:
                cells[leaf] = LEFT
                crowded.setdefault(group, []).append(leaf)
        for group, household in crowded.items():
            for leaf in self.lowest(household, free[group]):
                cells[leaf] = self.cells[leaf]
        queues = [array("I") for _ in range(LEFT + 1)]
        for leaf, cell in enumerate(cells):
            queues[cell].append(leaf)
        return queues[:LEFT]

    def draw(self, queues: Sequence[Sequence[int]]) -> dict[int, tuple[int, int]]:
        """The winners by section 8, steps 2 to 5: leaf -> (rank, stratum of the seat)."""
        won: dict[int, tuple[int, int]] = {}
        free, taken = [0] * LEFT, [0] * LEFT

        def seat(leaves: Iterable[int], cells: Iterable[int]) -> None:
            for leaf, cell in zip(leaves, cells, strict=False):
                own = self.cells[leaf]
                taken[own] += 1
                free[cell] -= 1
                won[leaf] = (taken[own], cell)

        for province, tier, count in self.promise["quotas"]:
            free[CELLS[f'{province}","{tier}'.encode()]] = count
        for cell in range(LEFT):
            seat(self.lowest(queues[cell], free[cell]), repeat(cell))
        for cell in (cell for cell in range(LEFT) if free[cell]):
            seat(self.lowest(queues[cell ^ 1], taken[cell ^ 1] + free[cell])[taken[cell ^ 1] :], repeat(cell))
        waiting = [leaf for leaf in chain(*queues) if leaf not in won] if sum(free) else []
        # One by one, not as a list: a forger may have promised thousands of millions of seats.
        seat(self.lowest(waiting, sum(free)), chain.from_iterable(map(repeat, range(LEFT), free)))
        return won

    def check_winners(self) -> None:
        """Every winner with rank and seat."""
        ours, theirs, last = self.draw(self.staying()), dict[int, tuple[int, int]](), -1
        for leaf, rank, stratum in ((int(leaf), int(rank), stratum) for leaf, rank, stratum in self.rows[WINNER]):
            if leaf <= last:
                self.say("DIFF", f"leaf {leaf} is among the winners twice, or out of order")
            theirs[leaf], last = (rank, CELLS[stratum]), leaf
        for leaf in sorted(leaf for leaf in ours.keys() | theirs.keys() if ours.get(leaf) != theirs.get(leaf)):
            pairs = (won.get(leaf, (0, 0)) for won in (ours, theirs))
            mine, published = (f"rank {rank}, a seat of {cell >> 1:02} {TIERS[cell & 1]}" for rank, cell in pairs)
            who = f"application {self.ids[leaf].hex() if leaf < len(self.ids) else '?'} (leaf {leaf})"
            if leaf not in theirs:
                self.say("DIFF", f"{who} should have won: {mine}")
            elif leaf not in ours:
                self.say("DIFF", f"{who} is published as a winner but did not win")
            else:
                self.say("DIFF", f"{who}: rank and seat should be {mine}; published are {published}")
        same = ours == theirs and self.header["winners"] == len(ours)
        wrong = f"{len(ours)} won; the bundle has {len(theirs)} winners, its header says {self.header['winners']}"
        self.check(same, f"the {len(ours)} winners are the same, with the same ranks and seats", wrong)


def check_form(name: str, value: Any, form: Any) -> None:
    """Raises Broken, with the name of the part of line 1 that does not have its form."""
    told, keys = json.dumps(value, separators=COMPACT), list(value) if type(value) is dict else []
    if type(form) is str and not re.fullmatch(form, told):
        raise Broken(f"line 1: {name} is {told:.80}, not of the form {form:.80}")
    if type(form) is dict and keys != list(form):
        odd = sorted({*form} ^ {*keys}) or "their order"
        raise Broken(f"line 1: {name} does not have exactly the keys of draw/1: see {odd!a:.300}")
    for key in form if type(form) is dict else ():
        check_form(f"{name}.{key}", value[key], form[key])


def fields(data: bytes, kind: bytes, before: int) -> list[Any]:
    """The fields of lines that all have the form of their kind. Raises Broken; `before` lines stand before them."""
    found = FORMS[kind].findall(data) if kind else []
    if len(found) < data.count(b"\n") or not data.endswith(b"\n"):
        lines = data.split(b"\n")
        wrong = (at for at, line in enumerate(lines) if not kind or not FORMS[kind].match(line + b"\n"))
        at = next(wrong, len(lines) - 1)
        told = "is no entry, no excluded application and no winner, or not in its place, or not as draw/1 writes it"
        raise Broken(f"line {before + at + 1} {told}: {lines[at][:200]!r}")
    return found


def read_block(task: tuple[Path, int, int, int, bytes]) -> tuple[Any, ...]:
    """The branch of the tree over one run of entry lines, and their columns. Raises Broken."""
    path, offset, size, before, prefix = task
    with path.open("rb") as file:
        file.seek(offset)
        rows = fields(file.read(size), ENTRY, before)
    leaves, names, strata, groups, places, salts = zip(*rows, strict=True)
    for leaf, found, name in zip(range(before - 1, before + len(rows)), map(int, leaves), names, strict=False):
        if leaf != found:
            raise Broken(f"line {leaf + 2}: leaf {found} ({name.decode()}), not {leaf}: an entry is missing or doubled")
    group, free, ids = array("I", map(int, groups)), bytes(map(int, places)), bytes.fromhex(b"".join(names).decode())
    columns = zip(salts, names, map(SPELLED.__getitem__, strata), group, free, strict=True)
    data = bytes.fromhex(b"".join([b"00%b%b%b%08x%02x" % entry for entry in columns]).decode())
    branch = merkle_root([sha256(data[at : at + 41]).digest() for at in range(0, len(data), 41)])
    tickets = [sha256(prefix + ids[at : at + 16]).digest() for at in range(0, len(ids), 16)]
    heads = array("Q", [int.from_bytes(ticket[:8], "big") for ticket in tickets])
    return branch, ids, group, heads, bytes(map(CELLS.__getitem__, strata)), free


def merkle_root(hashes: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, over leaf hashes or whole branches."""
    while len(hashes) > 1:
        odd = hashes[-1:] if len(hashes) % 2 else []
        hashes = [sha256(b"\x01" + hashes[at] + hashes[at + 1]).digest() for at in range(0, len(hashes) - 1, 2)] + odd
    return hashes[0] if hashes else sha256().digest()


P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def ed25519_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is genuine (RFC 8032, section 5.1)."""

    def recover(data: bytes) -> Point | None:  # 32 bytes, in extended coordinates
        sign, y = divmod(int.from_bytes(data, "little"), 1 << 255)
        square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
        x = pow(square, (P + 3) // 8, P)
        if (x * x - square) % P:
            x = x * pow(2, (P - 1) // 4, P) % P
        if y >= P or (x * x - square) % P or (x == 0 and sign):
            return None
        x = P - x if x & 1 != sign else x
        return x, y, 1, x * y % P

    def plus(a: Point, b: Point) -> Point:
        c, d = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
        e, f = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
        g, h, i, j = d - c, f - e, f + e, d + c
        return g * h % P, i * j % P, h * i % P, g * j % P

    def times(scalar: int, point: Point) -> Point:
        doubled = times(scalar >> 1, plus(point, point)) if scalar else (0, 1, 1, 0)
        return plus(doubled, point) if scalar & 1 else doubled

    public, r, base = map(recover, (key, signature[:32], (4 * pow(5, P - 2, P) % P).to_bytes(32, "little")))
    digest = sha512(signature[:32] + key + message).digest()
    s, h = int.from_bytes(signature[32:], "little"), int.from_bytes(digest, "little") % L
    if public is None or r is None or base is None or s >= L or (len(key), len(signature)) != (32, 64):
        return False
    left, right = times(s, base), plus(r, times(h, public))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def bls_verify(announced: dict[str, Any], number: int, signature: bytes) -> bool | None:
    """Whether the chain's key signed this round; None where py_ecc is not installed."""
    try:
        names = "py_ecc.bls.g2_primitives", "py_ecc.bls.hash_to_curve", "py_ecc.optimized_bls12_381"
        points, hashing, curve = map(import_module, names)
    except ImportError:
        return None
    try:
        point, public = points.pubkey_to_G1(signature), points.signature_to_G2(bytes.fromhex(announced["public_key"]))
    except ValueError:
        return False
    if any(curve.is_inf(place) or not points.subgroup_check(place) for place in (point, public)):
        return False
    message, domain = sha256(number.to_bytes(8, "big")).digest(), b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
    hashed = hashing.hash_to_G1(message, domain, sha256)
    left = curve.pairing(public, hashed, final_exponentiate=False)
    right = curve.pairing(curve.G2, curve.neg(point), final_exponentiate=False)
    return bool(curve.final_exponentiate(left * right) == curve.FQ12.one())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run a published draw again and compare everything.")
    parser.add_argument("bundle", help="the bundle, as downloaded", type=Path)
    parser.add_argument("--key", help="the Ed25519 key that must have signed the commitment (hexadecimal)")
    given, verifier = parser.parse_args(arguments), Verifier()
    try:
        with given.bundle.open("rb") as file:
            verifier.check_commitment(file.readline(), given.key)
        verifier.check_randomness()
        verifier.read(given.bundle)
        verifier.check_pool()
        verifier.check_winners()
    except (Broken, OSError) as error:
        verifier.say("DIFF", f"{error}. What comes after it was not checked")
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        wrong = f"line 1 is no JSON, or a value in it is out of all bounds: {error!a:.200}"
        verifier.say("DIFF", f"{wrong}. What comes after it was not checked")
    print(f"The draw does NOT agree: {count} difference(s)." if (count := verifier.differences) else "The draw agrees.")
    return min(1, count)


if __name__ == "__main__":
    sys.exit(main())
