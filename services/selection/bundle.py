"""The public bundle of a draw: one file from which anybody can run it again. See docs/draw.md, section 10.

JSON Lines, written page by page while it is read from the store. A draw that is over does not change, so pages from
separate reads fit together, and no transaction stays open for as long as a slow reader takes.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from hashlib import sha256
from typing import Any

from libs.events.database import Database
from services.selection.pool_store import BEFORE_ALL, PAGE_ROWS, PoolStore


def header(view: Mapping[str, Any]) -> dict[str, Any]:
    """The first line: what was signed, the randomness that came afterwards, and the seed they make."""
    return {
        "bundle": "draw/1",
        **_signed(view),
        "randomness": {
            "round": view["beacon_round"],
            "signature": view["beacon_signature"].hex(),
            "randomness": view["randomness"].hex(),
        },
        "seed": view["seed"].hex(),
        "winners": view["winners"],
        **_reveals(view),
    }


def promise(view: Mapping[str, Any]) -> dict[str, str]:
    """What was signed before the draw, for people to keep: the commitment and, once closed, the list of reveals."""
    return _signed(view) | _reveals(view)


def _signed(view: Mapping[str, Any]) -> dict[str, str]:
    """The commitment as one string: the signature is over exactly these bytes."""
    return {"commitment": view["commitment"], "signature": view["signature"].hex()}


def _reveals(view: Mapping[str, Any]) -> dict[str, str]:
    """What a ceremony adds: the closed list, as the one string that was signed."""
    if view["reveals"] is None:
        return {}
    return {"reveals": view["reveals"], "reveals_signature": view["reveals_signature"].hex()}


def lines(values: Iterable[Any]) -> bytes:
    """Values as JSON Lines, without spaces."""
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


async def write(database: Database, pools: PoolStore, view: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """The bundle as pages of bytes: header, entries, excluded applications, winners, and a line that closes it."""
    told, count = sha256(), 0
    async for page in _pages(database, pools, view):
        data = lines(page)
        told.update(data)
        count += len(page)
        yield data
    yield lines([{"end": {"lines": count, "sha256": told.hexdigest()}}])


async def _pages(database: Database, pools: PoolStore, view: Mapping[str, Any]) -> AsyncIterator[list[Any]]:
    wave_id, count = view["wave_id"], view["pool_count"]
    yield [header(view)]
    for first in range(0, count, PAGE_ROWS):
        yield [
            [
                "e", row["leaf"], row["application_id"].hex(), row["province"], row["tier"], row["household_group"],
                row["places"], row["salt"].hex(),
            ]
            for row in await pools.pool_page(database, wave_id, first)
        ]  # fmt: skip
    after = BEFORE_ALL
    while page := await pools.excluded_page(database, wave_id, after):
        yield [["x", application_id] for application_id in page]
        after = page[-1]
    for first in range(0, count, PAGE_ROWS):
        yield [
            ["w", row["leaf"], row["rank"], row["seat_province"], row["seat_tier"]]
            for row in await pools.winners_page(database, wave_id, first)
        ]
