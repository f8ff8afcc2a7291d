"""The common part of every measurement: contestants take turns in one run, and only ratios of the same round count.

A machine has good and bad minutes, and a figure by itself says nothing about another machine. So ours and a rival run
one after the other, A B A B …, each in a process of its own; a ratio is taken within each round, and its median and
spread are what is reported. Nothing here asserts a figure: a slow machine must not turn a build red.
"""

import json
import os
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
OUT: Final = Path(os.environ.get("BENCH_OUT", ROOT / "docs" / "benchmarks"))
PAIRS: Final = int(os.environ.get("BENCH_PAIRS", "5"))

Run = Callable[[], Awaitable[float]]
"""One turn of a contestant; gives its figure, more being better unless the unit says otherwise."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """What is wanted of `ours` against `rival`: `at_least`, or `at_most`, times its figure, in the median of the pairs.

    Without either it is there to compare: what a raw part, doing nothing else, reaches against that rival.
    """

    ours: str
    rival: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass(slots=True)
class Report:
    """All that one measurement says about itself. `figures` holds one value per round for each contestant."""

    name: str
    title: str
    unit: str
    settings: Mapping[str, Any]
    figures: dict[str, list[float]] = field(default_factory=dict)
    wanted: Mapping[str, Ratio] = field(default_factory=dict)
    single: dict[str, Any] = field(default_factory=dict)
    """Figures that have no rival, by name."""
    notes: Sequence[str] = ()
    """How the rivals were tuned, what limits ours: sentences for the page."""


async def take_turns(contestants: Mapping[str, Run], pairs: int = PAIRS) -> dict[str, list[float]]:
    """Let every contestant run once per round, in the same order, and return their figures by name."""
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(pairs):
        for name, run in contestants.items():
            figures[name].append(await run())
            print(f"  round {turn + 1}/{pairs}  {name}: {figures[name][-1]:,.0f}", flush=True)
    return figures


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, extremes and number of a series."""
    return {"median": _short(median(values)), "min": _short(min(values)), "max": _short(max(values))}


def paired(ours: Sequence[float], rival: Sequence[float]) -> dict[str, Any]:
    """The ratio within each round, as median, extremes and the number of pairs."""
    ratios = [one / other for one, other in zip(ours, rival, strict=True)]
    return {**spread(ratios), "pairs": len(ratios), "each": [_short(ratio) for ratio in ratios]}


def _short(value: float) -> float:
    """Three digits behind the point for ratios, none for rates: more would be noise."""
    return round(value, 3) if abs(value) < 1000 else round(value)


def machine(postgres: str, kafka: str) -> dict[str, Any]:
    """What the figures were taken on."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": postgres,
        "kafka": kafka,
        "shared_by": "PostgreSQL, the Kafka broker and the contestant, all on these cores",
    }


def as_json(report: Report, on: Mapping[str, Any]) -> dict[str, Any]:
    """The report as it is kept."""
    ratios = {
        name: paired(report.figures[ratio.ours], report.figures[ratio.rival])
        for name, ratio in report.wanted.items()
        if ratio.ours in report.figures and ratio.rival in report.figures
    }
    return {
        "title": report.title,
        "machine": dict(on),
        "settings": dict(report.settings),
        "ratios": ratios,
        "wanted": {name: ratio.at_least for name, ratio in report.wanted.items() if ratio.at_least},
        "wanted_at_most": {name: ratio.at_most for name, ratio in report.wanted.items() if ratio.at_most},
        "unit": report.unit,
        "figures": {
            name: {**spread(values), "each": list(map(_short, values))} for name, values in report.figures.items()
        },
        "single": report.single,
        "notes": list(report.notes),
    }


def save(report: Report, on: Mapping[str, Any], out: Path = OUT) -> dict[str, Any]:
    """Write NAME.json, draw what it says, and make the page anew. Returns what was written."""
    from tests.bench import page, plots

    out.mkdir(parents=True, exist_ok=True)
    told = as_json(report, on)
    (out / f"{report.name}.json").write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    if told["figures"]:
        bars = [
            plots.Bar(name, **{key: value[key] for key in ("median", "min", "max")})
            for name, value in told["figures"].items()
        ]
        (out / f"{report.name}.svg").write_text(plots.bars(report.title, report.unit, bars))
    (out / "README.md").write_text(page.render(out))
    print_out(told)
    return told


def print_out(told: Mapping[str, Any]) -> None:
    """The same for whoever watches: durability first, since a fast figure without it is worth nothing."""
    print(f"\n{told['title']}")
    print("  " + ", ".join(f"{name}={value}" for name, value in told["settings"].items()))
    for name, value in told["figures"].items():
        print(f"  {name:<40} {value['median']:>12,} {told['unit']} ({value['min']:,} … {value['max']:,})")
    for name, value in told["ratios"].items():
        told_spread = f"{value['min']} … {value['max']}, {value['pairs']} pairs"
        wanted = told["wanted"].get(name) or told["wanted_at_most"].get(name, "-")
        print(f"  {name:<40} {value['median']:>12} ({told_spread}; wanted {wanted})")
    for name, value in told["single"].items():
        print(f"  {name:<40} {value}")
