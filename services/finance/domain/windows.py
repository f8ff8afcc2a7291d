"""Live totals per minute, province and rail. A rough sight for people who watch; nothing decides by it.

A window is one minute of programme time (tumbling, by the time of the event, not of its arrival). Keys also carry the
Kafka partition, so that each partition's share can be rebuilt from its own changelog; readers add the shares up.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from libs.events.contracts import Event, Payment

WINDOW_SECONDS: Final = 60
WINDOWS_KEPT: Final = 120
"""Minutes in which something happened, per partition. Older ones are forgotten, however long ago they are."""

KINDS: Final = ("incentive-submitted", "incentive-paid", "incentive-failed", "incentive-returned")

Share = Mapping[str, list[int]]
"""For each kind of event that occurred: how many, and how many rupiah."""


def minute_of(at: datetime) -> int:
    """The window an event falls into, as the Unix time of its first second."""
    seconds = int(at.timestamp())
    return seconds - seconds % WINDOW_SECONDS


def key_of(partition: int, event: Payment) -> str:
    """The window, province and rail of an event, as the share of one partition: `7|1588294800|31|bank`."""
    return f"{partition}|{minute_of(event.at)}|{event.province}|{event.rail}"


def place_of(key: str) -> tuple[int, int]:
    """The partition and the window of a key."""
    partition, minute, _ = key.split("|", 2)
    return int(partition), int(minute)


def counted(share: Share, event: Event, amount_rupiah: int) -> dict[str, list[int]]:
    """The share with one more event. A new value: the old one may still be on its way to the changelog."""
    count, rupiah = share.get(event.TYPE, (0, 0))
    return {**share, event.TYPE: [count + 1, rupiah + amount_rupiah]}


def surplus(windows: Iterable[int]) -> Iterator[int]:
    """Those windows of one partition that are to be forgotten: all but the newest WINDOWS_KEPT."""
    return iter(sorted(windows)[:-WINDOWS_KEPT])


def read(shares: Iterable[tuple[str, Share]], last: int) -> list[dict[str, Any]]:
    """The newest `last` windows, newest first: one line per minute, province and rail, all partitions added up."""
    lines: dict[tuple[int, str, str], dict[str, list[int]]] = {}
    for key, share in shares:
        _, minute, province, rail = key.split("|")
        line = lines.setdefault((int(minute), province, rail), {kind: [0, 0] for kind in KINDS})
        for kind, (count, rupiah) in share.items():
            line[kind][0] += count
            line[kind][1] += rupiah
    newest = set(sorted({minute for minute, _, _ in lines})[-last:])
    return [
        {
            "minute": datetime.fromtimestamp(minute, UTC).isoformat(),
            "province": province,
            "rail": rail,
            **{kind.removeprefix("incentive-"): {"payouts": line[kind][0], "rupiah": line[kind][1]} for kind in KINDS},
        }
        for (minute, province, rail), line in sorted(lines.items(), key=lambda item: (-item[0][0], item[0][1:]))
        if minute in newest
    ]
