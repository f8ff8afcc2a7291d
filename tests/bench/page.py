"""The page of all measurements, made anew from their JSON files whenever one of them has run."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

HEAD = """# Benchmarks

Made by `make bench`; do not edit. `make bench ARGS="-k relay"` runs one of them. Every contestant runs in a process
of its own against real servers, in turns (A B A B …); a ratio is taken within a round, and the median and the extremes
of all rounds are shown. The broker, the database and the contestant share one machine: ratios carry over to another
one, rates do not.
"""

PAIRS_MIN: Final = 5


def render(out: Path) -> str:
    """The page for every NAME.json in a folder."""
    parts = [HEAD]
    for path in sorted(out.glob("*.json")):
        drawn = path.with_suffix(".svg").exists()
        parts += _section(path.stem, json.loads(path.read_text()), drawn)
    return "\n".join(parts)


def _section(name: str, told: Mapping[str, Any], drawn: bool) -> Iterator[str]:
    """One measurement. A file made elsewhere needs no more than `ratios`; whatever else it holds is shown."""
    title = told.get("title", name)
    yield f"## {title}\n"
    if drawn:
        yield f"![{title}: the figures are in the table below]({name}.svg)\n"
    yield from _ratios(told)
    yield from _figures(told)
    if single := told.get("single"):
        yield "| also measured | |\n|---|---|"
        yield from (f"| {key.replace('_', ' ')} | {_value(value)} |" for key, value in single.items())
        yield ""
    yield from (f"- {note}" for note in told.get("notes", ()))
    settings = ", ".join(f"`{key}={value}`" for key, value in told.get("settings", {}).items())
    yield f"\nSettings: {settings}." if settings else ""
    on = told.get("machine", {}).items()
    yield "Machine: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in on) + "."
    yield f"All figures: [{name}.json]({name}.json).\n"


def _ratios(told: Mapping[str, Any]) -> Iterator[str]:
    if not told.get("ratios"):
        return
    yield "| ratio | median | min – max | pairs | wanted | |\n|---|--:|--:|--:|--:|---|"
    for name, value in told["ratios"].items():
        least, most = told.get("wanted", {}).get(name), told.get("wanted_at_most", {}).get(name)
        if least is not None:
            verdict = f"≥ {least:g} | {_verdict(value, value['median'] >= least)}"
        elif most is not None:
            verdict = f"≤ {most:g} | {_verdict(value, value['median'] <= most)}"
        else:
            verdict = "– | to compare"
        numbers = f"{value['median']:.2f} | {value['min']:.2f} – {value['max']:.2f} | {value['pairs']}"
        yield f"| {name} | {numbers} | {verdict} |"
    yield ""


def _verdict(value: Mapping[str, Any], met: bool) -> str:
    if value["pairs"] < PAIRS_MIN:
        return "too few pairs to say"
    return "met" if met else "**not met**"


def _figures(told: Mapping[str, Any]) -> Iterator[str]:
    if not told.get("figures"):
        return
    yield f"| contestant | median, {told['unit']} | min – max |\n|---|--:|--:|"
    for name, value in told["figures"].items():
        yield f"| {name} | {_value(value['median'])} | {_value(value['min'])} – {_value(value['max'])} |"
    yield ""


def _value(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
