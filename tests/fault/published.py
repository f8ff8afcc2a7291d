"""Puts the results of long runs into docs/chaos, and makes its page: `python -m tests.fault.published SUMMARY.json …`.

Takes what `make chaos` leaves behind: summaries of kill runs (var/chaos/summary.json), and the answers of the other
runs under their names (var/long-runs/model.json, storm.json, brokers.json and so on).
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.fault.summary import code, machine

ROOT: Final = Path(__file__).resolve().parents[2]
OUT: Final = ROOT / "docs" / "chaos"
LEFT: Final = ROOT / "var" / "long-runs"
NOT_KEPT: Final = ("strikes",)
"""What fell and when is a function of the seed, and long."""

HEAD: Final = """# Chaos runs

What long runs came to. What happens in them, and what must hold: [tests/fault](../../tests/fault/README.md). Made by
`python -m tests.fault.published`, do not edit. `make chaos SEED=1 KILLS=1000` does it all again: what falls is a
function of the seed, how the processes interleave is not.
"""
TITLES: Final = {
    "planted": "Planted bugs, hunted by killing",
    "model": "Schedules of the model",
    "storm": "Workers join and leave",
    "brokers": "Brokers lose their disks",
    "poison": "Poison at load",
    "restores": "Each database goes back to an older backup",
    "again": "Every source says everything twice",
}


def leave(name: str, told: Mapping[str, Any]) -> None:
    """Print the answer of a long run, and leave it where it can be taken from."""
    LEFT.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**told, "machine": machine(), "code": code()}, indent=1)
    (LEFT / f"{name}.json").write_text(text + "\n")
    print(text)


def render(out: Path) -> str:
    """The page for every file of a folder."""
    runs = [json.loads(path.read_text()) for path in sorted(out.glob("seed-*.json"), key=_by_number)]
    parts = [HEAD]
    if runs:
        parts += _kill_runs(runs)
    for name, title in TITLES.items():
        if (path := out / f"{name}.json").exists():
            parts += _other(title, path.name, json.loads(path.read_text()))
    return "\n".join(parts) + "\n"


def _by_number(path: Path) -> tuple[int, str]:
    return len(path.stem), path.stem


def _kill_runs(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows: Mapping[str, Any] = {
        "processes killed with -9": lambda run: run["kills"],
        "of these at a named fault point": lambda run: sum(run["kills_by_point"].values()),
        "put to sleep beyond every session": lambda run: sum(run["sleeps"].values()),
        "restarted in order": lambda run: sum(run["restarts"].values()),
        "two relays alive (twins)": lambda run: run["twins"],
        "lanes shuffled": lambda run: run["shuffles"],
        "minutes": lambda run: round(run["seconds"] / 60, 1),
        "acknowledged to clients": lambda run: run["acknowledged"],
        "events": lambda run: run["events"],
        "repeats on the bus": lambda run: run["repeats"],
        "payments by the rails": lambda run: run["payments"],
        "**lost**": lambda run: run["lost"],
        "**doubled**": lambda run: run["doubled"],
        "**out of order**": lambda run: run["out_of_order"],
        "**stuck longer than 60 s**": lambda run: run["stuck"],
    }
    yield "## Killing under load\n"
    yield "| | " + " | ".join(f"seed {run['seed']}" for run in runs) + " |"
    yield "|---|" + "--:|" * len(runs)
    for name, of in rows.items():
        yield f"| {name} | " + " | ".join(f"{of(run):,}" for run in runs) + " |"
    yield ""
    for title, field in (("Killed", "kills_by_target"), ("At fault points", "kills_by_point"), ("Seen", "witnessed")):
        yield f"{title}, all seeds: {_counted(runs, field)}.\n"
    for run in runs:
        machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in run["machine"].items())
        yield (
            f"- [seed-{run['seed']}.json](seed-{run['seed']}.json). Machine: {machine}. "
            f"Code: commit {run.get('code', 'not kept')}."
        )
    yield ""


def _counted(runs: Sequence[Mapping[str, Any]], field: str) -> str:
    totals: dict[str, int] = {}
    for run in runs:
        for name, count in run[field].items():
            totals[name] = totals.get(name, 0) + count
    return ", ".join(f"{name} {count:,}" for name, count in sorted(totals.items(), key=lambda item: -item[1]))


def _other(title: str, name: str, told: Mapping[str, Any]) -> Iterator[str]:
    """One column; one for each run where an answer tells of several."""
    yield f"## {title}\n"
    if runs := {key: value for key, value in told.items() if isinstance(value, dict) and "seed" in value}:
        told = {key: value for key, value in told.items() if key not in runs}
        yield f"| | {' | '.join(runs)} |\n|---|{'---|' * len(runs)}"
        for key in next(iter(runs.values())):
            yield f"| {key.replace('_', ' ')} | {' | '.join(_shown(run.get(key)) for run in runs.values())} |"
        yield ""
    yield "| | |\n|---|---|"
    for key, value in told.items():
        yield f"| {key.replace('_', ' ')} | {_shown(value)} |"
    yield f"\n[{name}]({name})\n"


def _shown(value: Any) -> str:
    match value:
        case int() | float() if not isinstance(value, bool):
            return f"{value:,}"
        case dict():
            return ", ".join(f"{name.replace('_', ' ')} {_shown(one)}" for name, one in value.items()) or "none"
        case list():
            return ", ".join(map(_shown, value)) or "none"
    return str(value)


def keep(path: Path, out: Path) -> Path:
    """Copy one result. Raises ValueError where it is none."""
    told = json.loads(path.read_text())
    if "kills_by_point" in told:
        name = f"seed-{told['seed']}"
    elif path.stem in TITLES:
        name = path.stem
    else:
        raise ValueError(f"{path.name}: neither the summary of a kill run nor one of {', '.join(TITLES)}")
    told = {key: value for key, value in told.items() if key not in NOT_KEPT}
    kept = out / f"{name}.json"
    kept.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return kept


def main() -> int:
    """0 when everything given was kept; without arguments the page alone is made anew."""
    OUT.mkdir(exist_ok=True)
    try:
        for name in sys.argv[1:]:
            print(f"{keep(Path(name), OUT).relative_to(ROOT)} written")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    (OUT / "README.md").write_text(render(OUT))
    print(f"{(OUT / 'README.md').relative_to(ROOT)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
