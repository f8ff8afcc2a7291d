"""What a run comes to: one page for people, `summary.json` for everybody else."""

import json
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from tests.fault.checker import Evidence, Finding, Kind, first_times
from tests.fault.striker import Struck
from tests.fault.watch import Watch

SHOWN_MAX: Final = 12


def summary(
    seed: str,
    struck: Struck,
    evidence: Evidence,
    findings: Sequence[Finding],
    strange: Mapping[str, int],
    phases: Mapping[str, float],
    logs: Path,
) -> dict[str, Any]:
    """Everything that is worth keeping of a run."""
    by_kind = Counter(finding.kind for finding in findings)
    stream = first_times(evidence.records)
    return {
        "seed": seed,
        "kills": struck.kills,
        "kills_by_target": dict(struck.targets.most_common()),
        "kills_by_point": dict(struck.points.most_common()),
        "kills_by_group_and_point": dict(struck.reached.most_common()),
        "points_not_reached": dict(struck.not_reached.most_common()),
        "points_never_reached": never_reached(struck),
        "sleeps": dict(struck.sleeps.most_common()),
        "restarts": dict(struck.restarts.most_common()),
        "twins": struck.twins,
        "shuffles": struck.shuffles,
        "citizens": evidence.citizens,
        "citizens_asked": len(evidence.seen),
        "acknowledged": len(evidence.acknowledged),
        "acknowledged_by_kind": dict(Counter(line["kind"] for line in evidence.acknowledged).most_common()),
        "records": len(evidence.records),
        "events": len(stream),
        "repeats": len(evidence.records) - len(stream),
        "payments": sum(len(book) for book in evidence.rails.values()),
        "lost": by_kind[Kind.LOST],
        "doubled": by_kind[Kind.DOUBLED],
        "out_of_order": by_kind[Kind.DISORDERED],
        "stuck": by_kind[Kind.STUCK],
        "findings": [f"{finding.kind}: {finding.what}" for finding in findings],
        "strange_answers": dict(strange),
        "seconds": round(max(phases.values()), 1),
        "seconds_at_the_end_of": {name: round(seconds, 1) for name, seconds in phases.items()},
        "witnessed": witnessed(logs),
        "machine": machine(),
        "code": code(),
        "strikes": struck.log,
    }


def never_reached(struck: Struck) -> list[str]:
    """Points of a group that were aimed at and at which nobody of that group ever died."""
    return sorted(set(struck.not_reached) - set(struck.reached))


def watched(watch: Watch) -> dict[str, Any]:
    """For how long a service had no excuse under load, and the longest that a lane or an outbox stood still then."""
    return {
        "watched_seconds": dict(watch.watched),
        "longest_wait_seconds": round(watch.waited_seconds_max, 1),
    }


WITNESSED: Final = {
    "another relay has taken over; this one stands by": "relays fenced",
    "lanes assigned": "lanes handed over",
    "topics have lost records; the relay sends them again": "logs sent again",
    "events are missing; the lane waits until the relay has sent them again": "gaps waited for",
    "events can not be applied and are parked": "events parked",
    "a request failed": "requests failed",
}
"""What the processes said that shows that a mechanism was at work, by the words of their logs."""


def witnessed(logs: Path) -> dict[str, int]:
    """How often each was said."""
    said: Counter[str] = Counter()
    for path in logs.glob("*.log*"):
        text = path.read_text(errors="replace")
        for words, name in WITNESSED.items():
            said[name] += text.count(f'"event": "{words}"')
    return dict(said)


def machine() -> dict[str, Any]:
    return {
        "processors": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def code() -> str:
    """The commit that ran, and whether the files differed from it; "unknown" outside a checkout."""
    told = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty"],  # noqa: S607
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return told.stdout.strip() or "unknown"


def write(path: Path, told: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def page(told: Mapping[str, Any]) -> list[str]:
    """The lines that are printed."""
    lines = [
        f"Seed {told['seed']}: {told['kills']} kills in {told['seconds']} s {_counted(told['kills_by_target'])}",
        f"  at fault points: {_counted(told['kills_by_point'])}",
        f"  asleep: {_counted(told['sleeps'])}, restarted: {_counted(told['restarts'])}, "
        f"twins {told['twins']}, shuffles {told['shuffles']}",
        f"Acknowledged {told['acknowledged']:,}, events {told['events']:,}, repeats on the bus {told['repeats']:,}, "
        f"payments {told['payments']:,}",
        f"Lost {told['lost']}, doubled {told['doubled']}, out of order {told['out_of_order']}, stuck {told['stuck']}",
    ]
    lines.append(
        f"  asked {told['citizens_asked']:,} of {told['citizens']:,} citizens; seconds watched without an excuse "
        f"{_counted(told['watched_seconds'])}, longest wait {told['longest_wait_seconds']} s"
    )
    lines.append(f"  witnessed: {_counted(told['witnessed'])}")
    if told["points_not_reached"]:
        lines.append(f"  points not reached in time: {_counted(told['points_not_reached'])}")
    if told["points_never_reached"]:
        lines.append(f"  points never reached: {', '.join(told['points_never_reached'])}")
    if told["strange_answers"]:
        lines.append(f"  answers no outage explains: {_counted(told['strange_answers'])}")
    lines += [f"  {finding}" for finding in told["findings"][:SHOWN_MAX]]
    if len(told["findings"]) > SHOWN_MAX:
        lines.append(f"  and {len(told['findings']) - SHOWN_MAX} more in summary.json")
    return lines


def _counted(counts: Mapping[str, int]) -> str:
    return "(" + ", ".join(f"{name} {count}" for name, count in counts.items()) + ")"
