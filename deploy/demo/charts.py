"""Plots as inline SVG, made here and needing no script. Each has a title and a description to be read aloud.

Colours keep a contrast of at least 3:1 to white and differ in lightness, so that they can be told apart without hue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

DARK, LIGHT, WARM, GREY = "#0b4f8a", "#4a90d9", "#c2571a", "#6b7280"
WIDTH: Final = 720
FONT: Final = 'font-family="system-ui, sans-serif" font-size="13"'


def number(value: int) -> str:
    """A whole number as Indonesia writes it: 40.000."""
    return f"{value:,}".replace(",", ".")


def rupiah(amount: int) -> str:
    return f"Rp{number(amount)}"


def rupiah_short(amount: int) -> str:
    """A large amount with its unit, rounded for an axis or a label: Rp5,7 miliar."""
    for unit, name in ((10**12, "triliun"), (10**9, "miliar"), (10**6, "juta")):
        if amount >= unit:
            return f"Rp{amount / unit:.1f} {name}".replace(".", ",")
    return rupiah(amount)


@dataclass(frozen=True, slots=True)
class Row:
    """One bar; `mark` is a figure to compare it with, drawn as a line across."""

    label: str
    value: int
    mark: int | None = None
    text: str = ""


def _svg(height: int, title: str, description: str, body: str) -> str:
    name = "".join(letter for letter in title.lower() if letter.isalnum())
    return (
        f'<svg role="img" aria-labelledby="{name}-t {name}-d" viewBox="0 0 {WIDTH} {height}" {FONT}>'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>{body}</svg>'
    )


def bars(title: str, description: str, rows: Sequence[Row], label_width: int = 190) -> str:
    """Horizontal bars, one row each, with the value written behind."""
    most = max([row.value for row in rows] + [row.mark or 0 for row in rows] + [1])
    room = WIDTH - label_width - 110
    height, parts = 26, []
    for index, row in enumerate(rows):
        top = index * height + 6
        length = max(row.value * room / most, 1)
        text = row.text or number(row.value)
        parts.append(
            f'<text x="{label_width - 8}" y="{top + 14}" text-anchor="end" fill="#1f2937">{escape(row.label)}</text>'
            f'<rect x="{label_width}" y="{top}" width="{length:.1f}" height="18" rx="2" fill="{DARK}"/>'
        )
        end = length
        if row.mark is not None:
            at = label_width + row.mark * room / most
            end = max(length, row.mark * room / most)
            parts.append(f'<path d="M{at:.1f} {top - 3}v24" stroke="{WARM}" stroke-width="3"/>')
        parts.append(f'<text x="{label_width + end + 8:.1f}" y="{top + 14}" fill="#1f2937">{escape(text)}</text>')
    return _svg(len(rows) * height + 12, title, description, "".join(parts))


def columns(
    title: str,
    description: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, str, Sequence[int]]],
    unit: str = "",
) -> str:
    """Groups of vertical bars: `series` holds name, colour and one value per label."""
    most = max([value for _, _, values in series for value in values] + [1])
    top, bottom, left = 30, 250, 104 if unit else 64
    slot = (WIDTH - left) / max(len(labels), 1)
    width = min(slot * 0.8 / len(series), 48)
    parts = [_grid(most, top, bottom, left, unit)]
    for index, label in enumerate(labels):
        start = left + slot * index + (slot - width * len(series)) / 2
        for place, (name, colour, values) in enumerate(series):
            tall = values[index] * (bottom - top) / most
            parts.append(
                f'<rect x="{start + place * width:.1f}" y="{bottom - tall:.1f}" width="{max(width - 1, 1):.1f}" '
                f'height="{tall:.1f}" fill="{colour}">'
                f"<title>{escape(label)} {escape(name)}: {number(values[index])}</title></rect>"
            )
        parts.append(
            f'<text x="{left + slot * (index + 0.5):.1f}" y="{bottom + 18}" text-anchor="middle">{escape(label)}</text>'
        )
    parts.append(_legend([(name, colour) for name, colour, _ in series], bottom + 42, left))
    return _svg(bottom + 54, title, description, "".join(parts))


def _grid(most: int, top: int, bottom: int, left: int, unit: str) -> str:
    parts = []
    for share in (0, 0.5, 1):
        y = bottom - share * (bottom - top)
        value = int(most * share)
        text = rupiah_short(value) if unit == "Rp" else number(value)
        parts.append(
            f'<path d="M{left} {y:.1f}H{WIDTH}" stroke="#d1d5db"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{GREY}" font-size="11">{text}</text>'
        )
    return "".join(parts)


def _legend(entries: Sequence[tuple[str, str]], y: int, left: int) -> str:
    parts, x = [], left
    for name, colour in entries:
        parts.append(
            f'<rect x="{x}" y="{y - 11}" width="12" height="12" fill="{colour}"/>'
            f'<text x="{x + 18}" y="{y}" fill="#1f2937">{escape(name)}</text>'
        )
        x += 40 + 8 * len(name)
    return "".join(parts)


def parts_of_whole(title: str, description: str, parts: Sequence[tuple[str, str, int]]) -> str:
    """One bar cut into parts: name, colour and rupiah of each; small parts are still named below."""
    whole = max(sum(amount for _, _, amount in parts), 1)
    drawn, x = [], 0.0
    for name, colour, amount in parts:
        width = amount * WIDTH / whole
        percent = f"{amount * 100 / whole:.1f} %".replace(".", ",")
        drawn.append(
            f'<rect x="{x:.1f}" y="4" width="{width:.1f}" height="44" fill="{colour}">'
            f"<title>{escape(f'{name}: {rupiah(amount)}')}</title></rect>"
        )
        if width > 60:
            drawn.append(f'<text x="{x + width / 2:.1f}" y="31" text-anchor="middle" fill="#fff">{percent}</text>')
        x += width
    for index, (name, colour, amount) in enumerate(parts):
        y = 74 + 22 * index
        drawn.append(
            f'<rect x="0" y="{y - 11}" width="12" height="12" fill="{colour}"/>'
            f'<text x="18" y="{y}" fill="#1f2937">{escape(f"{name}: {rupiah(amount)}")}</text>'
        )
    return _svg(74 + 22 * len(parts), title, description, "".join(drawn))
