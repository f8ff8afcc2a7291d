"""Seconds against the number of applicants, both on logarithmic scales, as an SVG file."""

import math
from collections.abc import Mapping
from html import escape
from typing import Final

from tests.bench.plots import COLOURS, GREY, INK, WIDTH, number

HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 340, 60, 40, WIDTH - 30, 290
Points = Mapping[int, float]


def plot(title: str, series: Mapping[str, Points]) -> str:
    """One line per contestant; `series` has seconds by number of applicants."""
    sizes = [size for points in series.values() for size in points]
    seconds = [value for points in series.values() for value in points.values()]
    wide = _scale(min(sizes), max(sizes), LEFT, RIGHT)
    high = _scale(min(seconds), max(seconds), BOTTOM, TOP)
    parts: list[str] = []
    for power in range(math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds))) + 1):
        y = high(10.0**power)
        if TOP <= y <= BOTTOM:
            parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="{GREY}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    parts += [
        f'<text x="{wide(size):.1f}" y="{BOTTOM + 20}" text-anchor="middle">{size:,}</text>' for size in set(sizes)
    ]
    for at, (name, points) in enumerate(series.items()):
        path = " ".join(f"{wide(size):.1f},{high(value):.1f}" for size, value in sorted(points.items()))
        told = f"{name}: {number(points[max(points)])} s at {max(points):,}"
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[at]}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + 12}" y="{TOP + 16 + 18 * at}" fill="{COLOURS[at]}">{escape(told)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="13" '
        f'font-family="system-ui, sans-serif" fill="{INK}"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/><text x="8" y="20" font-weight="600">{escape(title)}</text>'
        f"{''.join(parts)}</svg>\n"
    )


class _scale:  # noqa: N801 - used as a function
    """A logarithmic scale from [low, high] to [begin, end]."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self._low, self._begin = math.log10(low), begin
        self._factor: Final = (end - begin) / max(math.log10(high) - self._low, 1e-9)

    def __call__(self, value: float) -> float:
        return self._begin + (math.log10(value) - self._low) * self._factor
