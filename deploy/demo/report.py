"""Tells the result: on the screen, as one HTML file, and as report.json."""

import json
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from deploy.demo import page
from deploy.demo.charts import number, rupiah
from deploy.demo.run import Outcome
from deploy.demo.summary import summarise

MONEY: Final = {
    "appropriation": ("Pagu", "appropriation"),
    "paid": ("Dibayar", "paid"),
    "returned": ("Kembali ke kas negara", "returned"),
    "available": ("Tersedia", "available"),
    "reserved": ("Dicadangkan", "reserved"),
    "in_flight": ("Sedang dikirim", "in flight"),
}


def write(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """Write report.json and report.html into the folder; returns the figures."""
    told = summarise(outcome)
    verdict = {check.name: check.ok for check in outcome.checks}
    seconds = round(outcome.seconds, 1)
    report = {"checks": verdict, "figures": told, "seconds": seconds}
    (folder / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    (folder / "report.html").write_text(page.render(told, outcome.checks, outcome.story, seconds))
    return told


def show(outcome: Outcome, folder: Path, console: Console) -> None:
    """The report on the screen: funnel, waves, money, and every check with where to look if it failed."""
    told = summarise(outcome)
    console.print()
    console.print(_funnel(told))
    console.print(_waves(told))
    console.print(_money(told))
    for check in outcome.checks:
        sign = "[green]✔[/green]" if check.ok else "[bold red]✘[/bold red]"
        console.print(f"{sign} {check.id} [dim]({check.en})[/dim]", soft_wrap=True)
        for problem in check.problems:
            console.print(f"    {problem}", style="red", soft_wrap=True, markup=False)
        if not check.ok:
            console.print(f"    Look at: {check.look}", style="red", soft_wrap=True, markup=False)
    held = sum(check.ok for check in outcome.checks)
    killed = f" {', '.join(outcome.killed)} killed with -9 on the way." if outcome.killed else ""
    colour = "green" if outcome.ok else "red"
    console.print(
        f"[bold {colour}]{held} of {len(outcome.checks)} checks hold[/bold {colour}] after {outcome.seconds:.0f} s, "
        f"{outcome.requests:,} requests and {outcome.evidence.facts.records:,} events.{killed}",
        soft_wrap=True,
    )
    console.print(f"The report with plots: {(folder / 'report.html').absolute()}", soft_wrap=True)


def _funnel(told: dict[str, Any]) -> Table:
    table = Table(title=f"2020 at 1:{told['scale']}", title_justify="left")
    for name, side in (("", "left"), ("published", "right"), (f"/ {told['scale']}", "right"), ("replayed", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for stage in told["funnel"]:
        known = [number(stage[key]) if stage[key] is not None else "" for key in ("published", "expected")]
        table.add_row(f"{stage['id']} [dim]{stage['en']}[/dim]", *known, number(stage["replayed"]))
    return table


def _waves(told: dict[str, Any]) -> Table:
    table = Table(title="Gelombang [dim]Waves[/dim]", title_justify="left")
    for name in ("wave", "applicants", "seats", "recycled", "winners", "revoked"):
        table.add_column(name, justify="right")
    for wave in told["waves"]:
        keys = ("wave", "applicants", "seats", "recycled_seats", "winners", "revoked")
        table.add_row(*(number(wave[key]) for key in keys))
    return table


def _money(told: dict[str, Any]) -> Table:
    table = Table(title="Uang [dim]Money[/dim]", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for part, (id, en) in MONEY.items():
        table.add_row(f"{id} [dim]{en}[/dim]", rupiah(told["money"][part]))
    return table
