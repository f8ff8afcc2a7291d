"""Plots as SVG files, drawn here: bars with their spread, and lines over time. No script, readable aloud."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

OURS, RIVAL, INK, GREY = "#0b4f8a", "#6b7280", "#1f2937", "#d1d5db"
COLOURS: Final = ("#0b4f8a", "#c2571a", "#4a90d9", "#6b7280")
WIDTH: Final = 760
LABEL: Final = 230


@dataclass(frozen=True, slots=True)
class Bar:
    """The figure of one contestant; `min` and `max` are its extremes over all rounds."""

    name: str
    median: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Line:
    """One series over time, with the unit its greatest value is written in."""

    name: str
    values: Sequence[float]
    unit: str = ""


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _svg(height: float, title: str, description: str, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t d" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'font-family="system-ui, sans-serif" font-size="13"><title id="t">{escape(title)}</title>'
        f'<desc id="d">{escape(description)}</desc><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """One bar per contestant: its length is the median, the thin line its spread. Ours are blue."""
    most = max([row.max for row in rows] + [1e-9])
    room = WIDTH - LABEL - 110
    parts = [f'<text x="8" y="20" fill="{INK}" font-weight="600">{escape(title)} ({escape(unit)})</text>']
    for index, row in enumerate(rows):
        top = 34 + index * 28
        low, high, length = (LABEL + value * room / most for value in (row.min, row.max, row.median))
        colour = OURS if row.name.startswith("ours") else RIVAL
        parts.append(
            f'<text x="{LABEL - 8}" y="{top + 14}" text-anchor="end" fill="{INK}">{escape(row.name)}</text>'
            f'<rect x="{LABEL}" y="{top}" width="{max(length - LABEL, 1):.1f}" height="18" rx="2" fill="{colour}"/>'
            f'<path d="M{low:.1f} {top + 9}H{high:.1f}M{low:.1f} {top + 4}v10M{high:.1f} {top + 4}v10" stroke="{INK}" '
            f'stroke-width="1.5"/><text x="{high + 8:.1f}" y="{top + 14}" fill="{INK}">{number(row.median)}</text>'
        )
    told = "; ".join(f"{row.name}: {number(row.median)}" for row in rows)
    return _svg(34 + len(rows) * 28 + 8, title, f"{told} {unit}", "".join(parts))


def lines(title: str, seconds: Sequence[float], series: Sequence[Line]) -> str:
    """One strip per series over the same time, each with a scale of its own that begins at zero."""
    tall, left, right = 84, 16, WIDTH - 16
    span = max(seconds[-1] if seconds else 0, 1e-9)
    parts = [f'<text x="8" y="20" fill="{INK}" font-weight="600">{escape(title)}</text>']
    for index, line in enumerate(series):
        top = 40 + index * (tall + 34)
        most = max([*line.values, 1e-9])
        points = " ".join(
            f"{left + at / span * (right - left):.1f},{top + 16 + tall - value / most * tall:.1f}"
            for at, value in zip(seconds, line.values, strict=True)
        )
        parts.append(
            f'<text x="{left}" y="{top + 8}" fill="{INK}">{escape(_greatest(line))}</text>'
            f'<path d="M{left} {top + 16 + tall}H{right}" stroke="{GREY}"/>'
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[index % len(COLOURS)]}" stroke-width="1.5"/>'
        )
    told = "; ".join(map(_greatest, series))
    return _svg(40 + len(series) * (tall + 34), title, f"over {span:.0f} seconds: {told}", "".join(parts))


def _greatest(line: Line) -> str:
    return f"{line.name}: at most {number(max([*line.values, 0]))} {line.unit}"
