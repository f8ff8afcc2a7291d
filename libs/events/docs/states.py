"""State diagrams, drawn from the TRANSITIONS tables of the services' domains.

Each state is a column with a life line; each legal transition is a row, an arrow from column to column with its event
above it. Nothing can overlap, whatever the table holds, and a reader can follow it from top to bottom. A state that
nothing leads to is where it begins; one that nothing leaves has a double frame.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from html import escape
from pathlib import Path
from typing import Any, Final

from libs.events.contracts import Event

ROOT: Final = Path(__file__).parents[3]
FOLDER: Final = ROOT / "docs/states"

CHARACTER, HEAD, ROW, MARGIN, GAP = 7.4, 34, 34, 16, 34
"""Pixels: a character of the labels, the height of a state and of a row, the frame, the least room between columns."""

ROWS_WITHOUT_FOOT: Final = 14
"""A longer diagram names its states again at the foot, so that nobody has to scroll back."""

STYLE: Final = (
    "text{font:13px system-ui,'Segoe UI',Roboto,sans-serif;fill:#1a1a1a}"
    ".state{font-weight:600}.box{fill:#eef4fb;stroke:#1d4f91;stroke-width:1.5}.end{fill:none;stroke:#1d4f91}"
    ".life{stroke:#8a97a8;stroke-dasharray:3 4}.go{stroke:#1a1a1a;stroke-width:1.4;fill:none}"
)

Table = tuple[tuple[str, str, str], ...]
"""from, event, to"""


@dataclass(frozen=True, slots=True)
class Diagram:
    service: str
    name: str
    table: Table

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.service}-{self.name}.svg"


def diagrams(service: str) -> Iterator[Diagram]:
    """Every table of a service. Raises ImportError and its like where the service can not be imported."""
    domain = ROOT / "services" / service / "domain"
    for file in sorted(domain.rglob("*.py")):
        names = re.findall(r"^(\w*TRANSITIONS)\b.*=", file.read_text(), re.MULTILINE)
        if not names:
            continue
        module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for name in names:
            prefix = name.removesuffix("TRANSITIONS").strip("_").lower().replace("_", "-")
            title = "-".join(filter(None, (file.stem.replace("_", "-"), prefix)))
            yield Diagram(service, title, table_of(getattr(module, name)))


def table_of(transitions: Mapping[Any, Any]) -> Table:
    """`{(state, event): state}` or `{state: states}` as plain words. None is what is not there yet."""
    rows: list[tuple[str, str, str]] = []
    for key, target in transitions.items():
        if isinstance(key, tuple):
            rows.append((word(key[0]), word(key[1]), word(target)))
        else:
            rows += [(word(key), "", word(one)) for one in target]
    return tuple(rows)


def word(thing: Any) -> str:
    """The programme's word for a state or an event."""
    if thing is None:
        return "(new)"
    if isinstance(thing, Enum):
        return str(thing.value)
    if isinstance(thing, type) and issubclass(thing, Event):
        return thing.TYPE
    name = thing if isinstance(thing, str) else thing.__name__
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def states_of(table: Table) -> list[str]:
    """The states in the order in which the table first comes to them, those that nothing leads to first."""
    targets = {to for start, _, to in table if to != start}
    order = [start for start, _, _ in table if start not in targets]
    order += [state for start, _, to in table for state in (start, to)]
    return list(dict.fromkeys(order))


def columns(table: Table) -> dict[str, float]:
    """The middle of each state's column, wide enough for its name and for the labels between neighbours."""
    states = states_of(table)
    place = {state: index for index, state in enumerate(states)}
    half = [half_width(state) for state in states]
    middle = [MARGIN + half[0]]
    for index in range(1, len(states)):
        middle.append(middle[-1] + half[index - 1] + half[index] + GAP)
    # A label needs the room between its two columns; a loop needs it to the right of its own.
    for start, event, to in table:
        low, high = sorted((place[start], place[to]))
        needed = len(event) * CHARACTER + 26
        if low != high and (lack := needed - (middle[high] - middle[low])) > 0:
            middle[high:] = [x + lack for x in middle[high:]]
    return dict(zip(states, middle, strict=True))


def half_width(state: str) -> float:
    """Half the width of a state's box: its name in bold, and some air."""
    return len(state) * CHARACTER * 0.54 + 12


def svg(diagram: Diagram) -> str:
    """The picture, with a title and a description that say the same in words."""
    middles = columns(diagram.table)
    foot = HEAD if len(diagram.table) > ROWS_WITHOUT_FOOT else 0
    height = 2 * MARGIN + HEAD + ROW * len(diagram.table) + 12 + foot
    loops = [middles[start] + len(event) * CHARACTER + 52 for start, event, to in diagram.table if start == to]
    name, last = max(middles.items(), key=lambda item: item[1])
    width = max([last + half_width(name) + MARGIN, *loops])
    title = escape(f"{diagram.service}: {diagram.name.replace('-', ' ')}")
    told = "; ".join(f"{start} to {to}{f' by {event}' if event else ''}" for start, event, to in diagram.table)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" role="img" aria-labelledby="title desc">',
        f'<title id="title">States of {title}</title>',
        f'<desc id="desc">Legal transitions: {escape(told)}.</desc>',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#1a1a1a"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height}" fill="#fff"/>',
        *(f'<path class="life" d="M{x:.1f} {MARGIN + HEAD}V{height - MARGIN - foot}"/>' for x in middles.values()),
        *_states(diagram.table, middles, MARGIN),
        *(_states(diagram.table, middles, height - MARGIN - HEAD) if foot else ()),
        *_rows(diagram.table, middles),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _states(table: Table, middles: Mapping[str, float], top: int) -> Iterator[str]:
    leaving = {start for start, _, _ in table}
    for state, x in middles.items():
        half = half_width(state)
        yield f'<rect class="box" x="{x - half:.1f}" y="{top}" width="{2 * half:.1f}" height="{HEAD}" rx="6"/>'
        if state not in leaving:
            inner = f'x="{x - half + 3:.1f}" y="{top + 3}" width="{2 * half - 6:.1f}" height="{HEAD - 6}"'
            yield f'<rect class="end" {inner} rx="4"/>'
        yield f'<text class="state" x="{x:.1f}" y="{top + 22}" text-anchor="middle">{escape(state)}</text>'


def _rows(table: Table, middles: Mapping[str, float]) -> Iterator[str]:
    for index, (start, event, to) in enumerate(table):
        y = MARGIN + HEAD + ROW * (index + 1)
        x, end = middles[start], middles[to]
        if start == to:
            yield f'<path class="go" d="M{x:.1f} {y - 12}h26v12H{x + 2:.1f}" marker-end="url(#tip)"/>'
            yield f'<text x="{x + 34:.1f}" y="{y - 2}">{escape(event)}</text>'
            continue
        yield f'<circle cx="{x:.1f}" cy="{y}" r="3"/>'
        yield f'<path class="go" d="M{x:.1f} {y}H{end - (2 if end > x else -2):.1f}" marker-end="url(#tip)"/>'
        # The label stands at the arrow's start, on a white ground so that life lines do not cross it.
        toward = 1 if end > x else -1
        anchor, edge = ("start", x + 8) if toward > 0 else ("end", x - 8)
        room = len(event) * CHARACTER
        left = edge - 2 if toward > 0 else edge - room - 2
        yield f'<rect x="{left:.1f}" y="{y - 18}" width="{room + 4:.1f}" height="15" fill="#fff"/>'
        yield f'<text x="{edge:.1f}" y="{y - 6}" text-anchor="{anchor}">{escape(event)}</text>'
