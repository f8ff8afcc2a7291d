"""What time asks: waves open and close, and closed waves go through commitment, draw and publication."""

from datetime import datetime
from functools import partial

from libs.events.database import Database
from libs.events.jobs import Errand, Every, Job
from services.selection.ceremony import close_reveals
from services.selection.commands import open_and_close
from services.selection.draws import Machine, commit_one, draw_one
from services.selection.publishing import publish_some


async def run_draws(*, database: Database, now: datetime, machine: Machine) -> int:
    """Take one step of one wave that is due; 0 when none is. One errand for all stages: they never run side by side."""
    if closed := await close_reveals(machine.store, machine.signer, database, machine.clock):
        return closed
    for stage in (publish_some, draw_one, commit_one):
        if done := await stage(machine, database, now):
            return done
    return 0


def jobs(machine: Machine) -> list[Job]:
    """The rhythms are short because an intake may be stated at any moment; idle, each costs one indexed query."""
    return [
        Every(name="open-and-close-waves", seconds=10, run=partial(open_and_close, store=machine.store)),
        Errand(name="run-draws", seconds=10, run=partial(run_draws, machine=machine)),
    ]
