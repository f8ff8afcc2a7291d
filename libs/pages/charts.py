"""Bars as inline SVG, made here and needing no script. Words and figures stand beside them as text of the page."""

from typing import Final

from markupsafe import Markup

BAR: Final = Markup(
    '<svg class="bar {tone}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
    '<rect class="track" width="100" height="8"/><rect class="part" width="{width}" height="8"/></svg>'
)


def bar(part: float, whole: float, tone: str = "") -> Markup:
    """A bar filled to `part` of `whole`; `tone` is a class of the stylesheet. Hidden from screen readers: the figure
    that stands beside it says the same."""
    share = min(1.0, max(0.0, part / whole)) if whole else 0.0
    return BAR.format(tone=tone, width=f"{share * 100:.4g}")
