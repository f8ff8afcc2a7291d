"""The path of `path.py` with a real service at its end: registration, whose reaction writes the timelines."""

from collections.abc import Sequence
from typing import ClassVar, Final

from libs.events.contracts import TrainingRated
from libs.events.database import Transaction
from services.registration.reactions import on_told
from services.registration.store import Store
from tests.fault.path import Path

STORE: Final = Store()


class Timelines(Path):
    """Here an effect is a step of a timeline. A second one of the same event would be refused by the table's key."""

    SERVICE: ClassVar[str] = "registration"
    DATABASE: ClassVar[str] = "registration"
    EFFECTS: ClassVar[str] = (
        "CREATE VIEW effect AS"
        " SELECT position AS n, citizen_id AS citizen, (data->>'wave')::integer AS turn FROM timeline;"
        "GRANT SELECT ON effect TO registration_app"
    )

    async def on_rated(self, *, tx: Transaction, events: Sequence[TrainingRated]) -> None:
        await on_told(tx=tx, store=STORE, events=events)
