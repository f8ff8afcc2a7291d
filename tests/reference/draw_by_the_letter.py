"""docs/draw.md, sections 3 to 8, as a stranger would write it who has only the page. Shares no code with the project.

Slow and plain on purpose: each sentence of the page is a line or two here, in the order of the page.
"""

import hashlib
from typing import NamedTuple


class Entry(NamedTuple):
    application_id: bytes
    province: str
    tier: str
    group: int
    places: int


class Result(NamedTuple):
    """Of one leaf; `rank` is None for `household-cap`, `seat` None for everybody without one."""

    ticket: bytes
    rank: int | None
    seat: tuple[str, str] | None


def h(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def entry_bytes(entry: Entry) -> bytes:
    tier = {"priority": b"\x01", "public": b"\x02"}[entry.tier]
    province = entry.province.encode("ascii")
    return entry.application_id + province + tier + entry.group.to_bytes(4, "big") + entry.places.to_bytes(1, "big")


def leaf_hash(salt: bytes, entry: Entry) -> bytes:
    return h(b"\x00", salt, entry_bytes(entry))


def tree_hash(leaves: list[bytes]) -> bytes:
    """The recursive definition of RFC 9162, section 2.1.1, over leaf hashes."""
    if not leaves:
        return h()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return h(b"\x01", tree_hash(leaves[:split]), tree_hash(leaves[split:]))


def seed(root: bytes, randomness: bytes) -> bytes:
    return h(b"gelombang draw/1 seed", b"\x00", root, randomness)


def secret_commitment(programme: str, wave: int, secret: bytes) -> bytes:
    number = wave.to_bytes(4, "big")
    return h(b"gelombang draw/1 secret", b"\x00", programme.encode("ascii"), b"\x00", number, secret)


def ceremony_seed(root: bytes, randomness: bytes, officials: list[tuple[bytes, bytes | None]]) -> bytes:
    """`officials`: secret commitment and, from those who revealed, the secret."""
    parts = [b"\x00" + promised if secret is None else b"\x01" + secret for promised, secret in officials]
    return h(b"gelombang draw/1 ceremony", b"\x00", root, randomness, *parts)


def ticket(drawn: bytes, application_id: bytes) -> bytes:
    return h(b"gelombang draw/1 ticket", b"\x00", drawn, application_id)


def draw(pool: list[Entry], quotas: dict[tuple[str, str], int], drawn: bytes) -> list[Result]:
    """The result of every leaf."""
    tickets = [ticket(drawn, entry.application_id) for entry in pool]
    ascending = sorted(range(len(pool)), key=lambda leaf: (tickets[leaf], pool[leaf].application_id))

    # 1. Household cap.
    left = {entry.group: entry.places for entry in pool}
    stayed = []
    for leaf in ascending:
        if left[pool[leaf].group] > 0:
            left[pool[leaf].group] -= 1
            stayed.append(leaf)

    # 2. Rank.
    ranks: dict[int, int] = {}
    ranked: dict[tuple[str, str], int] = {}
    for leaf in stayed:
        stratum = (pool[leaf].province, pool[leaf].tier)
        ranked[stratum] = ranked.get(stratum, 0) + 1
        ranks[leaf] = ranked[stratum]

    # 3. Own stratum. "priority" < "public", so sorted pairs are in the order of the page.
    unfilled = dict(sorted(quotas.items()))
    seats: dict[int, tuple[str, str]] = {}
    for leaf in stayed:
        stratum = (pool[leaf].province, pool[leaf].tier)
        if unfilled.get(stratum, 0) > 0:
            unfilled[stratum] -= 1
            seats[leaf] = stratum

    _spill(pool, stayed, unfilled, seats)
    return [Result(tickets[leaf], ranks.get(leaf), seats.get(leaf)) for leaf in range(len(pool))]


def _spill(
    pool: list[Entry], stayed: list[int], unfilled: dict[tuple[str, str], int], seats: dict[int, tuple[str, str]]
) -> None:
    # 4. Other tier.
    queues: dict[tuple[str, str], list[int]] = {}
    for leaf in stayed:
        queues.setdefault((pool[leaf].province, pool[leaf].tier), []).append(leaf)
    for province, tier in unfilled:
        for leaf in queues.get((province, "public" if tier == "priority" else "priority"), []):
            if unfilled[province, tier] == 0:
                break
            if leaf not in seats:
                seats[leaf] = (province, tier)
                unfilled[province, tier] -= 1

    # 5. Whole country.
    free = [stratum for stratum, count in unfilled.items() for _ in range(count)]
    for leaf in stayed:
        if free and leaf not in seats:
            seats[leaf] = free.pop(0)
